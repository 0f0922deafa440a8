"""Find: what an operator looks for among everybody's jobs, the stuck ones and the failed ones.

Off every hot path. What waits is found in the sparse index of open jobs. What has failed stands in
no index, because none is worth a write for each job; so the whole table is read, page by page, and
the operator is told before what that costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from jobs.due import is_first_look, second_look_at
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
QUIET = timedelta(seconds=30)  # a worker says every ten seconds how much room it has


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
class Heard:
    """What is known of a worker from afar: whether it listens now, and when it last said its room.

    `ago` is None where it has not said it within the last minute, as one that drains.
    """

    listens: bool
    ago: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stuck:
    """An open job as an operator looks at it; `why` is as far as its row and its worker tell.

    `rescue_at` is when the sweep takes it from a holder that renews no more; None without one.
    """

    job: Job
    since: datetime
    last_step: StepName
    holder: str | None
    rescue_at: datetime | None
    why: str


def holder_of(job: Job) -> str | None:
    """Name the process whose claim a job is, or None where it is nobody's."""
    if job.status is not JobStatus.RUNNING or job.is_divided:
        return None
    claims = [step.by for step in job.timeline if step.name is StepName.CLAIMED]
    return claims[-1] if claims else None


def look_at(
    job: Job,
    now: datetime,
    *,
    lease: timedelta,
    heard: Heard | None = None,
    is_in_line: bool | None = None,
) -> Stuck:
    """Say of an open job what is known of its wait.

    `lease` is the one that workers claim with; `heard` is of the job's holder, `is_in_line` says
    whether a worker has taken its task and it only waits for its turn (jobs/slots.py). Both are
    None where nobody could be asked.
    """
    rescue_at = _rescue_at(job, lease)
    return Stuck(
        job=job,
        since=accepted_at(job),
        last_step=job.timeline[-1].name if job.timeline else StepName.WRITTEN,
        holder=holder_of(job),
        rescue_at=rescue_at,
        why=_why(job, now, is_in_line=is_in_line)
        if rescue_at is None
        else _held(job, now, heard, rescue_at),
    )


def _rescue_at(job: Job, lease: timedelta) -> datetime | None:
    """Tell when the sweep moves a running job that nobody renews: at its second look."""
    if job.status is not JobStatus.RUNNING or job.is_divided or job.lease_until is None:
        return None
    if is_first_look(job) or job.due_at is None:
        return second_look_at(job.lease_until, lease)
    return job.due_at


def _held(job: Job, now: datetime, heard: Heard | None, rescue_at: datetime) -> str:
    """Say what a job's holder does, by what is known of that process."""
    rescue = f"the sweep takes it up after {written_time(rescue_at)}"
    if rescue_at < now:
        rescue = f"the sweep should have taken it up at {written_time(rescue_at)}: does a feed run?"
    worker = f"its worker {holder_of(job) or ''}".rstrip()
    is_over = job.lease_until is not None and job.lease_until < now
    if heard is None:
        unknown = f"{_work_of(job)}, as its row has it: Redis does not say whether it lives"
        return f"its worker is gone; {rescue}" if is_over else unknown
    if not heard.listens:
        return f"{worker} has not been heard of for {_told_span(heard.ago)}; {rescue}"
    if is_over:
        return f"{worker} lives and does not renew: its store is away, or a clock is off; {rescue}"
    if heard.ago is not None and heard.ago > QUIET:
        return f"{worker} has said nothing for {_told_span(heard.ago)}: does it hang? else {rescue}"
    return _work_of(job)


def _work_of(job: Job) -> str:
    called = any(
        step.name is StepName.INVOKED and step.attempt == job.attempt for step in job.timeline
    )
    return "the model works on it" if called else "its worker prepares the call"


def _told_span(span: timedelta | None) -> str:
    return "more than a minute" if span is None else f"{max(0, round(span.total_seconds()))} s"


def _why(job: Job, now: datetime, *, is_in_line: bool | None) -> str:
    if job.is_divided and job.division is not None:
        return f"its parts run: {job.division.done} of {job.division.total} are done"
    if job.not_before is not None and job.not_before > now:
        cause = f" after {job.error.code}" if job.error is not None else ""
        return f"waits until {written_time(job.not_before)}{cause}"
    if is_in_line:
        return (
            "stands in line for its turn: the pace of its model, its user's share or the workers'"
            " room is spent"
        )
    if job.sweeps:
        again = f"triggered again {job.sweeps} times and not claimed"
        unknown = "no worker, no room, or its turn has not come"
        return f"{again}: {unknown if is_in_line is None else 'no worker has taken it'}"
    return f"waits for a worker{_sweep_told(job, now)}"


def _sweep_told(job: Job, now: datetime) -> str:
    if job.due_at is None:
        return ""
    if job.due_at > now:
        return f"; the sweep looks at it at {written_time(job.due_at)}"
    return f"; the sweep should have looked at it at {written_time(job.due_at)}: does a feed run?"
