"""Results: where a job's answer can be had."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from jobs.errors import JobNotEnded, JobNotFound, NoResult

if TYPE_CHECKING:
    from jobs.job import Job, JobId, Payload, Result, UserId
    from jobs.ports import JobStore


class Form(StrEnum):
    """In what form an answer is given: its text, or the JSON in which a native one came."""

    TEXT = "text"
    RAW = "raw"


def get_own_job(job_id: JobId, user: UserId, store: JobStore) -> Job:
    """Read a caller's own job. Raises JobNotFound for another's, as if it were not there.

    A part is not shown: it is its job that was asked for.
    """
    return own_job(store.get(job_id), user)


def own_job(job: Job, user: UserId) -> Job:
    """Give a job that is the caller's. Raises JobNotFound for any other."""
    if job.user != user or job.part is not None:
        raise JobNotFound(f"there is no job {job.id}")
    return job


def result_of(job: Job) -> Result:
    """Give an ended job's result. Raises JobNotEnded before its end, NoResult without one."""
    if not job.status.is_terminal:
        raise JobNotEnded(f"job {job.id} is {job.status}; its result comes with its end")
    if job.result is None:
        because = f": {job.error.message}" if job.error else ""
        raise NoResult(f"job {job.id} is {job.status} and has no result{because}")
    return job.result


def payload_of(job: Job, form: Form | None) -> tuple[Form, Payload]:
    """Give an ended job's answer in a form; unasked, a native answer is raw. Raises as result_of.

    NoResult also where the raw form is asked of an answer that has none.
    """
    result = result_of(job)
    if form is not Form.TEXT and result.raw is not None:
        return Form.RAW, result.raw
    if form is Form.RAW:
        raise NoResult(f"job {job.id} has no raw answer: only a native body's whole answer is one")
    return Form.TEXT, result.payload
