"""The task: a trigger that a job may want a worker. The row alone decides whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from jobs.errors import InvalidRequest
from jobs.job import ModelId, UserId, parse_job_id
from jobs.times import read_time, written_time
from jobs.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from jobs.job import Job, JobId


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What travels through the broker: references and times, never a payload.

    `user` and `model` decide whose turn it is; `seen_at`, `enqueued_at` and `by` are for the
    timeline.
    """

    job_id: JobId
    user: UserId
    model: ModelId
    trace: Trace
    seen_at: datetime
    enqueued_at: datetime
    by: str
    not_before: datetime | None = None

    @classmethod
    def of(cls, job: Job, *, now: datetime, by: str) -> Self:
        """Make the task of a job whose row is at hand."""
        return cls(
            job_id=job.id,
            user=job.user,
            model=job.model,
            trace=job.trace,
            seen_at=now,
            enqueued_at=now,
            by=by,
            not_before=job.not_before,
        )


def write_task(task: Task) -> dict[str, str]:
    """Write a task as texts."""
    fields = {
        "job_id": task.job_id,
        "user": task.user,
        "model": task.model,
        "trace": task.trace.header,
        "seen_at": written_time(task.seen_at),
        "enqueued_at": written_time(task.enqueued_at),
        "by": task.by,
    }
    if task.not_before is not None:
        fields["not_before"] = written_time(task.not_before)
    return fields


def read_task(fields: Mapping[str, object]) -> Task:
    """Read a task. Raises InvalidRequest: whoever can reach Redis can send anything."""
    try:
        job_id = parse_job_id(_text(fields, "job_id"))
        trace = Trace.from_xray(_text(fields, "trace"))
        if job_id is None or trace is None:
            raise InvalidRequest("a task without a job id or a trace")
        return Task(
            job_id=job_id,
            user=UserId(_text(fields, "user")),
            model=ModelId(_text(fields, "model")),
            trace=trace,
            seen_at=read_time(_text(fields, "seen_at")),
            enqueued_at=read_time(_text(fields, "enqueued_at")),
            by=_text(fields, "by"),
            not_before=read_time(_text(fields, "not_before")) if "not_before" in fields else None,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidRequest(f"a task that cannot be read: {error!r}") from error


def _text(fields: Mapping[str, object], name: str) -> str:
    if not isinstance(value := fields[name], str):
        raise TypeError(f"{name} is no text")
    return value
