"""The desk: runs the job of a task, and holds a task that came too early until its time.

This is a process top: what run_job raises ends here.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from structlog.contextvars import bound_contextvars

from jobs.claim import ClaimRefused
from jobs.errors import MODEL_THROTTLED, ClaimLost, Misconfigured, Unavailable
from jobs.job import Job, JobError
from jobs.run import run_job
from jobs.sketch import sketch
from jobs.slots import Use

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.ports import TaskQueue
    from jobs.running import RunParts
    from jobs.task import Task
    from workers.timers import Timers

_AGAIN = timedelta(seconds=2)  # after the store or the broker could not be reached


class Desk:
    """Runs jobs for one worker process, many at a time, each in its caller's thread."""

    def __init__(self, *, parts: RunParts, queue: TaskQueue, timers: Timers) -> None:
        self._parts = parts
        self._queue = queue
        self._timers = timers
        self._lock = threading.Lock()
        self._parked: set[Task] = set()
        self._draining = False

    def is_early(self, task: Task) -> bool:
        """Tell whether the task's wait is not over yet."""
        return task.not_before is not None and task.not_before > self._parts.clock.now()

    def pass_on(self, task: Task) -> None:
        """Hold a task until its wait is over; where this worker drains, give it to another."""
        self._park(task, task.not_before or self._parts.clock.now())

    def run(self, task: Task) -> Use:
        """Run the job, once its wait is over, and say what became of its slot; never raises."""
        if self.is_early(task):
            self.pass_on(task)
            return Use.UNUSED
        try:
            with bound_contextvars(**_keys(task)):  # for lines of libraries, too
                ended = run_job(task, self._parts)
        except ClaimLost:
            self._parts.log.info("run_fenced", **_keys(task))
        except (Unavailable, Misconfigured) as error:  # an operator may mend the latter
            self._parts.log.warning("run_unavailable", reason=str(error), **_keys(task))
            self._park(task, self._parts.clock.now() + _AGAIN)
        except Exception as error:  # noqa: BLE001 - a worker outlives any job
            self._parts.log.warning("run_broke", error=sketch(error), **_keys(task))
        else:
            return self._note_end(task, ended)
        return Use.CALLED

    def _note_end(self, task: Task, ended: Job | ClaimRefused) -> Use:
        match ended:
            case ClaimRefused(status=status, not_before=not_before):
                if not_before is not None and status is not None and status.is_pending:
                    self._park(task, not_before)
                return Use.UNUSED
            case Job(is_divided=True):
                return Use.UNUSED  # its call comes when its parts are done
            case Job(error=JobError(code=code)) if code == MODEL_THROTTLED:
                return Use.THROTTLED
            case _:
                return Use.CALLED

    def _park(self, task: Task, until: datetime) -> None:
        """Hold the task in memory and enqueue it when it is due: a hint, the row has the wait."""
        task = replace(task, not_before=until)
        with self._lock:
            self._parked.add(task)
            draining = self._draining
        if draining:
            self._enqueue_again(task)
            return
        self._parts.log.info("task_parked", until=until.isoformat(), **_keys(task))
        self._timers.call_at(until, lambda: self._enqueue_again(task))

    def hand_over_parked(self) -> int:
        """Give what is parked here, now and later, back to the broker for another worker; count."""
        with self._lock:
            self._draining = True
            parked = list(self._parked)
        for task in parked:
            self._enqueue_again(task)
        return len(parked)

    def _enqueue_again(self, task: Task) -> None:
        with self._lock:
            if task not in self._parked:
                return
            self._parked.discard(task)
        try:
            self._queue.enqueue([replace(task, enqueued_at=self._parts.clock.now())])
        except Unavailable as error:
            self._parts.log.warning("enqueue_failed", reason=str(error), **_keys(task))
            self._park_again(task)

    def _park_again(self, task: Task) -> None:
        with self._lock:
            self._parked.add(task)
        self._timers.call_after(_AGAIN, lambda: self._enqueue_again(task))


def _keys(task: Task) -> dict[str, object]:
    return {"job_id": task.job_id, "trace_id": task.trace.id}
