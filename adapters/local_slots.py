"""Slots of one process: what is left of the limiter while Redis is away, and enough for one."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.line import Line
from jobs.pace import Pace
from jobs.slots import Slot, Turn, Turns, Use, ceiling_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.job import Job, JobId, ModelId, UserId
    from jobs.task import Task

LOOK_AGAIN = timedelta(milliseconds=200)  # where someone is at the ceiling


class LocalSlots:
    """jobs.slots.Slots and Lines in memory, under one lock.

    `capacity` is how many jobs the process runs, `share` which part of it one user may have;
    `clock` is steady and in seconds.
    """

    def __init__(
        self, *, capacity: int, share: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ceiling = ceiling_of(capacity, share)
        self._clock = clock
        self._lock = threading.Lock()
        self._paces: defaultdict[ModelId, Pace] = defaultdict(Pace)
        self._lines: defaultdict[ModelId, Line] = defaultdict(Line)
        self._running: Counter[UserId] = Counter()
        self._keys = itertools.count()

    def ask(self, task: Task, *, has_room: bool) -> Slot | None:
        """Take a slot, or stand in line."""
        with self._lock:
            line, pace = self._lines[task.model], self._paces[task.model]
            must_wait = line.has_any_of(task.user) or (pace.rate is not None and len(line) > 0)
            may_run = has_room and not must_wait and self._may_run(task.user)
            now = self._clock()
            if may_run and pace.take(now, waited=False):
                return self._give(task, now)
            line.stand(task)
            return None

    def call_up(self, most: int) -> Turns:
        """Take those out of the line whose turn has come."""
        with self._lock:
            turns: list[Turn] = []
            waits: list[float] = []
            for model, line in self._lines.items():
                waits += self._call_up(line, self._paces[model], most, turns)
        return Turns(turns=tuple(turns), again_in=timedelta(seconds=min(waits)) if waits else None)

    def _call_up(self, line: Line, pace: Pace, most: int, turns: list[Turn]) -> list[float]:
        """Call up from one line, and say in how many seconds to look at it again, if at all."""
        while len(turns) < most and (task := line.next(self._may_run)) is not None:
            now = self._clock()
            if not pace.take(now, waited=True):
                return [pace.next_in(now)]
            line.leave(task)
            turns.append(Turn(task=task, slot=self._give(task, now)))
        return [LOOK_AGAIN.total_seconds()] if line else []

    def standing(self, jobs: Sequence[Job]) -> frozenset[JobId]:
        """Give those of the jobs that stand in line here."""
        with self._lock:
            return frozenset(
                job.id for job in jobs if self._lines[job.model].has_job_of(job.user, job.id)
            )

    def give_back(self, slot: Slot, use: Use) -> None:
        """End a slot and learn from what became of it."""
        with self._lock:
            self._running[slot.user] -= 1
            pace = self._paces[slot.model]
            if use is Use.UNUSED:
                pace.put_back()
            elif use is Use.THROTTLED:
                pace.slow_down(self._clock(), begun_at=slot.given_at)

    def keep(self, slots: Sequence[Slot]) -> None:
        """Do nothing: what is in this process's memory does not lapse."""

    def learn(self, model: ModelId, rate: float) -> None:
        """Take over a pace that all workers together have found: this one's part of it."""
        with self._lock:
            self._paces[model].learn(rate, self._clock())

    def _may_run(self, user: UserId) -> bool:
        return self._running[user] < self._ceiling

    def _give(self, task: Task, now: float) -> Slot:
        self._running[task.user] += 1
        return Slot(
            key=str(next(self._keys)),
            job_id=task.job_id,
            user=task.user,
            model=task.model,
            given_at=now,
            is_shared=False,
        )
