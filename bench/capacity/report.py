"""What docs/capacity.md says of a run: its sections' tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bench.capacity import prices
from bench.capacity.inputs_report import inputs_section
from bench.capacity.limits import limits_of
from bench.capacity.needs import NODE_GIB, model_cost, monthly_cost, needs_of, quota_of
from bench.capacity.rehearse import MOST_RATE, SHORT_RATE, SPREAD, line_grows
from bench.capacity.rows import row_writes
from bench.capacity.workload import RATES
from bench.document import table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.capacity.measured import Costs
    from bench.capacity.needs import Needs
    from bench.capacity.rehearse import Rehearsed, Short
    from bench.capacity.workload import Workload

_MILLION: Final = 1e6
_COMMAND: Final = "`make capacity`"
_LONG: Final = {"prompt_bytes": 32_768, "prompt_tokens": 8_000}
LEVERS: Final[Sequence[tuple[str, Mapping[str, Any]]]] = (
    ("as assumed", {}),
    ("text in batches of 250 ms", {"batch_ms": 250.0}),
    ("nobody watches live", {"watchers": 0.0}),
    ("prompts of 32 KB", _LONG),
    ("the same, in S3 above 4 KB", {**_LONG, "inline_prompt_bytes": 4_096}),
    ("the same answer in 5 s", {"job_seconds": 5.0}),
    (
        "answers four times as long",
        {"job_seconds": 120.0, "answer_tokens": 2_000, "answer_bytes": 8_000},
    ),
)


def sections(workload: Workload, costs: Costs) -> dict[str, str]:
    """Write what is arithmetic, by the section's name."""
    return {
        "capacity-needs": needs_section(workload, costs),
        "capacity-cost": cost_section(workload, costs),
        "capacity-quota": quota_section(workload),
        "capacity-limits": limits_section(workload, costs),
        "capacity-levers": levers_section(workload, costs),
        "capacity-inputs": inputs_section(workload, costs),
    }


def needs_section(workload: Workload, costs: Costs) -> str:
    """Say what each rate needs."""
    all_needs = [needs_of(rate, workload, costs) for rate in RATES]
    rows: list[tuple[str, Callable[[Needs], str]]] = [
        ("jobs in flight", lambda one: f"{one.in_flight:,.0f}"),
        ("web processes", lambda one: f"{one.web:,}"),
        ("workers", lambda one: f"{one.worker:,}"),
        ("feeds", lambda one: f"{one.feed:,}"),
        ("shards of the stream, about", lambda one: f"{one.shards:,}"),
        ("Redis: cores", lambda one: f"{one.redis_cores:,.2f}"),
        ("Redis: memory", lambda one: f"{one.redis_gib:,.1f} GiB"),
        (f"Redis: so many of {NODE_GIB:g} GiB", lambda one: f"{one.redis:,} (and a replica each)"),
        ("write units a second", lambda one: f"{one.write_units:,.0f}"),
        ("read units a second", lambda one: f"{one.read_units:,.0f}"),
        ("GetRecords a second", lambda one: f"{one.stream_calls:,.0f}"),
        ("from the stream", lambda one: f"{one.stream_bytes / 1e6:,.2f} MB/s"),
        (f"rows of {workload.kept_days} days", lambda one: f"{one.stored_gb:,.0f} GB"),
    ]
    body = [[name, *(say(one) for one in all_needs)] for name, say in rows]
    return f"{table(_head(), body)}\n\n{_COMMAND}: every figure is planned at {workload.busy:.0%}."


def cost_section(workload: Workload, costs: Costs) -> str:
    """Say what a month costs, the model apart."""
    all_needs = [needs_of(rate, workload, costs) for rate in RATES]
    bills = [monthly_cost(one, workload, costs) for one in all_needs]
    sums = [sum(bill.values()) for bill in bills]
    body = [[name, *(_usd(bill[name]) for bill in bills)] for name in bills[0]]
    body.append(["**all but the model**", *(f"**{_usd(one)}**" for one in sums)])
    for model in prices.MODELS:
        paid = [model_cost(one, workload, model) for one in all_needs]
        body.append([f"**{model.name}**", *(f"**{_usd(one)}**" for one in paid)])
        parts = [one / (one + rest) for one, rest in zip(paid, sums, strict=True)]
        body.append([f"the model's part, {model.name}", *(f"{one:.1%}" for one in parts)])
    thousand = [1000 * one / need.months_jobs for one, need in zip(sums, all_needs, strict=True)]
    body.append(["1,000 jobs, without the model", *(f"${one:.3f}" for one in thousand)])
    return table(_head(), body)


def quota_section(workload: Workload) -> str:
    """Say how much quota each rate needs."""
    body = [["calls a minute", *(f"{rate:,}" for rate in RATES)]]
    for model in prices.MODELS:
        quotas = [quota_of(rate, workload, model) for rate in RATES]
        times = "" if model.burndown == 1 else f" (an output token counts {model.burndown:g})"
        body += [
            [f"{model.name}: tokens a minute, used{times}", *(f"{one:,.0f}" for one, _ in quotas)],
            [f"{model.name}: asked for at first", *(f"{one:,.0f}" for _, one in quotas)],
        ]
    model = prices.MODELS[0]
    used, asked = quota_of(1, workload, model)
    times = f"{asked / used:.1f} times"
    return f"{table(_head(), body)}\n\n{model.name}'s calls ask for {times} what they use."


def limits_section(workload: Workload, costs: Costs) -> str:
    """Say what is full first."""
    head = ["jobs a minute", "part", "what is full", "what to do"]
    rows = [
        [f"{one.rate:,.0f}", one.part, one.what, one.remedy] for one in limits_of(workload, costs)
    ]
    streams = workload.job_seconds / costs.worker.seconds(workload.answer_tokens)
    return (
        f"{table(head, rows)}\n\nA worker's core is full with {streams:,.0f} streams of this pace;"
        f" {workload.busy:.0%} of it are {workload.busy * streams:,.0f}."
    )


def levers_section(workload: Workload, costs: Costs) -> str:
    """Say what changes where one assumption does."""
    rate = RATES[-1]
    head = ["", "web", "workers", "feeds", "Redis", "write units a second", "a month"]
    rows = []
    for name, changes in LEVERS:
        other = replace(workload, **changes)
        one = needs_of(rate, other, costs)
        bill = sum(monthly_cost(one, other, costs).values())
        counts = [f"{count:,}" for count in (one.web, one.worker, one.feed, one.redis)]
        rows.append([name, *counts, f"{one.write_units:,.0f}", _usd(bill)])
    written = sum(one.times for one in row_writes(workload))
    a_kb = written * prices.WRITE_UNIT.each * _MILLION
    an_object = (prices.OBJECT_PUT.each + prices.OBJECT_GET.each) * _MILLION
    return (
        f"{rate:,} jobs a minute, without the model:\n\n{table(head, rows)}\n\n"
        f"A KB of prompt in the row is written again at each of its {written} writes: "
        f"${a_kb:.2f} a million jobs.\n"
        f"An object costs ${an_object:.2f} a million, whatever its size."
    )


def flow_section(rehearsed: Sequence[Rehearsed], shorts: Sequence[Short]) -> str:
    """Say what the simulation gave."""
    parts = ("web", "worker", "feed", "slots")
    head = ["jobs a minute", "played", "wait, median", "wait, p99", *parts]
    rows = [
        [
            f"{one.needs.rate:,.0f}",
            f"{one.jobs:,} jobs",
            f"{one.median_wait * 1000:,.0f} ms",
            f"{one.longest_wait * 1000:,.0f} ms",
            *(f"{one.busy[name]:.0%}" for name in parts),
        ]
        for one in rehearsed
    ]
    minutes = shorts[0].minutes
    short_head = ["quota", f"wait of who comes in minute {minutes:.0f}", "by arithmetic"]
    short_rows = [
        [f"{one.part:.0%}", f"{one.last_wait:,.1f} s", f"{line_grows(one.part, minutes):,.0f} s"]
        for one in shorts
    ]
    return f"""\
{table(head, rows)}

The wait is from the `202` to the model's call; columns of parts say how busy a process' core is,
and how many of the workers' slots are taken. Answers take {SPREAD:.0%} more or less than their
mean. Above {MOST_RATE:,} jobs a minute, a part of the fleet with its part of the rate is played.

{SHORT_RATE:,} jobs a minute, with less quota than they need (at first with a tenth to spare):

{table(short_head, short_rows)}"""


def _head() -> list[str]:
    return ["jobs a minute", *(f"{rate:,}" for rate in RATES)]


def _usd(amount: float) -> str:
    return f"${amount:,.0f}"
