"""The task: a trigger that a job may want a worker. The row alone decides whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.job import JobId
    from jobs.trace import Trace


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What travels through the broker: references and times, never a payload.

    `seen_at` and `enqueued_at` and `by` are for the timeline.
    """

    job_id: JobId
    trace: Trace
    seen_at: datetime
    enqueued_at: datetime
    by: str
    not_before: datetime | None = None
