"""Cancel: end a job that its caller does not want any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs import seq
from jobs.errors import JobMoved
from jobs.events import terminal_event
from jobs.fenced import tell_holder
from jobs.outcome import Cancelled
from jobs.timeline import Step, StepName
from jobs.told import described

if TYPE_CHECKING:
    from jobs.fenced import Holders
    from jobs.job import Job
    from jobs.ports import Clock, EventBus, JobStore, Log


@dataclass(frozen=True, kw_only=True)
class CancelParts:
    """What cancelling needs."""

    store: JobStore
    events: EventBus
    holders: Holders
    clock: Clock
    log: Log
    process: str


def cancel_job(job: Job, parts: CancelParts) -> Job:
    """End the job as cancelled, unless it ends otherwise first, and give the row.

    Repeatable. Whoever runs the job is fenced out from this moment: a result that comes later is
    refused, so a caller who was told `CANCELLED` never sees `COMPLETED`. They are told at once, so
    that the model is not paid for longer than need be.
    """
    while not job.status.is_terminal:
        now = parts.clock.now()
        step = Step(name=StepName.CANCELLED, at=now, by=parts.process)
        try:
            before, job = (
                job,
                parts.store.change(
                    job, Cancelled(at=now, seq=seq.next_first(job.epoch), steps=(step,))
                ),
            )
        except JobMoved:
            job = parts.store.get(job.id)
            continue
        tell_holder(before, job, parts.holders)
        parts.log.info("job_cancelled", job_id=job.id, trace_id=job.trace.id, **described(job))
        if (event := terminal_event(job)) is not None:
            parts.events.publish(event)
    return job
