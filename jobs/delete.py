"""Delete: remove an ended job with all that belongs to it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobs.errors import JobNotEnded, JobNotFound
from jobs.plan import part_id
from jobs.results import own_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.event_log import EventLog
    from jobs.job import Job, JobId, ObjectKey, UserId
    from jobs.ports import Log


class RemovableJobs(Protocol):
    """The table of jobs, for who removes from it."""

    def read(self, job_id: JobId) -> Job:
        """Read a row, also one whose removal has begun. Raises JobNotFound."""

    def begin_removal(self, job: Job) -> Job:
        """Let nobody but who removes it find an ended job's row any more, and give it.

        Raises JobMoved where its epoch and status are no longer those of `job`. The epoch rises,
        so whoever is about to write is fenced out. Beginning twice begins once.
        """

    def remove(self, job: Job) -> None:
        """Remove a row. Raises JobMoved.

        It is removed only if its epoch and status are still those of `job`; a row that is not
        there is removed already.
        """


class JobObjects(Protocol):
    """The object store, by job."""

    def delete_all_of(self, job_id: JobId) -> None:
        """Remove every text that was put for a job: its prompt, results and kept answers."""

    def delete(self, key: ObjectKey) -> None:
        """Remove one object; one that is not there is removed already."""


@dataclass(frozen=True, kw_only=True)
class DeleteParts:
    """What deleting needs."""

    store: RemovableJobs
    objects: JobObjects
    event_log: EventLog
    log: Log


def delete_job(job_id: JobId, user: UserId, parts: DeleteParts) -> None:
    """Remove all that belongs to a caller's job and then its row: what broke off can be repeated.

    From the first write on nobody finds the job, so nobody lets it run again without its prompt.
    Raises JobNotFound, JobNotEnded, and JobMoved where the job was redriven meanwhile.
    """
    job = own_job(parts.store.read(job_id), user)
    if not job.status.is_terminal:
        raise JobNotEnded(f"job {job.id} is {job.status}; cancel it before you delete it")
    job = parts.store.begin_removal(job)
    for part in _parts_of(job, parts.store):
        parts.objects.delete_all_of(part.id)
        parts.store.remove(part)
    parts.objects.delete_all_of(job.id)
    for document in job.documents:
        parts.objects.delete(document.key)
    parts.event_log.forget(job.id)
    parts.store.remove(job)
    parts.log.info("job_deleted", job_id=job.id, trace_id=job.trace.id)


def _parts_of(job: Job, store: RemovableJobs) -> Iterator[Job]:
    """Give the rows of the parts that the job ran as, those that are there."""
    if (division := job.division) is None:
        return
    for number in range(1, division.total + 1):
        with suppress(JobNotFound):
            yield store.read(part_id(job.id, division.plan, number))
