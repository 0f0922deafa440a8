"""The event log: what was told of a job, kept so that a watcher may come late and come back.

It is bounded in length and time, and goes soon after the job has ended: from then on the row and
the result tell the same. Pub/sub is the wake-up; this is what a watcher reads who missed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.job import JobId
    from jobs.ports import Heard

PAGE = 500  # events a read, at most


class EventLog(Protocol):
    """What the event bus has said, a log a job; writing it is part of publishing."""

    def read(self, job_id: JobId, *, start: int) -> Sequence[Heard]:
        """Read up to PAGE events from number `start` on, in order. Raises Unavailable."""

    def forget(self, job_id: JobId) -> None:
        """Remove a job's log. Raises Unavailable."""


def read_all(log: EventLog, job_id: JobId, *, start: int) -> list[Heard]:
    """Read all events from number `start` on. Raises Unavailable."""
    events: list[Heard] = []
    while page := log.read(job_id, start=start):
        events.extend(page)
        if len(page) < PAGE:
            break
        start = page[-1].seq + 1
    return events
