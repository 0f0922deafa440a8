"""The baton: one actor at a time, in virtual time."""

from __future__ import annotations

import heapq
import itertools
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.claim import Claim


START = datetime(2026, 11, 23, 4, 38, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
SECOND = 1_000  # virtual time is in whole milliseconds, as the rows' times are


class Crashed(BaseException):
    """The process is dead: nothing of it may run any more."""


@dataclass(eq=False, kw_only=True)
class Process:
    """What crashes and stops as one: actors, timers, and all they hold in memory."""

    name: str
    is_alive: bool = True
    stopped_until: int = 0
    takes_tasks: bool = True


class Actor:
    """One thread of a process; `ticket` makes an older wake-up void."""

    def __init__(self, process: Process, work: Callable[[], object]) -> None:
        self.process = process
        self.work = work
        self.ticket = 0
        self.runner: _Runner | None = None
        self.claim: Claim | None = None


_Wake = tuple[int, int, "Process | None", int, "Actor | Callable[[], object]"]


class Baton:
    """The virtual clock and the heap of what happens next."""

    def __init__(self) -> None:
        self.now = 0
        self.actor: Actor | None = None
        self.broke: list[str] = []
        self.living = 0  # actors that have not ended
        self._heap: list[_Wake] = []
        self._order = itertools.count()
        self._all_done = threading.Semaphore(0)

    def call_at(self, at: int, call: Callable[[], object], *, of: Process | None = None) -> None:
        """Call something that does not switch; never, if `of` has crashed by then."""
        heapq.heappush(self._heap, (max(at, self.now), next(self._order), of, 0, call))

    def start(self, process: Process, work: Callable[[], object]) -> None:
        """Let a new actor begin now."""
        self.living += 1
        self.wake(Actor(process, work))

    def wake(self, actor: Actor, at: int = 0) -> None:
        """Let an actor go on at `at`, and at no other time that was said before."""
        actor.ticket += 1
        entry = (max(at, self.now), next(self._order), actor.process, actor.ticket, actor)
        heapq.heappush(self._heap, entry)

    def sleep(self, duration: int) -> None:
        """Give the baton up for a while. Raises Crashed if the process died meanwhile."""
        actor = self.actor
        assert actor is not None
        self.wake(actor, self.now + duration)
        following = self._next()
        if following is not actor:
            assert actor.runner is not None
            self._hand_to(following)
            actor.runner.gate.acquire()
        self.actor = actor
        if not actor.process.is_alive:
            raise Crashed

    def run(self) -> None:
        """Let everything happen."""
        self._hand_to(self._next())
        self._all_done.acquire()

    def perform(self, actor: Actor) -> Actor | None:
        """Be the actor to its end and give who is next."""
        self.actor = actor
        try:
            if actor.process.is_alive:
                actor.work()
        except Crashed:
            pass
        except BaseException as error:  # noqa: BLE001 - told at the end of the story
            self.broke.append(f"{actor.process.name} broke: {error!r}")
        self.living -= 1
        return self._next()

    def _next(self) -> Actor | None:
        while self._heap:
            at, _, process, ticket, what = heapq.heappop(self._heap)
            if process is not None and process.is_alive and process.stopped_until > at:
                entry = (process.stopped_until, next(self._order), process, ticket, what)
                heapq.heappush(self._heap, entry)
            elif isinstance(what, Actor):
                if ticket == what.ticket:
                    self.now = at
                    return what
            elif process is None or process.is_alive:
                self.now, self.actor = at, None
                self._call(what)
        return None

    def _call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - told at the end of the story
            self.broke.append(f"a callback broke: {error!r}")

    def _hand_to(self, actor: Actor | None) -> None:
        if actor is None:
            self._all_done.release()
            return
        if actor.runner is None:
            actor.runner = _idle.pop() if _idle else _Runner()
            actor.runner.todo = (self, actor)
        actor.runner.gate.release()

    def pass_on(self, runner: _Runner, actor: Actor) -> None:
        """Perform the actor, and whoever begins right after it, in the runner's thread."""
        following: Actor | None = actor
        while following is not None and following.runner in (None, runner):
            following.runner = runner
            following = self.perform(following)
        _idle.append(runner)
        self._hand_to(following)


class _Runner:
    """A thread that is used again and again: starting one for each actor costs more."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.todo: tuple[Baton, Actor] | None = None
        threading.Thread(target=self._run, name="simulated", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.gate.acquire()
            assert self.todo is not None
            baton, actor = self.todo
            baton.pass_on(self, actor)


_idle: list[_Runner] = []
