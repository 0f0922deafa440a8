"""Transitions: what each write does to a job. Pure; every store applies these and no others.

PENDING | PENDING_RETRY --claim--> RUNNING --settle--> COMPLETED | FAILED | EXPIRED
              ^                       |                 | PENDING_RETRY
              |                       +--claim (the lease is over)--> RUNNING
              +------redrive------ FAILED | EXPIRED | CANCELLED
any that has not ended --cancel | expire--> CANCELLED | EXPIRED
CANCELLED --keep what had come--> CANCELLED, with a result
RUNNING --settle, divided--> RUNNING without a lease --gather--> PENDING | FAILED
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from jobs import seq
from jobs.due import ANNOUNCE_GRACE, first_due_at, look_at_parts_at
from jobs.job import JobStatus
from jobs.outcome import (
    Cancelled,
    Completed,
    Divided,
    Expired,
    Failed,
    Gathered,
    Redriven,
    Retrying,
)

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.claim import Claim, ClaimTerms
    from jobs.division import Division
    from jobs.job import Job
    from jobs.outcome import Change, Outcome, Partial


def is_claimable(job: Job, at: datetime) -> bool:
    """Tell whether a claim may take the job: the pattern's condition, as a pure function."""
    if job.status.is_pending:
        return job.not_before is None or job.not_before <= at
    lapsed = job.lease_until is not None and job.lease_until < at
    return job.status is JobStatus.RUNNING and lapsed


def claimed(job: Job, terms: ClaimTerms) -> Job:
    """Give the job to a claimant: the epoch rises and the attempt counts."""
    return replace(
        job,
        status=JobStatus.RUNNING,
        epoch=job.epoch + 1,
        attempt=job.attempt + 1,
        seq=seq.first_in(job.epoch + 1),
        lease_until=terms.lease_until,
        due_at=terms.lease_until,
        sweeps=0,
        started_at=job.started_at or terms.at,
        updated_at=terms.at,
        not_before=None,
        error=None,
        timeline=(*job.timeline, *terms.steps),
    )


def settled(job: Job, outcome: Outcome) -> Job:
    """End the claim as its holder says."""
    job = replace(
        job,
        seq=outcome.seq,
        updated_at=outcome.at,
        lease_until=None,
        timeline=(*job.timeline, *outcome.steps),
    )
    match outcome:
        case Completed(result=result):
            return replace(_ended(job, JobStatus.COMPLETED, outcome.at), result=result)
        case Failed(error=error):
            return replace(_ended(job, JobStatus.FAILED, outcome.at), error=error)
        case Expired(error=error):
            return replace(_ended(job, JobStatus.EXPIRED, outcome.at), error=error)
        case Retrying():
            return _waiting(
                replace(
                    job,
                    status=JobStatus.PENDING_RETRY,
                    error=outcome.error,
                    not_before=outcome.not_before,
                    attempt=job.attempt - int(outcome.gives_back),
                    retry_counts=outcome.retry_counts,
                )
            )
        case Divided():  # no call was begun: the attempt does not count
            job = replace(job, attempt=job.attempt - 1)
            return replace(job, due_at=look_at_parts_at(job, outcome.at))
        case _:
            assert_never(outcome)


def changed(job: Job, change: Change) -> Job:
    """Take the job from whoever holds it: the epoch rises."""
    job = replace(
        job,
        epoch=job.epoch + 1,
        seq=change.seq,
        updated_at=change.at,
        lease_until=None,
        timeline=(*job.timeline, *change.steps),
    )
    match change:
        case Cancelled():
            return replace(_ended(job, JobStatus.CANCELLED, change.at), error=None)
        case Expired(error=error):
            return replace(_ended(job, JobStatus.EXPIRED, change.at), error=error)
        case Failed(error=error):
            return replace(_ended(job, JobStatus.FAILED, change.at), error=error)
        case Gathered():
            return _waiting(replace(job, status=JobStatus.PENDING, queued_at=change.at))
        case Redriven():
            return _waiting(
                replace(
                    job,
                    status=JobStatus.PENDING,
                    queued_at=change.at,
                    max_attempts=change.max_attempts,
                    retry_counts=(),
                    started_at=None,
                    ended_at=None,
                    error=None,
                    result=None,
                    trace=change.trace or job.trace,
                )
            )
        case _:
            assert_never(change)


def begun_to_divide(job: Job, division: Division) -> Job:
    """Note how the job is about to be divided; of an earlier round's parts nothing is noted yet."""
    return replace(job, division=division)


def with_part_done(job: Job, number: int, at: datetime) -> Job:
    """Note that one more part of a divided job is done: one event, and no change of state."""
    assert job.division is not None  # noqa: S101 - only a divided job's parts are noted
    ended = job.division.ended | {number}
    return replace(job, seq=job.seq + 1, updated_at=at, division=replace(job.division, ended=ended))


def was_cancelled_under(job: Job, claim: Claim) -> bool:
    """Tell whether the job ended because it was taken from this claim by a cancel."""
    return job.status is JobStatus.CANCELLED and job.epoch == claim.epoch + 1


def with_partial(job: Job, partial: Partial) -> Job:
    """Add what had come to a cancelled job: no change of state, so no number and no event."""
    return replace(
        job,
        updated_at=partial.at,
        result=partial.result,
        timeline=(*job.timeline, *partial.steps),
    )


def _ended(job: Job, status: JobStatus, at: datetime) -> Job:
    due_at = at + ANNOUNCE_GRACE if job.receivers else None
    return replace(job, status=status, ended_at=at, not_before=None, due_at=due_at, sweeps=0)


def _waiting(job: Job) -> Job:
    return replace(job, due_at=first_due_at(job), sweeps=0)
