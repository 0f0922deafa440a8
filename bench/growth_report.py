"""What the growth's benchmark says: its section of docs/benchmarks.md, its picture, raw figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bench.chart import Line, draw_lines
from bench.comparison import Comparison, Spread
from bench.document import machine, neighbours, table, versions
from bench.growth_worlds import BARE, OURS
from bench.targets import Target

if TYPE_CHECKING:
    from pathlib import Path

    from bench.growth_counts import Asked

NAME = "growth"
MOST_OF_SMALL = 1.25
_STANDS_ON = ("boto3", "celery", "redis", "gunicorn", "gevent", "ministack")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured."""

    stored: tuple[int, ...]
    rounds: int
    jobs: int
    times: int

    @property
    def command(self) -> str:
        """The command that measures this."""
        return (
            f"python -m bench.growth --stored {' '.join(map(str, self.stored))}"
            f" --rounds {self.rounds} --jobs {self.jobs} --times {self.times}"
        )


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was counted and measured, by size and by name; seconds are those of each round."""

    plan: Plan
    counts: dict[str, dict[str, Asked]]
    seconds: dict[str, list[dict[str, float]]]
    load_before: float

    def spread(self, size: int, name: str) -> Spread:
        """Give the seconds of one thing at one size."""
        return Spread.of(self._of(size, name))

    def growth(self, size: int, name: str) -> Spread:
        """Give its seconds at a size by those at the smallest, round by round."""
        ours, peers = self._of(size, name), self._of(self.plan.stored[0], name)
        return Comparison(name=name, unit="", ours=ours, peers=peers).ratio

    @property
    def grown(self) -> list[str]:
        """Name the use cases that ask other things of the store at some size than at another."""
        sizes = list(self.counts.values())
        return [name for name in sizes[0] if any(size[name] != sizes[0][name] for size in sizes)]

    def _of(self, size: int, name: str) -> list[float]:
        return [turn[name] for turn in self.seconds[str(size)]]


def raw_figures(results: Results) -> dict[str, object]:
    """Give all figures, for a machine to read."""
    return {"machine": machine(), "versions": versions(_STANDS_ON), **asdict(results)}


def section(results: Results) -> str:
    """Write the section."""
    plan = results.plan
    return f"""\
## Growth

The hot path on tables of {_listed(plan.stored)} ended jobs: against itself.
What a use case asks of the store does not depend on the machine:

{_counts(results)}

How long it takes does, and the stand-in grows with what it stores:

{_times(results)}

![Time, by that with the shortest history](benchmarks/{NAME}.svg)

{"".join(target.line + chr(10) for target in targets(results))}
- The counts prove it. Stand-in and neighbours are in the times; their bound of 1.25 is ours.
- Not by size, for nothing of it reads stored jobs: sockets, streams, what calls in flight cost, and
  Redis, which forgets a job a quarter of an hour after its end. The feed reads changes, not rows.
- Calls and items are counted in one process, on the real store and with all else in memory. *Run*
  is claim, mark and outcome. The page is one of a user who has a tenth of all jobs; a page by
  status reads on until it is full, 1,000 entries of the user's at most. The sparse index has only
  jobs that have not ended, so sweep and census do not see the others.
- Times are those of web, worker and feed by the Procfile's commands, a system a size, all of them
  running; {plan.rounds} rounds, the sizes in turn, ratios round by round. A turn is {plan.times} of
  each, of which it gives the median, and {plan.jobs} jobs the whole way, `POST` to push, 25 at a
  time: the time of all by their number. Sweep and census run in the benchmark's process, and
  nothing is due. The page is one of a user with the benchmark's jobs alone.
- *Bare* are boto3's calls on the same table, by which the stand-in is known. It is one process of
  Python with its rows in memory (20 KB each), and each query sorts a whole partition of an index:
  hence no page of a long list is timed.
- The history is written in batches of 25 in the store's own row form, with the stream switched off,
  which on AWS forgets after a day what a table keeps for months.
- Against AWS: a table of `longhaul bootstrap`, `bench/history.py` on it (100,000 rows of 2 KB are
  200,000 write units, and 100,000 more in the index of users' jobs), and the same without
  endpoints. What a call takes does not depend on a table's size there; the counts say what
  is paid.
- `{plan.command}`
- {versions(_STANDS_ON)}
- {machine()}
- {neighbours(results.load_before)}"""


def targets(results: Results) -> list[Target]:
    """Say what was to be reached: the same questions, and times that do not grow."""
    least, most = results.plan.stored[0], results.plan.stored[-1]
    return [
        Target(
            what="use cases that ask more of the store with a longer history",
            figure=len(results.grown),
            at_most=0,
        ),
        *(
            Target(
                what=f"{name}: time at {most:,} stored jobs by that at {least:,}",
                figure=results.growth(most, name).median,
                at_most=MOST_OF_SMALL,
            )
            for name in OURS
        ),
    ]


def draw(path: Path, results: Results) -> None:
    """Draw how each time grows."""
    sizes = results.plan.stored
    lines = [
        Line(name=name, points=[(size, results.growth(size, name).median) for size in sizes])
        for name in (*OURS, *BARE)
    ]
    draw_lines(
        path,
        title="Time, by that with the shortest history",
        x_axis="stored jobs",
        y_axis="ratio",
        lines=lines,
        logarithmic=True,
    )


def _counts(results: Results) -> str:
    sizes = results.plan.stored
    return table(
        ("calls, and items read", *(f"{size:,}" for size in sizes)),
        (
            (name, *(_asked(results.counts[str(size)][name]) for size in sizes))
            for name in results.counts[str(sizes[0])]
        ),
    )


def _asked(asked: Asked) -> str:
    calls = ", ".join(f"{count} {operation}" for operation, count in sorted(asked.calls.items()))
    return f"{calls}; {asked.items}"


def _times(results: Results) -> str:
    sizes = results.plan.stored
    least, most = sizes[0], sizes[-1]
    return table(
        ("ms", *(f"{size:,}" for size in sizes), f"{most:,} by {least:,} (least to most)"),
        (
            (
                name,
                *(f"{results.spread(size, name).median * 1000:.1f}" for size in sizes),
                results.growth(most, name).shown(),
            )
            for name in (*OURS, *BARE)
        ),
    )


def _listed(sizes: tuple[int, ...]) -> str:
    *firsts, last = (f"{size:,}" for size in sizes)
    return f"{', '.join(firsts)} and {last}" if firsts else last
