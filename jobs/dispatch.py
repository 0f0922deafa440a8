"""Dispatch: which change records are work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jobs.events import terminal_event
from jobs.task import Task

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.events import Event
    from jobs.job import Job, JobId, JobStatus
    from jobs.trace import Trace


class Change(StrEnum):
    """What happened to the row, in the stream's words."""

    INSERT = "INSERT"
    MODIFY = "MODIFY"
    REMOVE = "REMOVE"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeRecord:
    """One entry of the table's stream, as far as dispatch cares.

    `before` and `after` are the statuses in the old and the new image, None where there is none;
    `ended` is the row of a job that this change has ended.
    `at` is when the change was written, to the second.
    """

    sequence_number: str
    change: Change
    at: datetime
    job_id: JobId
    before: JobStatus | None
    after: JobStatus | None
    trace: Trace | None
    not_before: datetime | None = None
    ended: Job | None = None


def announcements_for(records: list[ChangeRecord]) -> list[Event]:
    """Make the terminal event of each record that says a job has ended: the row is the outbox.

    The worker tells it too, and sooner; watchers drop by its number what they have heard.
    """
    events = (terminal_event(record.ended) for record in records if record.ended is not None)
    return [event for event in events if event is not None]


def tasks_for(records: list[ChangeRecord], *, now: datetime, by: str) -> list[Task]:
    """Make a task of each record that says a job is waiting: a new row, or one waiting again."""
    return [
        Task(
            job_id=record.job_id,
            trace=record.trace,
            seen_at=now,
            enqueued_at=now,
            by=by,
            not_before=record.not_before,
        )
        for record in records
        if record.trace is not None and wants_worker(record)
    ]


def wants_worker(record: ChangeRecord) -> bool:
    """Tell whether the record left a job waiting that was not waiting before it."""
    if record.after is None or not record.after.is_pending:
        return False
    return record.before is None or not record.before.is_pending
