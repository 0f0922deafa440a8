from datetime import datetime, timedelta
from itertools import product

import pytest

from jobs.dispatch import (
    Change,
    ChangeRecord,
    Image,
    is_too_old,
    tasks_for,
    wants_worker,
)
from jobs.job import JobId, JobStatus, ModelId, UserId
from jobs.task import Task
from tests.builders import JOB_ID, NOW, a_trace

WAITING = {JobStatus.PENDING, JobStatus.PENDING_RETRY}
STATUSES: list[JobStatus | None] = [None, *JobStatus]


def a_record(
    before: JobStatus | None = None,
    after: JobStatus | None = JobStatus.PENDING,
    *,
    job_id: JobId = JOB_ID,
    not_before: datetime | None = None,
) -> ChangeRecord:
    change = Change.MODIFY if before else Change.INSERT
    return ChangeRecord(
        sequence_number="1",
        change=Change.REMOVE if after is None else change,
        at=NOW,
        job_id=job_id,
        before=before,
        after=None
        if after is None
        else Image(
            status=after,
            user=UserId("ada"),
            model=ModelId("a-model"),
            trace=a_trace(sampled=True),
            not_before=not_before,
        ),
    )


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_a_worker_is_wanted_where_a_job_has_begun_to_wait(
    before: JobStatus | None, after: JobStatus | None
) -> None:
    expected = after in WAITING and before not in WAITING

    assert wants_worker(a_record(before, after)) is expected


def test_a_record_that_wants_a_worker_becomes_a_task() -> None:
    until = NOW + timedelta(seconds=3)
    record = a_record(JobStatus.RUNNING, JobStatus.PENDING_RETRY, not_before=until)

    assert tasks_for([record], now=NOW, by="feed@test:1") == [
        Task(
            job_id=JOB_ID,
            user=UserId("ada"),
            model=ModelId("a-model"),
            trace=a_trace(sampled=True),
            seen_at=NOW,
            enqueued_at=NOW,
            by="feed@test:1",
            not_before=until,
        )
    ]


def test_tasks_keep_the_records_order() -> None:
    ids = [JobId(f"job_{n:026d}") for n in range(5)]
    records = [a_record(job_id=job_id) for job_id in ids]
    records.insert(2, a_record(JobStatus.RUNNING, JobStatus.COMPLETED))

    assert [task.job_id for task in tasks_for(records, now=NOW, by="feed")] == ids


def test_a_record_without_a_new_image_makes_no_task() -> None:
    records = [a_record(JobStatus.COMPLETED, None), a_record(JobStatus.PENDING, None)]

    assert tasks_for(records, now=NOW, by="feed") == []


def test_no_records_make_no_tasks() -> None:
    assert tasks_for([], now=NOW, by="feed") == []


def test_a_record_is_too_old_only_once_it_is_older_than_the_most() -> None:
    most = timedelta(seconds=60)

    assert not is_too_old(a_record(), NOW + most, most=most)
    assert is_too_old(a_record(), NOW + most + timedelta(seconds=1), most=most)


def test_without_a_most_no_record_is_too_old() -> None:
    assert not is_too_old(a_record(), NOW + timedelta(days=1), most=None)


def test_a_record_that_is_no_work_is_never_too_old() -> None:
    ended = a_record(JobStatus.RUNNING, JobStatus.COMPLETED)

    assert not is_too_old(ended, NOW + timedelta(days=1), most=timedelta(seconds=60))
