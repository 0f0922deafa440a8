"""Waiting: a request that stays until its job has ended, at the cost of one watcher of the hub."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.errors import JobNotFound, Unavailable
from jobs.ports import topic_of_job

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.ports import Clock, Heard, JobStore
    from web.close_codes import CloseCode
    from web.hub import Hub
    from web.measures import Kind


class EndWatcher:
    """web.hub.Watcher that wakes its request when there is a reason to look at the row."""

    kind: Kind = "wait"

    def __init__(self) -> None:
        self._woken = threading.Event()
        self.is_over = False

    def wait(self, seconds: float) -> bool:
        """Wait for a reason to look, and say whether there was one."""
        was_woken = self._woken.wait(seconds)
        self._woken.clear()
        return was_woken

    def hear(self, heard: Heard, frame: bytes) -> None:  # noqa: ARG002 - the port's; frames are WebSocket's
        """Wake at the job's last event."""
        if heard.kind.is_terminal:
            self._woken.set()

    def miss(self) -> None:
        """Wake: the last event may have been among what was missed."""
        self._woken.set()

    def reread(self) -> None:
        """Do nothing: the request reads the row by itself."""

    def end(self, code: CloseCode, reason: str) -> None:  # noqa: ARG002 - a request has no such words
        """Wait no more: the process goes away."""
        self.is_over = True
        self._woken.set()


def wait_for_end(job: Job, *, wait: timedelta, hub: Hub, store: JobStore, clock: Clock) -> Job:
    """Give the job once it has ended, or as it is after `wait`; never raises.

    A wait is a wish: without the bus, or while the process goes away, it is over at once, and so
    it is for a job that is deleted meanwhile: then this is the job as it was last seen.
    """
    watcher, topic = EndWatcher(), topic_of_job(job.id)
    until = clock.elapsed() + wait
    hub.enter(watcher)
    try:
        hub.join(topic, watcher)
        job = store.get(job.id)
        while not job.status.is_terminal and not watcher.is_over:
            left = until - clock.elapsed()
            was_woken = left > timedelta(0) and watcher.wait(left.total_seconds())
            job = store.get(job.id)
            if not was_woken:
                break
    except (JobNotFound, Unavailable):
        pass  # it was taken, and that is the answer; the caller learns of its end in another way
    finally:
        hub.leave(topic, watcher)
        hub.exit(watcher)
    return job
