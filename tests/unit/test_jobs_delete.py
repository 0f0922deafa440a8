"""Deleting a job with all that belongs to it, in memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.memory import MemoryEvents, MemoryJobStore, MemoryObjectStore
from jobs.delete import DeleteParts, delete_job
from jobs.division import Division, PlanId
from jobs.errors import JobMoved, JobNotEnded, JobNotFound, NoResult
from jobs.job import JobId, JobStatus, ObjectKey
from jobs.plan import part_id
from tests.builders import RecordingLog, a_document
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
    with pytest.raises(JobNotEnded):
        delete_job(a_job(), delete_parts())


def test_the_uploads_of_a_deleted_job_go_with_it() -> None:
    parts, store, objects = delete_parts(), MemoryJobStore(), MemoryObjectStore()
    parts = replace(parts, store=store, objects=objects)
    document = a_document()
    objects.put(document.key, "bytes", content_type="text/plain")
    job = replace(a_job(), documents=(document,))
    store.add(job)
    held = claim(store, job.id)

    delete_job(store.settle(held, completed(held, after(1))), parts)

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

    delete_job(store.get(job.id), replace(delete_parts(), store=store, objects=objects))

    for one in (*there, job.id):
        with pytest.raises(JobNotFound):
            store.get(JobId(one))
        with pytest.raises(NoResult):
            objects.get(ObjectKey(f"prompts/{one}.json"))


def test_a_job_that_was_redriven_meanwhile_stays() -> None:
    store = MemoryJobStore()
    job = replace(a_job(), status=JobStatus.FAILED)
    store.add(replace(job, epoch=1))

    with pytest.raises(JobMoved):
        delete_job(job, replace(delete_parts(), store=store))
