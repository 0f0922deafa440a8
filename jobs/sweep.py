"""Sweep: find the jobs that nobody is moving; trigger them again, or let them expire.

A task that never came, a wait whose timer died with its worker, a claim whose holder is gone: each
leaves a row whose time to look again has passed. The sweep makes a task of it, and the claim
decides, as for any other task. A job whose turn has not come looks the same but for the line it
stands in; its new task takes the old one's place there, and it is not told of as rescued.

A lease's end was written by its holder's clock, so that it is over by the sweeper's says little.
The sweep looks twice, half a lease apart by its own clock alone, and moves only what nobody has
renewed meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.announce import announce, announcement_of
from jobs.due import is_first_look, next_due_at, second_look_at
from jobs.errors import JobMoved, Misconfigured, Unavailable
from jobs.expire import ExpireParts, expire_job, expiry_of
from jobs.gather import GatherParts, gather_all
from jobs.sketch import sketch
from jobs.task import Task
from jobs.timeline import Step, StepName

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from jobs.announce import AnnounceParts
    from jobs.fenced import Holders
    from jobs.job import Job, JobId
    from jobs.ports import Clock, DueJobs, EventBus, JobStore, Log, TaskQueue
    from jobs.slots import Lines

BATCH = 200


@dataclass(frozen=True, kw_only=True)
class SweepParts:
    """What sweeping needs; `lease` is the one that workers claim with."""

    due: DueJobs
    store: JobStore
    events: EventBus
    holders: Holders
    queue: TaskQueue
    lines: Lines
    announcing: AnnounceParts
    clock: Clock
    log: Log
    process: str
    lease: timedelta


def sweep(parts: SweepParts) -> int:
    """Move a batch of what is due and say how many there were.

    Raises Unavailable; a job that was put off and not triggered is due again later.
    """
    now = parts.clock.now()
    jobs = parts.due.find(now, limit=BATCH)
    in_line = _in_line(jobs, parts)
    tasks: list[Task] = []
    try:
        for job in jobs:
            tasks += _move_or_pass_over(job, now, parts, is_in_line=job.id in in_line)
    finally:
        parts.queue.enqueue(tasks)  # what was put off must be triggered, whatever came after it
    return len(jobs)


def _in_line(jobs: Sequence[Job], parts: SweepParts) -> frozenset[JobId]:
    """Give those that only wait for their turn; where nobody can tell, none."""
    try:
        return parts.lines.standing(jobs) if jobs else frozenset()
    except Unavailable:
        return frozenset()


def _move_or_pass_over(
    job: Job, now: datetime, parts: SweepParts, *, is_in_line: bool
) -> list[Task]:
    """Move one job; one that cannot be moved must not stand in the way of all others."""
    try:
        task = _move(job, now, parts, is_in_line=is_in_line)
    except (Unavailable, Misconfigured):
        raise
    except Exception as error:  # noqa: BLE001 - see above
        parts.log.warning(
            "row_passed_over", job_id=job.id, trace_id=job.trace.id, reason=sketch(error)
        )
        return []
    return [] if task is None else [task]


def _move(job: Job, now: datetime, parts: SweepParts, *, is_in_line: bool) -> Task | None:
    """Expire the job, or put it off and make its task; None where there is nothing to do yet."""
    if job.status.is_terminal:
        _announce(job, parts)
        return None
    if is_first_look(job):
        if parts.due.put_off(job, second_look_at(now, parts.lease), None):
            parts.log.info("lease_seen_over", job_id=job.id, trace_id=job.trace.id)
        return None
    if expiry_of(job, now) is not None:
        _expire(job, parts)
        return None
    if job.is_divided:
        gather_all(job, _gathering(parts))
        parts.due.put_off(job, next_due_at(job, now), None)
        return None
    swept = Step(name=StepName.SWEPT, at=now, by=parts.process)
    if not parts.due.put_off(job, next_due_at(job, now), swept):
        return None
    keys = {"job_id": job.id, "trace_id": job.trace.id, "status": job.status}
    if is_in_line:
        parts.log.info("job_in_line", **keys)
    else:
        parts.log.warning("job_swept", **keys)
    return Task.of(job, now=now, by=parts.process)


def _announce(job: Job, parts: SweepParts) -> None:
    """Make sure of the announcement, whatever the feed has seen; then nothing is due any more."""
    if (ended := announcement_of(job)) is not None:
        announce([ended], parts.announcing)
    parts.due.let_go(job)


def _gathering(parts: SweepParts) -> GatherParts:
    return GatherParts(
        store=parts.store,
        events=parts.events,
        clock=parts.clock,
        log=parts.log,
        process=parts.process,
    )


def _expire(job: Job, parts: SweepParts) -> None:
    try:
        expire_job(
            job,
            ExpireParts(
                store=parts.store,
                events=parts.events,
                holders=parts.holders,
                clock=parts.clock,
                log=parts.log,
                process=parts.process,
            ),
        )
    except JobMoved:
        return  # somebody moved it, which is all that a sweep wants
