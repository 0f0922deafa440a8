"""Due: when someone should look at a job again, if nothing has moved it until then.

Rows that are not ended stand in a sparse index by this time, spread over SHARDS partition keys so
that no single one is hot. Ended rows leave the index; one whose end is to be announced leaves it
when the announcement is certain (jobs/announce.py).
"""

from __future__ import annotations

import zlib
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.job import JobStatus

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.job import Job, JobId

SHARDS = 16
DISPATCH_GRACE = timedelta(seconds=30)  # far above the feed's usual milliseconds
RETRY_GRACE = timedelta(seconds=3)  # far above a timer's; the timer may have died with its worker
ANNOUNCE_GRACE = timedelta(seconds=30)  # the feed makes the delivery long before
LONGEST_GRACE = timedelta(minutes=15)
PARTS_GRACE = timedelta(seconds=30)  # the feed notes each part's end long before


def due_shard(job_id: JobId) -> str:
    """Give the index's partition key, the same for a job's whole life."""
    return f"{zlib.crc32(job_id.encode()) % SHARDS:02d}"


def first_due_at(job: Job) -> datetime:
    """Give the time to look at a job that has just begun to wait."""
    if job.not_before is not None:
        return _before_expiry(job, job.not_before + RETRY_GRACE)
    return _before_expiry(job, (job.queued_at or job.created_at) + DISPATCH_GRACE)


def look_at_parts_at(job: Job, now: datetime) -> datetime:
    """Give the time to look at the parts of a divided job, in case the feed has not."""
    return _before_expiry(job, now + PARTS_GRACE)


def is_first_look(job: Job) -> bool:
    """Tell whether nobody has looked at a running job since its claim was given or renewed.

    Both write one time as the lease's end and as the time to look again.
    """
    is_held = job.status is JobStatus.RUNNING and not job.is_divided
    return is_held and job.due_at == job.lease_until


def second_look_at(now: datetime, lease: timedelta) -> datetime:
    """Give the time by which a holder that lives has renewed: it does so every third of a lease."""
    return now + lease / 2


def next_due_at(job: Job, now: datetime) -> datetime:
    """Give the time to look again at a due job that is triggered now.

    Each time twice as much later, so that a long queue is not told twice a moment.
    """
    doublings: int = 2 ** min(job.sweeps, 10)
    return _before_expiry(job, now + min(DISPATCH_GRACE * doublings, LONGEST_GRACE))


def _before_expiry(job: Job, at: datetime) -> datetime:
    """Look no later than the job may have to expire."""
    limits = [job.run_by] if job.started_at else [job.start_by]
    if job.status is JobStatus.RUNNING and not job.is_divided:
        limits = []  # its holder keeps the time, and its lease is due soon
    return min([at, *(limit for limit in limits if limit is not None)])
