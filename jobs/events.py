"""Events: what watchers are told. References only, never a result; under 64 KiB each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jobs import seq
from jobs.job import JobStatus
from jobs.times import written_time

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from jobs.job import Job, JobError, JobId, UserId
    from jobs.trace import Trace, TraceId


class EventType(StrEnum):
    """The contract's event words."""

    QUEUED = "job.queued"
    STARTED = "job.started"
    DELTA = "job.delta"
    PROGRESS = "job.progress"
    RETRYING = "job.retrying"
    GAP = "stream.gap"  # told to one watcher, never published: something is missing
    COMPLETED = "job.completed"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"
    EXPIRED = "job.expired"

    @property
    def is_state(self) -> bool:
        """Whether it tells how far a job is; deltas do not."""
        return self not in {EventType.DELTA, EventType.GAP}

    @property
    def is_terminal(self) -> bool:
        """Whether it is a job's last event (of its round, where it is redriven)."""
        return self in TERMINAL_EVENTS.values()


TERMINAL_EVENTS = {
    JobStatus.COMPLETED: EventType.COMPLETED,
    JobStatus.FAILED: EventType.FAILED,
    JobStatus.CANCELLED: EventType.CANCELLED,
    JobStatus.EXPIRED: EventType.EXPIRED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event of one job; `delay` and `error` belong to `job.retrying`, `text` to deltas.

    `done` and `total` count a divided job's parts in `job.progress`.
    """

    job: JobId
    user: UserId
    seq: int
    type: EventType
    at: datetime
    trace: Trace
    attempt: int
    text: str | None = None
    delay: timedelta | None = None
    error: JobError | None = None
    done: int | None = None
    total: int | None = None

    @property
    def trace_id(self) -> TraceId:
        """Name the trace that it belongs to."""
        return self.trace.id


def queued_event(job: Job) -> Event:
    """Tell that a job has begun to wait: a new one, or one that was redriven."""
    return Event(
        job=job.id,
        user=job.user,
        seq=job.seq,
        type=EventType.QUEUED,
        at=job.queued_at or job.created_at,
        trace=job.trace,
        attempt=job.attempt,
    )


def started_event(job: Job) -> Event | None:
    """Tell from the row of an ended job that its last attempt began, or None where none did."""
    if job.started_at is None:
        return None
    return Event(
        job=job.id,
        user=job.user,
        seq=seq.first_in(seq.epoch_of(job.seq)),
        type=EventType.STARTED,
        at=job.started_at,
        trace=job.trace,
        attempt=job.attempt,
    )


def progress_event(job: Job) -> Event | None:
    """Tell from the row how far a divided job is, or None where it is not divided."""
    if not job.is_divided or job.division is None:
        return None
    return Event(
        job=job.id,
        user=job.user,
        seq=job.seq,
        type=EventType.PROGRESS,
        at=job.updated_at or job.created_at,
        trace=job.trace,
        attempt=job.attempt + 1,  # the one that was begun, and given back while the parts run
        done=job.division.done,
        total=job.division.total,
    )


def terminal_event(job: Job) -> Event | None:
    """Tell from the row alone how the job ended, or None while it has not.

    The row is the outbox: whoever missed the worker's own publish learns the same from here. The
    end of a part is not told: nobody watches it.
    """
    if job.ended_at is None or job.status not in TERMINAL_EVENTS or job.part is not None:
        return None
    return Event(
        job=job.id,
        user=job.user,
        seq=job.seq,
        type=TERMINAL_EVENTS[job.status],
        at=job.ended_at,
        trace=job.trace,
        attempt=job.attempt,
        error=job.error,
    )


def message_of(event: Event) -> dict[str, object]:
    """Write the event as the object that clients get over WebSocket and SSE."""
    message: dict[str, object] = {
        "type": "event",
        "job_id": event.job,
        "seq": event.seq,
        "event": event.type,
        "at": written_time(event.at),
        "trace_id": event.trace_id,
        "attempt": event.attempt,
    }
    if event.text is not None:
        message["text"] = event.text
    if event.done is not None:
        message |= {"done": event.done, "total": event.total}
    if event.delay is not None:
        message["delay_s"] = event.delay.total_seconds()
    if event.error is not None:
        message["error"] = {
            "code": event.error.code,
            "message": event.error.message,
            "retryable": event.error.retryable,
        }
    return message
