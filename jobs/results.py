"""Results: where a job's answer can be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.errors import JobNotEnded, JobNotFound, NoResult

if TYPE_CHECKING:
    from jobs.job import Job, JobId, Result, UserId
    from jobs.ports import JobStore


def get_own_job(job_id: JobId, user: UserId, store: JobStore) -> Job:
    """Read a caller's own job. Raises JobNotFound for another's, as if it were not there.

    A part is not shown: it is its job that was asked for.
    """
    job = store.get(job_id)
    if job.user != user or job.part is not None:
        raise JobNotFound(f"there is no job {job_id}")
    return job


def result_of(job: Job) -> Result:
    """Give an ended job's result. Raises JobNotEnded before its end, NoResult without one."""
    if not job.status.is_terminal:
        raise JobNotEnded(f"job {job.id} is {job.status}; its result comes with its end")
    if job.result is None:
        because = f": {job.error.message}" if job.error else ""
        raise NoResult(f"job {job.id} is {job.status} and has no result{because}")
    return job.result
