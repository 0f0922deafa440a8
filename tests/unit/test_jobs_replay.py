from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.memory import ManualClock, MemoryJobStore, MemoryRejectedRecords, MemoryTaskQueue
from jobs.errors import RecordUnreadable, Unavailable, UnreadRecord
from jobs.job import Job, JobId, JobStatus
from jobs.rejected import RejectedRecord, rejected_id
from jobs.replay import ReplayParts, replay
from jobs.shards import ShardId, StreamName
from jobs.task import Task
from tests.builders import JOB_ID, NOW, ShakyTaskQueue, a_job

STREAM, SHARD = StreamName("a-stream"), ShardId("a-shard")


def a_rejected(job_id: JobId | None = JOB_ID, **told: Any) -> RejectedRecord:  # noqa: ANN401 - UnreadRecord's own fields
    record = UnreadRecord(**{"sequence_number": "1", "at": NOW, **told}, job_id=job_id)
    error = RecordUnreadable("record 1: ValueError('DREAMING')", record=record)
    return RejectedRecord.of(error, stream=STREAM, shard=SHARD, at=NOW)


def replay_parts(*jobs: Job, **changes: Any) -> ReplayParts:  # noqa: ANN401 - ReplayParts' own fields
    store = MemoryJobStore()
    for job in jobs:
        store.add(job)
    parts = ReplayParts(
        rejected=MemoryRejectedRecords(),
        store=store,
        queue=MemoryTaskQueue(),
        clock=ManualClock(),
        process="operator@test:1",
    )
    return replace(parts, **changes)


def tasks_of(parts: ReplayParts) -> list[Task]:
    assert isinstance(parts.queue, MemoryTaskQueue)
    return parts.queue.tasks


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.PENDING_RETRY])
def test_a_job_that_waits_is_triggered_and_the_record_forgotten(status: JobStatus) -> None:
    job = a_job(status=status)
    parts = replay_parts(job)
    parts.rejected.put(a_rejected())

    replayed = replay(a_rejected(), parts)

    assert (replayed.is_removed, replayed.told) == (True, f"job {JOB_ID} triggered")
    assert tasks_of(parts) == [Task.of(job, now=NOW, by="operator@test:1")]
    assert parts.rejected.find(limit=10) == []


@pytest.mark.parametrize("status", [one for one in JobStatus if not one.is_pending])
def test_a_job_that_does_not_wait_is_left_alone_and_the_record_forgotten(
    status: JobStatus,
) -> None:
    parts = replay_parts(a_job(status=status, lease_until=NOW))
    parts.rejected.put(a_rejected())

    replayed = replay(a_rejected(), parts)

    assert replayed.is_removed
    assert status in replayed.told
    assert (tasks_of(parts), parts.rejected.find(limit=10)) == ([], [])


def test_the_record_of_a_job_that_is_gone_is_forgotten() -> None:
    parts = replay_parts()
    parts.rejected.put(a_rejected())

    replayed = replay(a_rejected(), parts)

    assert (replayed.is_removed, replayed.told) == (True, f"removed: there is no job {JOB_ID}")
    assert parts.rejected.find(limit=10) == []


def test_a_record_that_names_no_job_is_kept() -> None:
    parts = replay_parts()
    record = a_rejected(None)
    parts.rejected.put(record)

    replayed = replay(record, parts)

    assert not replayed.is_removed
    assert "names no job" in replayed.told
    assert parts.rejected.find(limit=10) == [record]


def test_the_record_of_a_row_that_nobody_can_read_is_kept() -> None:
    class RiddleStore(MemoryJobStore):
        def get(self, job_id: JobId) -> Job:
            raise RecordUnreadable(f"not a row of ours: {job_id}")

    parts = replay_parts(store=RiddleStore())
    parts.rejected.put(a_rejected())

    replayed = replay(a_rejected(), parts)

    assert not replayed.is_removed
    assert "unreadable" in replayed.told
    assert parts.rejected.find(limit=10) == [a_rejected()]


def test_a_record_whose_task_the_broker_does_not_take_is_kept() -> None:
    parts = replay_parts(a_job(), queue=ShakyTaskQueue(Unavailable("broker", "away (test)")))
    parts.rejected.put(a_rejected())

    with pytest.raises(Unavailable):
        replay(a_rejected(), parts)

    assert parts.rejected.find(limit=10) == [a_rejected()]


def test_a_record_has_one_id_however_often_it_is_read() -> None:
    later = replace(a_rejected(), rejected_at=NOW + timedelta(hours=1))

    assert later.id == a_rejected().id == "20261123t043800-" + later.id[-12:]


def test_records_that_differ_have_different_ids() -> None:
    one = a_rejected().record
    ids = {
        rejected_id(one, STREAM, SHARD),
        rejected_id(one, StreamName("another"), SHARD),
        rejected_id(one, STREAM, ShardId("another")),
        rejected_id(replace(one, sequence_number="2"), STREAM, SHARD),
        rejected_id(replace(one, sequence_number=None, raw='{"a":1}'), STREAM, SHARD),
        rejected_id(replace(one, sequence_number=None, raw='{"a":2}'), STREAM, SHARD),
    }

    assert len(ids) == 6


def test_a_record_without_a_time_has_an_id_too() -> None:
    assert a_rejected(at=None).id.startswith("00000000t000000-")
