"""Expire: end a job that did not start, or did not finish, in its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs import seq
from jobs.events import terminal_event
from jobs.fenced import tell_holder
from jobs.job import JobError
from jobs.outcome import Expired
from jobs.timeline import Step, StepName
from jobs.told import described

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.fenced import Holders
    from jobs.job import Job
    from jobs.ports import Clock, EventBus, JobStore, Log


@dataclass(frozen=True, kw_only=True)
class ExpireParts:
    """What expiring needs."""

    store: JobStore
    events: EventBus
    holders: Holders
    clock: Clock
    log: Log
    process: str


def expiry_of(job: Job, now: datetime) -> JobError | None:
    """Say why a job is to expire, or None while its time is not over."""
    if job.status.is_terminal:
        return None
    if job.run_by is not None and job.run_by <= now:
        return run_timeout(job)
    if job.start_by is not None and job.start_by <= (job.started_at or now):
        waited = "it did not start in its time"
        return JobError(code="start_timeout", message=waited, retryable=True)
    return None


def run_timeout(job: Job) -> JobError:
    """Say that a job did not finish in its time."""
    seconds = job.run_timeout.total_seconds() if job.run_timeout else 0
    return JobError(
        code="run_timeout", message=f"it did not finish within {seconds:g} s", retryable=True
    )


def expire_job(job: Job, parts: ExpireParts) -> Job:
    """End a job whose time is over. Raises JobMoved where someone moves it at this moment."""
    now = parts.clock.now()
    error = expiry_of(job, now)
    if error is None:
        return job
    step = Step(name=StepName.EXPIRED, at=now, by=parts.process, error=error.code)
    expired = Expired(at=now, seq=seq.next_first(job.epoch), error=error, steps=(step,))
    before, job = job, parts.store.change(job, expired)
    tell_holder(before, job, parts.holders)
    parts.log.info("job_expired", job_id=job.id, trace_id=job.trace.id, **described(job))
    if (event := terminal_event(job)) is not None:
        parts.events.publish(event)
    return job
