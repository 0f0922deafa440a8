"""What the waiting benchmark says: its section of docs/benchmarks.md, its picture, raw figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

from bench.chart import Bar, draw_bars
from bench.comparison import Spread
from bench.document import machine, table, versions
from bench.targets import Target
from bench.waiting_run import Shape

if TYPE_CHECKING:
    from pathlib import Path

    from bench.waiting_run import Figures

NAME = "waiting"
LONGHAUL, ASYNCIO, TELLING = "Longhaul", "asyncio", "asyncio that publishes"
GEVENT, PREFORK = "Celery gevent", "Celery prefork"
MOST_MAKESPAN = 1.1  # of the job's own time
MOST_KB = 150
MOST_OF_THE_LIMIT = 2.0
STREAMING = Shape(quiet_seconds=4, stream_seconds=6, tokens=36)
ROUNDS = 3  # of these
_KB = 1024
_STANDS_ON = ("boto3", "celery", "kombu", "redis", "gevent")
_PEERS = "aiobotocore 3.10.0"  # requirements-peers.lock

Runs: TypeAlias = "list[tuple[str, Figures]]"  # in the order in which they were made


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured: calls at once and what one call is; those that stream have rounds."""

    calls: tuple[int, ...]
    prefork: int
    publishes: bool
    streaming: int
    shape: Shape

    @property
    def command(self) -> str:
        """The command that measures this."""
        shape = self.shape
        return (
            f"python -m bench.waiting --calls {' '.join(map(str, self.calls))}"
            f" --prefork {self.prefork} --quiet-seconds {shape.quiet_seconds:g}"
            f" --stream-seconds {shape.stream_seconds:g} --tokens {shape.tokens}"
            f" --streaming {self.streaming}{' --publishing' if self.publishes else ''}"
        )


def raw_figures(plan: Plan, runs: Runs) -> dict[str, object]:
    """Give all figures, for a machine to read."""
    return {
        "machine": machine(),
        "versions": f"{versions(_STANDS_ON)}, {_PEERS}",
        "plan": asdict(plan),
        "runs": [{"side": name, **asdict(figures)} for name, figures in runs],
    }


def draw(path: Path, runs: Runs) -> None:
    """Draw what each run's streaming cost a token, by the limit's with as many calls."""
    draw_bars(
        path,
        title="Calls in flight in one worker process: processor time a streamed token",
        axis="by plain asyncio's median with as many calls",
        bars=[
            Bar(
                name=f"{name}, {figures.calls:,}",
                spread=ratio,
                is_ours=name == LONGHAUL,
            )
            for name, figures in runs
            if (ratio := _token_ratio(runs, figures)) is not None
        ],
        bound=MOST_OF_THE_LIMIT,
    )


def section(plan: Plan, runs: Runs) -> str:
    """Write the section."""
    shape = plan.shape
    return f"""\
## Waiting together

{" and ".join(f"{calls:,}" for calls in plan.calls)} calls at once in one worker process, each \
{shape.seconds:g} s long: {shape.quiet_seconds:g} s until the first token,
then {shape.tokens} tokens in {shape.stream_seconds:g} s. Before them, {ROUNDS} rounds of
{plan.streaming} calls that stream {STREAMING.tokens} tokens in {STREAMING.stream_seconds:g} s,
the sides in turn.
Every call streamed its whole answer.

![Processor time a streamed token, by plain asyncio's](benchmarks/{NAME}.svg)

{_table(runs)}

{_targets(plan, runs)}

{_notes(plan, runs)}"""


def _table(runs: Runs) -> str:
    head = (
        *("side", "calls", "at once", "all begun (s)", "makespan (s)", "by the job"),
        *("KB a call", "ms a call", "a core's share, quiet", "us a token", "by asyncio's"),
    )
    return table(head, (_row(runs, name, figures) for name, figures in runs))


def _row(runs: Runs, name: str, figures: Figures) -> tuple[str, ...]:
    ratio = _token_ratio(runs, figures)
    return (
        name,
        f"{figures.calls:,}",
        f"{figures.most_in_flight:,}",
        f"{figures.all_begun:.1f}",
        f"{figures.makespan:.1f}",
        f"{figures.makespan / figures.seconds:.2f}",
        f"{_kb(figures):.0f}",
        f"{_edges_ms(figures):.1f}",
        "-" if figures.quiet_share is None else f"{figures.quiet_share:.1%}",
        Spread.of([cost * 1e6 for cost in figures.slices]).shown(".0f") if figures.slices else "-",
        "-" if ratio is None else ratio.shown(),
    )


def _targets(plan: Plan, runs: Runs) -> str:
    lines = []
    for figures in (figures for name, figures in runs if name == LONGHAUL):
        calls = f"{figures.calls:,} jobs"
        targets = (
            []
            if figures.calls not in plan.calls
            else [
                Target(
                    what=f"{calls}: makespan, by the job's own time",
                    figure=figures.makespan / figures.seconds,
                    at_most=MOST_MAKESPAN,
                    why=_why_late(runs, figures),
                ),
                Target(
                    what=f"{calls}: memory a job", figure=_kb(figures), unit="KB", at_most=MOST_KB
                ),
            ]
        )
        if figures.calls in plan.calls and (ratio := _token_ratio(runs, figures)) is not None:
            targets.append(_token_target(calls, ratio))
        lines += [target.line for target in targets]
    ours = [run for name, run in runs if name == LONGHAUL and run.calls == plan.streaming]
    ratios = [ratio.median for run in ours if (ratio := _token_ratio(runs, run)) is not None]
    if ratios:
        few = f"{plan.streaming} jobs, {len(ratios)} rounds"
        lines.insert(0, _token_target(few, Spread.of(ratios)).line)
    return "\n".join(lines)


def _token_target(calls: str, ratio: Spread) -> Target:
    return Target(
        what=f"{calls}: processor time a token, divided by asyncio's"
        f" ({ratio.least:.2f} to {ratio.most:.2f})",
        figure=ratio.median,
        at_most=MOST_OF_THE_LIMIT,
        why="what a job tells is numbered, logged and published, and asyncio tells nobody; the"
        " fewer tokens a second, the fewer share a wake-up and a round trip to Redis",
    )


def _why_late(runs: Runs, figures: Figures) -> str:
    """Say what a makespan is made of, beside the peers that write nothing."""
    store = figures.stand_ins.get("DynamoDB", 0.0) / figures.calls * 1000
    peers = ", ".join(
        f"{name} {run.makespan / run.seconds:.2f}"
        for name, run in runs
        if name in {ASYNCIO, GEVENT} and run.calls == figures.calls
    )
    return (
        f"the last had begun after {figures.all_begun:.1f} s, for a job costs the worker"
        f" {_edges_ms(figures):.1f} ms and the store's stand-in {store:.1f} ms on the same cores"
        f"{f' (of those that write nothing: {peers})' if peers else ''}"
    )


def _notes(plan: Plan, runs: Runs) -> str:
    shares = [figures.model_share for _, figures in runs if figures.model_share is not None]
    most = max(shares, default=0.0)
    calls = sum(figures.calls for _, figures in runs)
    used = ";\n".join(f"  {_used(figures)}" for name, figures in runs if name == LONGHAUL)
    return f"""\
- A run has a fresh process, warmed by a few short calls, and begins when all tasks go to the broker
  at once. Longhaul's jobs are rows by then, as the feed finds them: the claim, the mark before the
  call, renewals, numbered events in Redis, settling and the end's push are in its figures. Makespan
  lasts until the last end was heard.
- asyncio (`bench/peers/waiting_asyncio.py`) makes the same calls over aiobotocore in one loop and
  joins the text: nothing is durable, nobody can watch. With `--publishing` it publishes each token.
  Celery's peers are one task around boto3's call, on either pool, without rows and watchers.
- With {" and ".join(f"{calls:,}" for calls in plan.calls)} calls each side runs once: three rounds
  of them would take a quarter of an hour. asyncio's cost a token is measured with
  {plan.calls[0]:,}, and is taken to be the same with more.
- A peer that had not ended all of its calls a minute after they were due has no row.
- Prefork holds a call a process: {plan.prefork} processes, so {plan.prefork} calls. More would wait
  for their turn: 1,000 jobs on them would take {1000 / plan.prefork:.0f} times a job.
- KB a call: growth of the side's proportional set size from before the first call until the
  streams' end; KB are 1,024 bytes. ms a call: all processor time of the run by the calls, without
  that of tokens where it is known: begin, wait and end. The share of a core is taken while all
  calls waited for their first token, and processor time a token while all streamed: in three slices
  (median, least to most), divided by that of asyncio's run of the same round; "-" where the last
  call began after the first one's token came, or too soon before.
- On the same cores run the stand-ins: the model's used {most:.0%} of a core at most while all
  streamed. In Longhaul's runs, in seconds of processor time:
{used}.
- Against AWS it would take a quota of {max(plan.calls):,} calls at a time and the price of
  {calls:,} calls; how long one lasts would be the model's word, not ours.
- `{plan.command}`
- {versions(_STANDS_ON)}, {_PEERS}
- {machine()}"""


def _limit_of(runs: Runs, figures: Figures) -> Figures:
    """Find asyncio's run of the same round, or its largest where it has none with as many calls."""
    limits = [run for name, run in runs if name == ASYNCIO]
    [side] = [name for name, run in runs if run is figures]
    rounds = [run for name, run in runs if name == side and run.calls == figures.calls]
    alike = [run for run in limits if run.calls == figures.calls]
    number = next(number for number, run in enumerate(rounds) if run is figures)
    return alike[number] if number < len(alike) else max(limits, key=lambda run: run.calls)


def _used(figures: Figures) -> str:
    parts = [f"{name} {seconds:.1f}" for name, seconds in figures.stand_ins.items()]
    return f"{figures.calls:,} jobs: worker {figures.cpu:.1f}, {', '.join(parts)}"


def _kb(figures: Figures) -> float:
    return (figures.memory_in_flight - figures.memory_before) / figures.most_in_flight / _KB


def _edges_ms(figures: Figures) -> float:
    """Give the milliseconds of a call that its tokens do not explain."""
    tokens = median(figures.slices) * figures.tokens if figures.slices else 0.0
    return max(0.0, figures.cpu - tokens) / figures.calls * 1000


def _token_ratio(runs: Runs, figures: Figures) -> Spread | None:
    """Give a run's cost a token by the limit's of its round, with as many calls or else the most.

    None where one of the two streamed too little for the clock of processor time.
    """
    limit = _limit_of(runs, figures)
    if not figures.slices or not limit.slices or not (least := median(limit.slices)):
        return None
    return Spread.of([cost / least for cost in figures.slices])
