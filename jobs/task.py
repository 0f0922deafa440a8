"""The task: a trigger that a job may want a worker. The row alone decides whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.job import Job, JobId, ModelId, UserId
    from jobs.trace import Trace


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
