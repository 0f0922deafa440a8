"""A discrete-event simulation of a job's way: web, stream, feed, broker, worker, model.

Each process has one core, which does one thing at a time. What a worker's open streams use of its
core makes everything else that it does slower. Random numbers are drawn in the order of the jobs'
arrivals, from one seed: the same Line and arrivals give the same Trip for each job.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import simpy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    Steps = Generator[simpy.Event, object, None]

_FULLEST: Final = 0.95  # of a core that streams may use before the rest of it stands still
_BATCH: Final = 1_000  # records of a read


@dataclass(frozen=True, kw_only=True)
class Line:
    """How many of each part there are, and what each does in which time, in seconds.

    `model` gives the time of one answer. `quota` is how many calls may begin in a minute, evenly:
    the limiter keeps the rest waiting. `streaming` is the part of a core that one open stream
    uses, and `turn` the wait between a feed's reads.
    """

    web: int = 1
    accepting: float = 0.0
    stream_delay: float = 0.0
    feeds: int = 1
    shards: int = 1
    turn: float = 0.2
    reading: float = 0.0
    feeding: float = 0.0
    workers: int = 1
    room: int = 400
    starting: float = 0.0
    ending: float = 0.0
    streaming: float = 0.0
    model: Callable[[random.Random], float] = field(default=lambda _: 1.0)
    quota: float | None = None


@dataclass(kw_only=True)
class Trip:
    """When one job came by; seconds since the simulation began, or None where it has not."""

    arrived: float
    accepted: float | None = None
    enqueued: float | None = None
    started: float | None = None
    called: float | None = None
    ended: float | None = None


@dataclass(frozen=True, kw_only=True)
class Played:
    """What became of the jobs, and which part of the time each kind of process was busy."""

    trips: Sequence[Trip]
    seconds: float
    busy: dict[str, float]

    def waits(self, *, since: float = 0.0) -> list[float]:
        """Give the time from acceptance to call of each job that came since then and was called."""
        return [
            one.called - one.accepted
            for one in self.trips
            if one.called is not None and one.accepted is not None and one.arrived >= since
        ]

    @property
    def makespan(self) -> float:
        """The time from the first arrival to the last end; of what has ended."""
        ends = [one.ended for one in self.trips if one.ended is not None]
        return max(ends, default=0.0) - min((one.arrived for one in self.trips), default=0.0)


def play(
    line: Line,
    arrivals: Iterable[float],
    *,
    seed: int = 1,
    warm: float = 0.0,
    until: float | None = None,
) -> Played:
    """Let jobs arrive at these times and go through; until all have ended, or until a time.

    What is told of cores and slots is told of the time after `warm` seconds.
    """
    return _Stage(line, arrivals, seed).run(warm, until)


def steady(rate: float, seconds: float, *, seed: int = 1) -> list[float]:
    """Give arrivals by chance (Poisson's), so many a second, for so long."""
    chance, at, times = random.Random(seed), 0.0, []  # noqa: S311 - no secret
    while (at := at + chance.expovariate(rate)) < seconds:
        times.append(at)
    return times


class _Core:
    """One process's core: what wants it waits in line; it counts how long it was busy."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._line = simpy.Resource(env, capacity=1)
        self.busy = 0.0
        self.streams = 0

    def use(self, seconds: float, streaming: float = 0.0) -> Steps:
        """Take the core for so long; longer while open streams use a part of it."""
        if seconds <= 0:
            return
        with self._line.request() as mine:
            yield mine
            left = 1 - min(_FULLEST, self.streams * streaming)
            self.busy += seconds
            yield self._env.timeout(seconds / left)


class _Stage:
    def __init__(self, line: Line, arrivals: Iterable[float], seed: int) -> None:
        self._line = line
        self._env = simpy.Environment()
        chance = random.Random(seed)  # noqa: S311 - no secret
        self._trips = [Trip(arrived=at) for at in sorted(arrivals)]
        self._shard_of = [chance.randrange(line.shards) for _ in self._trips]
        self._answers = [line.model(chance) for _ in self._trips]
        self._web = [_Core(self._env) for _ in range(line.web)]
        self._feeds = [_Core(self._env) for _ in range(line.feeds)]
        self._workers = [_Core(self._env) for _ in range(line.workers)]
        self._room = simpy.Resource(self._env, capacity=line.workers * line.room)
        self._shards: list[deque[int]] = [deque() for _ in range(line.shards)]
        self._call_at = 0.0
        self._occupied = 0.0
        self._left = len(self._trips)
        self._over = self._env.event()

    def run(self, warm: float, until: float | None) -> Played:
        for number in range(self._line.feeds):
            self._env.process(self._feed(number))
        self._env.process(self._arrive())
        if warm:
            self._env.run(until=warm)
            for core in (*self._web, *self._feeds, *self._workers):
                core.busy = 0.0
            self._occupied = 0.0
        if self._left:
            self._env.run(until=self._over if until is None else until)
        seconds = (self._env.now - warm) or 1.0
        slots = self._line.workers * self._line.room
        busy = {
            "web": _share(self._web, seconds),
            "feed": _share(self._feeds, seconds),
            "worker": _share(self._workers, seconds),
            "slots": self._occupied / slots / seconds,
        }
        return Played(trips=self._trips, seconds=seconds, busy=busy)

    def _arrive(self) -> Steps:
        for number, trip in enumerate(self._trips):
            yield self._env.timeout(trip.arrived - self._env.now)
            self._env.process(self._accept(number))

    def _accept(self, number: int) -> Steps:
        trip = self._trips[number]
        yield from self._web[number % len(self._web)].use(self._line.accepting)
        trip.accepted = self._env.now
        yield self._env.timeout(self._line.stream_delay)
        self._shards[self._shard_of[number]].append(number)

    def _feed(self, number: int) -> Steps:
        """Read the shards in turn, as workers/feed.py does, and wait between the turns.

        A nudge makes it read at once where all is quiet, so there is no wait beside.
        """
        line, core = self._line, self._feeds[number]
        shards = self._shards[number :: line.feeds]
        yield self._env.timeout(line.turn * number / line.feeds)
        while True:
            for shard in shards:
                batch = [shard.popleft() for _ in range(min(_BATCH, len(shard)))]
                if batch:
                    yield from core.use(line.reading + line.feeding * len(batch))
                for one in batch:
                    self._trips[one].enqueued = self._env.now
                    self._env.process(self._work(one))
            yield self._env.timeout(line.turn)

    def _work(self, number: int) -> Steps:
        line, trip, env = self._line, self._trips[number], self._env
        yield from self._wait_for_the_pace()
        with self._room.request() as slot:
            yield slot
            trip.started = env.now
            core = min(self._workers, key=lambda one: one.streams)
            core.streams += 1
            yield from core.use(line.starting, line.streaming)
            trip.called = env.now
            answer = self._answers[number] * max(1.0, core.streams * line.streaming)
            yield env.timeout(answer)
            core.busy += self._answers[number] * line.streaming
            yield from core.use(line.ending, line.streaming)
            core.streams -= 1
            self._occupied += env.now - trip.started
        trip.ended = env.now
        self._left -= 1
        if not self._left:
            self._over.succeed()

    def _wait_for_the_pace(self) -> Steps:
        """Wait for the limiter, which gives no slot before a call may begin."""
        if self._line.quota is None:
            return
        at = max(self._env.now, self._call_at)
        self._call_at = at + 60 / self._line.quota
        yield self._env.timeout(at - self._env.now)


def _share(cores: Sequence[_Core], seconds: float) -> float:
    return sum(one.busy for one in cores) / len(cores) / seconds
