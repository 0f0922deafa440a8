"""Find: what an operator looks for among everybody's jobs, the stuck ones and the failed ones.

Off every hot path. What waits is found in the sparse index of open jobs. What has failed stands in
no index, because none is worth a write for each job; so the whole table is read, page by page, and
the operator is told before what that costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobs.job import JobStatus
from jobs.timeline import StepName
from jobs.times import written_time
from jobs.told import accepted_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from jobs.job import Job, JobId, UserId

REDRIVEN_IN_BULK = frozenset({JobStatus.FAILED, JobStatus.EXPIRED})
MOST_ENTRIES = 20_000  # of the index that one search reads


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Open jobs, the oldest first; `is_whole` says that no more of them were there to look at."""

    jobs: tuple[Job, ...]
    is_whole: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A job that ended without a result; `error` is its code."""

    job: JobId
    user: UserId
    status: JobStatus
    ended_at: datetime
    error: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How much there is to read, as the store last counted it, some hours ago."""

    items: int
    size_bytes: int


class Finder(Protocol):
    """The operator's view of the table. Every method may raise Unavailable, Misconfigured."""

    def find_open(self, before: datetime, *, now: datetime, limit: int) -> Found:
        """Find up to `limit` jobs that are open and were accepted, or redriven, before then.

        What was written a moment ago may not be seen yet.
        """

    def find_failed(self, since: datetime, *, user: UserId | None) -> Iterator[Ended]:
        """Find those that are FAILED or EXPIRED and ended since then, in no order; no parts.

        Without a user the whole table is read, a page when it is asked for.
        """

    def size(self) -> Size:
        """Say how big the table is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stuck:
    """An open job as an operator looks at it; `why` is as far as its row tells."""

    job: Job
    since: datetime
    last_step: StepName
    holder: str | None
    why: str


def look_at(job: Job, now: datetime) -> Stuck:
    """Say of an open job what is known of its wait."""
    claims = [step.by for step in job.timeline if step.name is StepName.CLAIMED]
    is_held = job.status is JobStatus.RUNNING and not job.is_divided
    return Stuck(
        job=job,
        since=accepted_at(job),
        last_step=job.timeline[-1].name if job.timeline else StepName.WRITTEN,
        holder=claims[-1] if claims and is_held else None,
        why=_why(job, now),
    )


def _why(job: Job, now: datetime) -> str:
    if job.is_divided and job.division is not None:
        return f"its parts run: {job.division.done} of {job.division.total} are done"
    if job.status is JobStatus.RUNNING:
        if job.lease_until is not None and job.lease_until < now:
            return f"its worker is gone{_sweep_told(job, now)}"
        called = any(
            step.name is StepName.INVOKED and step.attempt == job.attempt for step in job.timeline
        )
        return "the model works on it" if called else "its worker prepares the call"
    if job.not_before is not None and job.not_before > now:
        cause = f" after {job.error.code}" if job.error is not None else ""
        return f"waits until {written_time(job.not_before)}{cause}"
    if job.sweeps:
        return (
            f"triggered again {job.sweeps} times and not claimed: no worker, no room, or its turn"
            " has not come"
        )
    return f"waits for a worker{_sweep_told(job, now)}"


def _sweep_told(job: Job, now: datetime) -> str:
    if job.due_at is None:
        return ""
    if job.due_at > now:
        return f"; the sweep looks at it at {written_time(job.due_at)}"
    return f"; the sweep should have looked at it at {written_time(job.due_at)}: does a feed run?"
