"""What docs/capacity.md says that its figures stand on."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from adapters.schema import OPEN_JOBS, USER_JOBS
from bench.capacity import prices
from bench.capacity.calls import event_calls
from bench.capacity.measured import PIECES_PART
from bench.capacity.needs import COPIES, TABLE, use_of
from bench.capacity.rows import row_writes
from bench.capacity.units import index_units, item_bytes, write_units
from bench.capacity.workload import Workload, flag_of
from bench.document import table

if TYPE_CHECKING:
    from bench.capacity.measured import Costs


def inputs_section(workload: Workload, costs: Costs) -> str:
    """Say what all of it stands on."""
    return "\n\n".join(
        [
            "### Assumed\n\n" + _assumed(workload),
            "### Counted: the writes of one job\n\n" + _counted(workload, costs),
            "### Measured\n\n" + _measured(workload, costs),
            f"### Prices and quotas\n\nus-east-1, without discounts. {_prices()}",
        ]
    )


def _assumed(workload: Workload) -> str:
    rows = [
        [f"`{flag_of(one.name)}`", f"{getattr(workload, one.name):,}", one.metadata["help"]]
        for one in fields(Workload)
    ]
    return table(["flag", "default", "what"], rows)


def _counted(workload: Workload, costs: Costs) -> str:
    rows = []
    for one in row_writes(workload):
        indexes = index_units(TABLE, one.before or None, one.after)
        rows.append(
            [
                one.name,
                str(one.times),
                f"{item_bytes(one.after):,}",
                str(write_units(one.before, one.after)),
                *(str(indexes[name]) for name in (USER_JOBS, OPEN_JOBS)),
                f"{one.record_bytes:,}",
            ]
        )
    head = ["write", "times", "row, bytes", "units", f"`{USER_JOBS}`", f"`{OPEN_JOBS}`", "record"]
    use, calls = use_of(workload, costs), event_calls(workload.deltas)
    return (
        f"{table(head, rows)}\n\n"
        f"Together {use.write_units} write units and {use.read_units} read units a job, "
        f"{use.records} change records of {use.record_bytes / 1000:.1f} KB in all,\n"
        f"{workload.deltas:,.0f} events of text. "
        f"Redis logs {calls.logged:,.0f} events and publishes {calls.published:,.0f} messages for\n"
        f"{use.redis_seconds * 1000:.1f} ms of its core, "
        f"and keeps {use.log_bytes / 1000:.0f} KB for a quarter of an hour. "
        f"{use.sent_bytes / 1000:.0f} KB go to clients."
    )


def _measured(workload: Workload, costs: Costs) -> str:
    by = "`make measure-processes`"
    rows = [
        [
            f"{name}: a job, and a piece of its text",
            f"{cost.job_seconds * 1000:.1f} ms, {cost.piece_seconds * 1e6:.0f} µs",
            f"{by}; of a job of 300 pieces {PIECES_PART[name]:.0%} is its pieces'",
        ]
        for name, cost in (("web", costs.web), ("worker", costs.worker), ("feed", costs.feed))
    ]
    check = "`make capacity-check`"
    rows += [
        ["a socket", f"{costs.socket_bytes / 1024:.1f} KB", "`make bench-sockets`"],
        ["Redis: a job", f"{costs.redis_job_seconds * 1000:.2f} ms", check],
        ["Redis: a piece of its text", f"{costs.redis_piece_seconds * 1e6:.0f} µs", check],
        ["Redis: an event in its log", f"{costs.event_bytes:.0f} bytes", check],
    ]
    each = (
        ("web", costs.web.seconds(workload.deltas * workload.watchers)),
        ("worker", costs.worker.seconds(workload.answer_tokens)),
        ("feed", costs.feed.seconds(0)),
    )
    whole = ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in each)
    rows.append(["so a job of this workload", whole, "a core of that machine"])
    return table(["what", "figure", "measured by"], rows)


def _prices() -> str:
    rows = [
        [one.what, f"${one.usd:g}", one.per, f"<{one.page}>", one.seen] for one in prices.PRICES
    ]
    rows += [
        [
            model.name,
            f"${model.input_usd:g} in, ${model.output_usd:g} out",
            "million tokens",
            f"<{model.page}>",
            model.seen,
        ]
        for model in prices.MODELS
    ]
    quotas = [
        [one.what, f"{one.figure:,.0f} {one.unit}", _raised(one), f"<{one.page}>", one.seen]
        for one in prices.QUOTAS
    ]
    return (
        "The page is AWS's own; `seen` says when we saw the figure, mostly where others quote it. "
        f"Each Redis is paid for {COPIES} times: one answers, one is ready to.\n\n"
        + table(["what", "price", "per", "published at", "seen"], rows)
        + "\n\n"
        + table(["of what", "quota", "on request", "published at", "seen"], quotas)
    )


def _raised(quota: prices.Quota) -> str:
    return "fixed" if quota.is_fixed else "more"
