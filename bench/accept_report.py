"""What the benchmark of accepting says: its section, its picture, and raw figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from bench.chart import Bar, draw_bars
from bench.comparison import Comparison, Spread, percentile
from bench.document import machine, neighbours, table, versions
from bench.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.accept_sides import Offered, Sample

NAME = "accept"
LEAST_RATIO = 0.7
MOST_P99_MS = 25
_STANDS_ON = ("gunicorn", "gevent", "flask", "pydantic", "boto3", "redis", "ministack")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured; `events` are those of all streams in a second."""

    rounds: int
    seconds: float
    connections: int
    streams: int
    events: float

    @property
    def command(self) -> str:
        """The command that measures this."""
        return (
            f"python -m bench.accept --rounds {self.rounds} --seconds {self.seconds:g}"
            f" --connections {self.connections} --streams {self.streams} --events {self.events:g}"
        )


@dataclass(frozen=True, kw_only=True)
class Steady:
    """An even load: requests a second, and what came of it in each round."""

    rate: float
    rounds: Sequence[Offered]

    def milliseconds(self, share: float) -> float:
        """Give what `share` of the requests of all rounds did not exceed."""
        return percentile([took for one in self.rounds for took in one.latencies], share) * 1000

    @property
    def p99_by_round(self) -> Spread:
        """Each round's own p99, in milliseconds."""
        return Spread.of([percentile(one.latencies, 0.99) * 1000 for one in self.rounds])

    @property
    def late_p99(self) -> float:
        """How late the clients' own process asked, in milliseconds."""
        return percentile([late for one in self.rounds for late in one.late], 0.99) * 1000

    @property
    def web_waited(self) -> float:
        """The share of the time for which the web process could have run and had no core."""
        return median(one.web_waited for one in self.rounds)

    @property
    def store_waited(self) -> float:
        """The same of the store's process."""
        return median(one.store_waited for one in self.rounds)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was measured, by side: without streams (`quiet`) and with them (`busy`)."""

    plan: Plan
    quiet: Mapping[str, Sequence[Sample]]
    busy: Mapping[str, Sequence[Sample]]
    offered: Mapping[str, Steady]
    offered_busy: Mapping[str, Steady]
    share_of_streams: float
    load_before: float

    def compared(self, name: str, figure: Callable[[Sample], float]) -> Comparison:
        """Compare a figure of Longhaul's with the floor's: `quiet`, `alone` or `streams`."""
        samples = self.busy if name == "streams" else self.quiet
        suffix = " alone" if name == "alone" else ""
        return Comparison(
            name=name,
            unit="",
            ours=[figure(one) for one in samples[f"longhaul{suffix}"]],
            peers=[figure(one) for one in samples[f"floor{suffix}"]],
        )


def raw_figures(results: Results) -> dict[str, object]:
    """Give all figures, for a machine to read."""
    return {"machine": machine(), "versions": versions(_STANDS_ON), **asdict(results)}


def draw(path: Path, results: Results) -> None:
    """Draw the ratios to the floor's rate."""
    rows = _rows(results.plan)
    draw_bars(
        path,
        title="Accepting: one web process's rate, to the floor's (1 is as fast)",
        axis="requests a second, Longhaul's by the floor's in the same round",
        bars=[
            Bar(name=told, spread=results.compared(name, _rate).ratio, is_ours=True)
            for name, told in rows.items()
        ],
        bound=LEAST_RATIO,
    )


def section(results: Results) -> str:
    """Write the section."""
    plan = results.plan
    return f"""\
## Accepting

`POST /v1/jobs` with prompts of 2 KB to one web process. The peer is the floor,
`bench/peers/bare_accept.py`: a Flask view that does one boto3 `put_item` and nothing else, under
the same gunicorn and gevent, into the same table.

{_rates(results)}

{_times(results)}

![Accepting, to the floor's rate](benchmarks/accept.svg)

{_targets(results)}

- A rate is what {plan.connections} keep-alive connections get that ask again at once, \
{plan.seconds:g} s a round,
  {plan.rounds} rounds, the sides in turn; ratios are of the same round. The processor time is the
  web process's own; with a core each, the rates would be as far apart as the last column says.
- {_bottleneck(results)}
- The store that keeps nothing (`bench/peers/stub_store.py`) answers every `PutItem` at once: there
  the web process is measured by itself.
- Streams: {plan.streams} other jobs, each watched on a WebSocket of Longhaul's process, \
{plan.events:g} events
  a second in all. They take {results.share_of_streams:.0%} of a core by themselves: the processor \
time of a request includes it,
  the last column leaves that much less of the core. The floor streams to nobody.
- The even load asks at random moments (exponential gaps), half of the median rate above, whether
  answers have come or not; a request's time begins when it was due. p50 and p99 are of all rounds'
  requests, the spread is of each round's own p99.
- The machine's part: how late the clients' process asked although a connection was free, and for
  how much of the time the web process and the store could have run and waited for a core
  (`/proc/PID/schedstat`; the median round's). Two servers, clients and streams share the
  cores.
- The clients are a process of their own a side (`bench/load.py`) and use \
{_clients_ms(results):.2f} ms of processor time a request.
- Against AWS: the same two servers on an instance in the table's region, with credentials, a table
  of `longhaul bootstrap` and no `AWS_ENDPOINT_URL_DYNAMODB`, and the clients on another instance;
  items of 3 KB cost three write units each, and one in each index.
- `{plan.command}`
- {versions(_STANDS_ON)}
- {machine()}
- {neighbours(results.load_before)}"""


def _rows(plan: Plan) -> dict[str, str]:
    return {
        "quiet": "DynamoDB stand-in",
        "alone": "web process alone",
        "streams": f"stand-in, {plan.streams} jobs streaming",
    }


def _rate(sample: Sample) -> float:
    return sample.rate


def _cpu(sample: Sample) -> float:
    return sample.web_cpu


def _rate_of_a_core(results: Results, name: str) -> Spread:
    """Give the ratio of what both would take if each web process had a core to itself."""
    taken = results.share_of_streams if name == "streams" else 0.0
    ours = results.compared(name, lambda sample: sample.rate_of_a_core(taken=taken))
    peers = results.compared(name, lambda sample: sample.rate_of_a_core())
    return replace(ours, peers=peers.peers).ratio


def _rates(results: Results) -> str:
    rows = []
    for name, told in _rows(results.plan).items():
        rate, cpu = results.compared(name, _rate), results.compared(name, _cpu)
        rows.append(
            (
                told,
                *(f"{Spread.of(side).median:.0f}" for side in (rate.ours, rate.peers)),
                rate.ratio.shown(),
                *(f"{Spread.of(side).median * 1000:.2f}" for side in (cpu.ours, cpu.peers)),
                _rate_of_a_core(results, name).shown(),
            )
        )
    head = (
        "requests a second",
        "Longhaul",
        "floor",
        "ratio (least to most)",
        "ms of processor: Longhaul",
        "floor",
        "ratio with a core each",
    )
    return table(head, rows)


def _times(results: Results) -> str:
    rows = [
        (
            f"{told}, {where}",
            *_shown(steady[f"{side}{suffix}"]),
        )
        for where, steady, suffix in _loads(results)
        for side, told in (("longhaul", "Longhaul"), ("floor", "floor"))
    ]
    head = (
        "at half its capacity (ms)",
        "requests a second",
        "p50",
        "p99",
        "p99 by round (least to most)",
        "clients late, p99",
        "web waits for a core",
        "store waits for a core",
    )
    return table(head, rows)


def _shown(steady: Steady) -> tuple[str, ...]:
    return (
        f"{steady.rate:.0f}",
        f"{steady.milliseconds(0.5):.1f}",
        f"{steady.milliseconds(0.99):.1f}",
        steady.p99_by_round.shown(".1f"),
        f"{steady.late_p99:.1f}",
        f"{steady.web_waited:.0%}",
        f"{steady.store_waited:.0%}",
    )


def _loads(results: Results) -> list[tuple[str, Mapping[str, Steady], str]]:
    """Give where each even load went, what came of it, and what its sides' names end with."""
    quiet, alone, streams = _rows(results.plan).values()
    return [
        (quiet, results.offered, ""),
        (alone, results.offered, " alone"),
        (streams, results.offered_busy, ""),
    ]


def _targets(results: Results) -> str:
    rates = [
        Target(
            what=f"rate to the floor's, {told}",
            figure=results.compared(name, _rate).ratio.median,
            at_least=LEAST_RATIO,
        )
        for name, told in _rows(results.plan).items()
    ]
    times = [
        Target(
            what=f"p99 at half its capacity, {where} {_of_rounds(steady[f'longhaul{suffix}'])}",
            figure=steady[f"longhaul{suffix}"].milliseconds(0.99),
            unit="ms",
            at_most=MOST_P99_MS,
            why=_why_late(steady[f"longhaul{suffix}"], steady[f"floor{suffix}"]),
        )
        for where, steady, suffix in _loads(results)
    ]
    return "\n".join(target.line for target in (*rates, *times))


def _why_late(ours: Steady, floor: Steady) -> str:
    """Say what the same rounds tell of the longest times' cause."""
    return (
        f"for {ours.web_waited:.0%} of the time the web process waited for a core, for"
        f" {ours.store_waited:.0%} the store, and the clients asked {ours.late_p99:.1f} ms late"
        f" (p99); the floor's p99 is {floor.milliseconds(0.99):.1f} ms beside it"
    )


def _of_rounds(steady: Steady) -> str:
    spread = steady.p99_by_round
    return f"(its rounds' own {spread.shown('.1f')})"


def _bottleneck(results: Results) -> str:
    store = Spread.of([one.store_cpu for one in results.quiet["longhaul"]]).median * 1000
    web = Spread.of([one.web_cpu for one in results.quiet["longhaul"]]).median * 1000
    verdict = "limits neither side" if store < web else "limits both sides"
    return (
        f"The DynamoDB stand-in uses {store:.2f} ms of processor time a request of Longhaul's, in a"
        f" process\n  of its own: it {verdict}, but it shares the machine."
    )


def _clients_ms(results: Results) -> float:
    return Spread.of([one.clients_cpu for one in results.quiet["longhaul"]]).median * 1000
