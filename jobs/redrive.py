"""Redrive: let a job that ended without a result wait again, for a new round of attempts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobs import seq
from jobs.announce import announce, announcement_of
from jobs.errors import JobMoved, NotRedrivable
from jobs.events import queued_event
from jobs.job import JobStatus
from jobs.outcome import Redriven
from jobs.timeline import MOST_STEPS_TO_REDRIVE, Step, StepName
from jobs.tracing import UNTRACED, SpanKind

if TYPE_CHECKING:
    from jobs.announce import AnnounceParts
    from jobs.in_flight import Ceiling
    from jobs.job import Job
    from jobs.ports import Clock, EventBus, JobStore, Log, Nudge
    from jobs.trace import Trace
    from jobs.tracing import Span, Tracer

_REDRIVABLE = frozenset({JobStatus.FAILED, JobStatus.EXPIRED, JobStatus.CANCELLED})


@dataclass(frozen=True, kw_only=True)
class RedriveParts:
    """What redriving needs; `attempts` is how many calls the new round may cost."""

    store: JobStore
    events: EventBus
    feed: Nudge
    announcing: AnnounceParts
    clock: Clock
    log: Log
    process: str
    attempts: int
    ceiling: Ceiling | None = None
    tracer: Tracer = UNTRACED


def redrive_job(job: Job, parts: RedriveParts, *, asked: Trace | None = None) -> Job:
    """Let the job wait again and give the row. Raises NotRedrivable, TooManyJobs.

    Of two callers who redrive at once one is refused: the job then waits already. `asked` is the
    trace of the request: the new round is a root in the job's own trace that links to both.
    """
    if job.status not in _REDRIVABLE:
        raise NotRedrivable(
            f"job {job.id} is {job.status}: what has completed, or has not ended, stays"
        )
    if len(job.timeline) >= MOST_STEPS_TO_REDRIVE:
        raise NotRedrivable(f"job {job.id} has been redriven too often; submit a new one")
    if job.due_at is not None and (ended := announcement_of(job)) is not None:
        announce([ended], parts.announcing)  # the row is about to forget this end
    if parts.ceiling is not None:
        parts.ceiling.admit(job.user, job.id)  # where this breaks off, a look finds it ended
    with _begin_round(job, asked, parts) as span:
        return _redrive(job, span.trace, parts)


def _begin_round(job: Job, asked: Trace | None, parts: RedriveParts) -> Span:
    links = [job.trace] if asked is None else [job.trace, asked]
    facts = {"longhaul.job_id": job.id}
    root = replace(job.trace, parent=None)
    return parts.tracer.begin("job.redrive", SpanKind.INTERNAL, root, facts=facts, links=links)


def _redrive(job: Job, trace: Trace, parts: RedriveParts) -> Job:
    now = parts.clock.now()
    redriven = Redriven(
        at=now,
        seq=seq.next_first(job.epoch),
        max_attempts=job.attempt + parts.attempts,
        steps=(Step(name=StepName.REDRIVEN, at=now, by=parts.process),),
        trace=None if trace.parent is None else trace,
    )
    try:
        job = parts.store.change(job, redriven)
    except JobMoved as error:
        raise NotRedrivable(f"job {job.id} was redriven or deleted just now") from error
    parts.feed.nudge()
    parts.log.info("job_redriven", job_id=job.id, trace_id=job.trace.id)
    parts.events.publish(queued_event(job))
    return job
