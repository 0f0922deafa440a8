"""Replay: look again at the job of a record that was rejected.

The row is the truth: what the record said of it does not matter any more, and it need not have
become readable. A job that waits is triggered; the claim decides, as for any other task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.errors import JobNotFound, RecordUnreadable
from jobs.task import Task

if TYPE_CHECKING:
    from jobs.feed_ports import RejectedRecords
    from jobs.job import JobId
    from jobs.ports import Clock, JobStore, TaskQueue
    from jobs.rejected import RejectedRecord


@dataclass(frozen=True, kw_only=True)
class ReplayParts:
    """What replaying needs."""

    rejected: RejectedRecords
    store: JobStore
    queue: TaskQueue
    clock: Clock
    process: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What became of a rejected record: removed, or kept because its job cannot be seen to."""

    is_removed: bool
    told: str


def replay(rejected: RejectedRecord, parts: ReplayParts) -> Replayed:
    """Trigger the record's job if it waits, and forget the record unless its row is a riddle, too.

    Raises Unavailable; then the record is still there and can be replayed again.
    """
    job_id = rejected.record.job_id
    if job_id is None:
        return Replayed(is_removed=False, told="kept: the record names no job")
    try:
        told = _trigger_if_it_waits(job_id, parts)
    except RecordUnreadable as error:
        return Replayed(is_removed=False, told=f"kept: the row of {job_id} is unreadable: {error}")
    parts.rejected.remove(rejected.id)
    return Replayed(is_removed=True, told=told)


def _trigger_if_it_waits(job_id: JobId, parts: ReplayParts) -> str:
    try:
        job = parts.store.get(job_id)
    except JobNotFound:
        return f"removed: there is no job {job_id}"
    if not job.status.is_pending:
        return f"removed: job {job_id} is {job.status} and waits for nobody"
    parts.queue.enqueue([Task.of(job, now=parts.clock.now(), by=parts.process)])
    return f"job {job_id} triggered"
