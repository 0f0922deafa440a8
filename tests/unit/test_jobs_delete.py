"""Deleting a job with all that belongs to it, in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.memory import MemoryEvents, MemoryJobStore, MemoryObjectStore
from jobs.delete import DeleteParts, delete_job
from jobs.division import Division, PlanId
from jobs.errors import (
    JobMoved,
    JobNotEnded,
    JobNotFound,
    NoResult,
    NotRedrivable,
    Unavailable,
)
from jobs.job import Job, JobId, JobStatus, ObjectKey, Stored, UserId
from jobs.plan import part_id
from jobs.redrive import redrive_job
from tests.builders import RecordingLog, a_document, redrive_parts
from tests.contracts.stories import a_job, after, claim, completed

PLAN = PlanId("plan")


def delete_parts() -> DeleteParts:
    return DeleteParts(
        store=MemoryJobStore(),
        objects=MemoryObjectStore(),
        event_log=MemoryEvents(),
        log=RecordingLog(),
    )


def test_a_job_that_has_not_ended_stays() -> None:
    store, job = MemoryJobStore(), a_job()
    store.add(job)

    with pytest.raises(JobNotEnded):
        delete_job(job.id, job.user, replace(delete_parts(), store=store))
    assert store.get(job.id) == job


def test_the_uploads_of_a_deleted_job_go_with_it() -> None:
    parts, store, objects = delete_parts(), MemoryJobStore(), MemoryObjectStore()
    parts = replace(parts, store=store, objects=objects)
    document = a_document()
    objects.put(document.key, "bytes", content_type="text/plain")
    job = replace(a_job(), documents=(document,))
    store.add(job)
    held = claim(store, job.id)

    store.settle(held, completed(held, after(1)))

    delete_job(job.id, job.user, parts)

    with pytest.raises(NoResult):
        objects.get(document.key)
    with pytest.raises(JobNotFound):
        store.get(job.id)


def test_the_parts_of_a_deleted_job_go_with_it() -> None:
    store, objects = MemoryJobStore(), MemoryObjectStore()
    job = replace(a_job(), status=JobStatus.FAILED, division=Division(plan=PLAN, total=3))
    there = [part_id(job.id, PLAN, number) for number in (1, 3)]
    for one in (*there, job.id):
        store.add(replace(a_job(JobId(one)), status=JobStatus.FAILED, division=job.division))
        objects.put(ObjectKey(f"prompts/{one}.json"), "{}", content_type="application/json")

    delete_job(job.id, job.user, replace(delete_parts(), store=store, objects=objects))

    for one in (*there, job.id):
        with pytest.raises(JobNotFound):
            store.get(JobId(one))
        with pytest.raises(NoResult):
            objects.get(ObjectKey(f"prompts/{one}.json"))


def test_another_users_job_is_not_there() -> None:
    store = MemoryJobStore()
    job = replace(a_job(), status=JobStatus.FAILED)
    store.add(job)

    with pytest.raises(JobNotFound):
        delete_job(job.id, UserId("bob"), replace(delete_parts(), store=store))


def test_a_redrive_that_comes_first_keeps_the_prompt() -> None:
    store, objects = RacingStore(), MemoryObjectStore()
    key = ObjectKey("prompts/one.json")
    objects.put(key, "{}", content_type="application/json")
    store.job = replace(a_job(prompt=Stored(key=key, size=2)), status=JobStatus.CANCELLED)
    store.add(store.job)

    parts = replace(delete_parts(), store=store, objects=objects)
    with pytest.raises(JobMoved):
        delete_job(store.job.id, store.job.user, parts)

    assert store.get(store.job.id).status is JobStatus.PENDING
    assert objects.get(key) == "{}"


def test_a_redrive_that_comes_second_finds_no_job() -> None:
    store = MemoryJobStore()
    job = replace(a_job(), status=JobStatus.CANCELLED)
    store.add(job)

    store.begin_removal(job)

    with pytest.raises(NotRedrivable):
        redrive_job(job, redrive_parts(store))
    with pytest.raises(JobNotFound):
        store.get(job.id)


def test_a_deletion_that_broke_off_can_be_repeated() -> None:
    store, objects = MemoryJobStore(), AwayOnce()
    job = replace(a_job(), status=JobStatus.CANCELLED)
    store.add(job)
    parts = replace(delete_parts(), store=store, objects=objects)
    with pytest.raises(Unavailable):
        delete_job(job.id, job.user, parts)

    delete_job(job.id, job.user, parts)

    with pytest.raises(JobNotFound):
        store.read(job.id)


class RacingStore(MemoryJobStore):
    """A store in which the job is redriven right after the deletion has read it."""

    job: Job

    def read(self, job_id: JobId) -> Job:
        job = super().read(job_id)
        redrive_job(job, redrive_parts(self))
        return job


class AwayOnce(MemoryObjectStore):
    """An object store whose first call fails."""

    is_away = True

    def delete_all_of(self, job_id: JobId) -> None:
        if self.is_away:
            self.is_away = False
            raise Unavailable("objects", "away")
        super().delete_all_of(job_id)
