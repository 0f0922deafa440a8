"""Gather: note each part that has ended with its job, and let the job go on when all are done.

A part's terminal row is the outbox: the feed notes it from the record, at least once. What it has
missed the sweep finds, and the worker that divided the job looks once when the job is divided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs import seq
from jobs.cancel import cancel_job
from jobs.divide import PARENT_OVER
from jobs.errors import JobMoved, JobNotFound
from jobs.events import progress_event, terminal_event
from jobs.job import JobError, JobStatus
from jobs.outcome import Failed, Gathered
from jobs.plan import part_id
from jobs.timeline import Step, StepName
from jobs.told import described

if TYPE_CHECKING:
    from jobs.cancel import CancelParts
    from jobs.division import Division, PartOf
    from jobs.job import Job
    from jobs.ports import Clock, EventBus, JobStore, Log

_LONGEST_MESSAGE = 2_000


@dataclass(frozen=True, kw_only=True)
class GatherParts:
    """What gathering needs."""

    store: JobStore
    events: EventBus
    clock: Clock
    log: Log
    process: str


def gather_part(ended: PartOf, parts: GatherParts) -> None:
    """Note a part of which a record says that it ended; the rows decide. Raises Unavailable."""
    try:
        job = parts.store.get(ended.job)
    except JobNotFound:
        return
    if job.is_divided and job.division is not None and job.division.plan == ended.plan:
        _gather(job, [ended.number], parts)


def gather_all(job: Job, parts: GatherParts) -> None:
    """Note all parts of a divided job that have ended meanwhile. Raises Unavailable."""
    if job.is_divided and job.division is not None:
        _gather(job, job.division.missing, parts)


def end_parts_of(job: Job, division: Division, parts: CancelParts) -> None:
    """End the parts of a job that has ended: nobody needs them, so nothing more is paid.

    Done parts stay as they are for a redrive, and go with their job. Raises Unavailable.
    """
    for number in range(1, division.total + 1):
        try:
            part = parts.store.get(part_id(job.id, division.plan, number))
        except JobNotFound:
            continue
        if not part.status.is_terminal:
            cancel_job(part, parts)
        if job.ended_at is not None and job.retention is not None:
            parts.store.keep_until(part.id, job.ended_at + job.retention)


def _gather(job: Job, numbers: list[int], parts: GatherParts) -> None:
    """Note these parts, and move the job on where they leave nothing to wait for.

    Each is read after its job was: what an earlier round left is not taken for this one's.
    """
    try:
        for number in numbers:
            job = _note(job, number, parts)
            if not job.is_divided:
                return
        if job.division is not None and job.division.is_whole:
            _send_on(job, f"all {job.division.total} parts are done", parts)
    except JobMoved:
        return  # cancelled, expired or gathered by another


def _note(job: Job, number: int, parts: GatherParts) -> Job:
    assert job.division is not None  # noqa: S101 - the callers' condition
    if number in job.division.ended:
        return job
    try:
        part = parts.store.get(part_id(job.id, job.division.plan, number))
    except JobNotFound:
        return _send_on(job, f"part {number} is gone and has to run again", parts)
    if not part.status.is_terminal:
        return job
    if part.status is JobStatus.COMPLETED:
        return _note_done(job, part, number, parts)
    if part.status is JobStatus.CANCELLED or (part.error and part.error.code == PARENT_OVER):
        # By the end of an earlier round, which came late: only the job's own end cancels parts.
        return _send_on(job, f"part {number} has to run again", parts)
    return _fail(job, part, parts)


def _note_done(job: Job, part: Job, number: int, parts: GatherParts) -> Job:
    job = parts.store.note_part(job, number, parts.clock.now())
    assert job.division is not None  # noqa: S101 - it was noted there
    parts.log.info(
        "part_done",
        job_id=job.id,
        part_id=part.id,
        trace_id=job.trace.id,
        done=job.division.done,
        total=job.division.total,
    )
    if (event := progress_event(job)) is not None:
        parts.events.publish(event)
    return job


def _send_on(job: Job, detail: str, parts: GatherParts) -> Job:
    """Let the job wait for a worker, by whom it is reduced, or planned again; the feed sees it."""
    now = parts.clock.now()
    step = Step(name=StepName.GATHERED, at=now, by=parts.process, detail=detail)
    job = parts.store.change(job, Gathered(at=now, seq=seq.next_first(job.epoch), steps=(step,)))
    parts.log.info("job_gathered", job_id=job.id, trace_id=job.trace.id)
    return job


def _fail(job: Job, part: Job, parts: GatherParts) -> Job:
    """End the job because a part has no answer; the feed then ends the other parts."""
    now, error = parts.clock.now(), _error_of(part)
    step = Step(name=StepName.FAILED, at=now, by=parts.process, error=error.code)
    job = parts.store.change(
        job, Failed(at=now, seq=seq.next_first(job.epoch), error=error, steps=(step,))
    )
    parts.log.info(
        "job_failed_by_part",
        job_id=job.id,
        part_id=part.id,
        trace_id=job.trace.id,
        **described(job),
    )
    if (event := terminal_event(job)) is not None:
        parts.events.publish(event)
    return job


def _error_of(part: Job) -> JobError:
    assert part.part is not None  # noqa: S101 - it is one
    which = f"part {part.part.number} of {part.part.total} ({part.part.pages})"
    why = f"{part.error.code}: {part.error.message}" if part.error else part.status
    return JobError(
        code="part_failed",
        message=f"{which} failed: {why}"[:_LONGEST_MESSAGE],
        retryable=part.error.retryable if part.error else True,
    )
