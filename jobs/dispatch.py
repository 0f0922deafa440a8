"""Dispatch: which change records are work."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jobs.announce import Announcement
from jobs.task import Task

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from jobs.division import Division, PartOf
    from jobs.events import Event
    from jobs.job import JobId, JobStatus, ModelId, UserId
    from jobs.receiver import Receiver
    from jobs.trace import Trace, TraceId


class Change(StrEnum):
    """What happened to the row, in the stream's words."""

    INSERT = "INSERT"
    MODIFY = "MODIFY"
    REMOVE = "REMOVE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """What a change left in the row, as far as dispatch cares; `end` tells how an ended job did.

    Nobody is told of a part's end but its job: a part has no `end`.
    """

    status: JobStatus
    user: UserId
    model: ModelId
    trace: Trace
    not_before: datetime | None = None
    end: Event | None = None
    receivers: tuple[Receiver, ...] = ()
    part: PartOf | None = None
    division: Division | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeRecord:
    """One entry of the table's stream.

    `before` is the status in the old image and `after` the new image, None where there is none;
    `at` is when the change was written, to the second.
    """

    sequence_number: str
    change: Change
    at: datetime
    job_id: JobId
    before: JobStatus | None
    after: Image | None


def tasks_for(records: list[ChangeRecord], *, now: datetime, by: str) -> list[Task]:
    """Make a task of each record that says a job is waiting: a new row, or one waiting again."""
    return [
        Task(
            job_id=record.job_id,
            user=image.user,
            model=image.model,
            trace=image.trace,
            seen_at=now,
            enqueued_at=now,
            by=by,
            not_before=image.not_before,
        )
        for record in records
        if (image := record.after) is not None and wants_worker(record)
    ]


def wants_worker(record: ChangeRecord) -> bool:
    """Tell whether the record left a job waiting that was not waiting before it."""
    if record.after is None or not record.after.status.is_pending:
        return False
    return record.before is None or not record.before.is_pending


def ends_in(records: Iterable[ChangeRecord]) -> list[Image]:
    """Give the image of each record in which a job ended."""
    return [
        record.after
        for record in records
        if record.after is not None
        and record.after.end is not None
        and not (record.before is not None and record.before.is_terminal)
    ]


def part_ends_in(records: Iterable[ChangeRecord]) -> list[tuple[PartOf, TraceId]]:
    """Say which parts ended, and in which trace, which is their job's."""
    return [
        (record.after.part, record.after.trace.id)
        for record in records
        if record.after is not None and record.after.part is not None and _ended_in(record)
    ]


def divided_ends_in(records: Iterable[ChangeRecord]) -> list[tuple[JobId, Division, TraceId]]:
    """Say which jobs ended that had been divided, how, and in which trace."""
    return [
        (record.job_id, record.after.division, record.after.trace.id)
        for record in records
        if record.after is not None and record.after.division is not None and _ended_in(record)
    ]


def _ended_in(record: ChangeRecord) -> bool:
    is_over = record.after is not None and record.after.status.is_terminal
    return is_over and not (record.before is not None and record.before.is_terminal)


def announcements_for(images: Iterable[Image]) -> list[Announcement]:
    """Say which ends someone wants to be told of."""
    return [
        Announcement(event=image.end, receivers=image.receivers)
        for image in images
        if image.end is not None and image.receivers
    ]


def is_too_old(record: ChangeRecord, now: datetime, *, most: timedelta | None) -> bool:
    """Tell whether the record is work that the sweep is to find instead: older than `most`."""
    return most is not None and wants_worker(record) and now - record.at > most
