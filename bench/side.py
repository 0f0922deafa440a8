"""One side of the comparison: a server, its crowd of clients, and what was measured of them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.crowd import Crowd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.servers import Server

WARM_SOCKETS = 50  # opened and closed before anything is measured
SAY_AT_ONCE = 50
PAUSE_SECONDS = 0.2  # before a publish, so that it does not pay for the one before


@dataclass(kw_only=True)
class Figures:
    """What was measured of one side: bytes, seconds, and the share of a core when idle."""

    memory_before: int
    memory_open: int
    memory_watching: int = 0
    open_seconds: float
    idle_cpu: float = 0.0
    publish_seconds: list[float] = field(default_factory=list)
    publish_cpu_seconds: float = 0.0  # a publish, beyond what the server uses when idle
    crowd_cpu_seconds: float = 0.0  # a publish, of the clients


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What server and clients had used at a moment."""

    at: float
    server: float
    crowd: float


@dataclass(kw_only=True)
class Side:
    """A server that holds sockets."""

    server: Server
    crowd: Crowd
    figures: Figures

    def cost(self) -> Cost:
        """Read the processor time so far."""
        return Cost(
            at=time.monotonic(),
            server=self.server.worker.cpu_seconds(),
            crowd=self.crowd.cpu_seconds(),
        )

    def watch(self, text: str, *, answer: bytes, watchers: int) -> None:
        """Let the first sockets say that they watch, some at a time, until each was answered."""
        for first in range(0, watchers, SAY_AT_ONCE):
            clients = range(first, min(first + SAY_AT_ONCE, watchers))
            self.crowd.expect(answer, messages=len(clients))
            self.crowd.say(text, clients=clients)
            self.crowd.wait_for_last()
        self.figures.memory_watching = self.server.worker.settled_memory_bytes()

    def time_publish(self, publish: Callable[[], float], *, marker: bytes, watchers: int) -> float:
        """Publish once, note when the last socket had read it, and give when it was asked for."""
        time.sleep(PAUSE_SECONDS)
        self.crowd.expect(marker, messages=watchers)
        asked_at = publish()
        self.figures.publish_seconds.append(self.crowd.wait_for_last() - asked_at)
        return asked_at

    def note_idle(self, since: Cost) -> None:
        """Note what the server has used since then, when nothing happened."""
        now = self.cost()
        self.figures.idle_cpu = (now.server - since.server) / (now.at - since.at)

    def note_publishes(self, since: Cost, *, publishes: int) -> None:
        """Note what each publish since then has cost."""
        now = self.cost()
        idle = self.figures.idle_cpu * (now.at - since.at)
        self.figures.publish_cpu_seconds = (now.server - since.server - idle) / publishes
        self.figures.crowd_cpu_seconds = (now.crowd - since.crowd) / publishes


@contextmanager
def held(server: Server, requests: Sequence[bytes]) -> Iterator[Side]:
    """Open a socket for each request and hold them all."""
    with Crowd(server.port) as warming:
        warming.open(requests[:WARM_SOCKETS])
    before = server.worker.settled_memory_bytes()
    with Crowd(server.port) as crowd:
        seconds = crowd.open(requests)
        after = server.worker.settled_memory_bytes()
        figures = Figures(memory_before=before, memory_open=after, open_seconds=seconds)
        yield Side(server=server, crowd=crowd, figures=figures)
