from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import pytest

from adapters.memory import ManualClock, MemoryEvents, MemoryJobStore
from jobs.cancel import cancel_job
from jobs.errors import NotRedrivable, Unavailable
from jobs.events import EventType
from jobs.job import JobError, JobStatus
from jobs.redrive import redrive_job
from jobs.run import run_job
from jobs.timeline import StepName
from tests.builders import (
    JOB_ID,
    NOW,
    Answer,
    RecordingLog,
    ScriptedModel,
    ShakyJobStore,
    a_job,
    a_task,
    cancel_parts,
    redrive_parts,
    rejected,
    run_parts,
    store_away,
    throttled,
)

if TYPE_CHECKING:
    from jobs.job import Job

LATER = NOW + timedelta(hours=1)
ERROR = JobError(code="model_throttled", message="Too many requests", retryable=True)
REDRIVABLE = [JobStatus.FAILED, JobStatus.EXPIRED, JobStatus.CANCELLED]


def an_ended_job(status: JobStatus = JobStatus.FAILED) -> Job:
    return a_job(
        status=status,
        attempt=5,
        epoch=5,
        seq=5_000_007,
        retry_counts=(4,),
        started_at=NOW,
        ended_at=NOW,
        error=ERROR,
    )


@pytest.mark.parametrize("status", REDRIVABLE)
def test_a_job_that_ended_without_a_result_waits_again(status: JobStatus) -> None:
    store = MemoryJobStore()
    store.add(an_ended_job(status))
    parts = redrive_parts(store, clock=ManualClock(LATER))

    job = redrive_job(store.get(JOB_ID), parts)

    assert job == store.get(JOB_ID)
    assert (job.status, job.attempt, job.max_attempts) == (JobStatus.PENDING, 5, 10)
    assert (job.epoch, job.seq, job.retry_counts) == (6, 6_000_001, ())
    assert (job.error, job.ended_at, job.started_at) == (None, None, None)
    assert (job.queued_at, job.due_at) == (LATER, LATER + timedelta(seconds=30))
    assert (job.timeline[-1].name, job.timeline[-1].by) == (StepName.REDRIVEN, "web@test:1")


def test_a_redrive_is_told_and_the_feed_nudged() -> None:
    store = MemoryJobStore()
    store.add(an_ended_job())
    parts = redrive_parts(store, clock=ManualClock(LATER))

    redrive_job(store.get(JOB_ID), parts)

    events = cast("MemoryEvents", parts.events)
    assert [(event.type, event.seq, event.attempt) for event in events.told] == [
        (EventType.QUEUED, 6_000_001, 5)
    ]
    assert events.told[0].at == LATER
    assert events.nudges == 1
    assert cast("RecordingLog", parts.log).count("job_redriven") == 1


@pytest.mark.parametrize("status", [status for status in JobStatus if status not in REDRIVABLE])
def test_any_other_job_cannot_be_redriven(status: JobStatus) -> None:
    store = MemoryJobStore()
    store.add(a_job(status=status))
    parts = redrive_parts(store)

    with pytest.raises(NotRedrivable, match=status):
        redrive_job(store.get(JOB_ID), parts)

    assert store.get(JOB_ID) == a_job(status=status)
    assert cast("MemoryEvents", parts.events).told == []


def test_of_two_who_redrive_at_once_one_is_refused() -> None:
    store = MemoryJobStore()
    store.add(an_ended_job())
    parts = redrive_parts(store)

    redrive_job(an_ended_job(), parts)
    with pytest.raises(NotRedrivable, match="just now"):
        redrive_job(an_ended_job(), parts)

    assert store.get(JOB_ID).epoch == 6
    assert len(cast("MemoryEvents", parts.events).told) == 1


def test_a_store_that_is_away_announces_nothing() -> None:
    store = ShakyJobStore(change=[store_away()])
    store.add(an_ended_job())
    parts = redrive_parts(store)

    with pytest.raises(Unavailable):
        redrive_job(store.get(JOB_ID), parts)

    events = cast("MemoryEvents", parts.events)
    assert (events.told, events.nudges) == ([], 0)


def test_a_redriven_job_is_work_for_the_feed() -> None:
    store = MemoryJobStore()
    store.add(an_ended_job())

    redrive_job(store.get(JOB_ID), redrive_parts(store))

    last = store.stream.read(store.stream.shards(store.stream.name())[0].id, 0).records[-1]
    assert (last.before, last.after.status) == (JobStatus.FAILED, JobStatus.PENDING)  # type: ignore[union-attr] # a record, not an error


def test_a_redriven_job_has_a_whole_round_of_attempts_and_its_numbers_go_on() -> None:
    clock, events = ManualClock(), MemoryEvents()
    store = MemoryJobStore()
    model = ScriptedModel(*[throttled()] * 5, *[throttled()] * 4, Answer())
    running = run_parts(store=store, clock=clock, events=events, model=model)
    store.add(a_job())

    job = run_to_its_end(store, clock, running)
    assert (job.status, job.attempt) == (JobStatus.FAILED, 5)
    redrive_job(job, redrive_parts(store, clock=clock, events=events, feed=events))
    job = run_to_its_end(store, clock, running)

    assert (job.status, job.attempt, job.max_attempts) == (JobStatus.COMPLETED, 10, 10)
    assert [call.attempt for call in model.invocations] == list(range(1, 11))
    assert all(one.seq < other.seq for one, other in pairwise(events.told))
    assert events.told[-1].seq == job.seq


def run_to_its_end(store: MemoryJobStore, clock: ManualClock, running: object) -> Job:
    """Run a job as the feed and the desk would: each attempt once its wait is over."""
    while not (job := store.get(JOB_ID)).status.is_terminal:
        if job.not_before is not None:
            clock.sleep(job.not_before - clock.now())
        run_job(a_task(job), running)  # type: ignore[arg-type] # RunParts
    return job


def test_a_job_can_be_redriven_again_and_again() -> None:
    store = MemoryJobStore()
    store.add(a_job())
    parts = redrive_parts(store, attempts=1)
    numbers = []

    for _ in range(3):
        run_job(a_task(a_job()), run_parts(store=store, model=ScriptedModel(rejected())))
        job = store.get(JOB_ID)
        numbers.append((job.status, job.attempt, job.epoch))
        redrive_job(job, parts)

    assert numbers == [(JobStatus.FAILED, n, 2 * n - 1) for n in (1, 2, 3)]
    assert store.get(JOB_ID).max_attempts == 4


def test_a_cancelled_job_that_never_ran_can_be_redriven() -> None:
    store = MemoryJobStore()
    store.add(a_job())
    cancel_job(store.get(JOB_ID), cancel_parts(store))

    job = redrive_job(store.get(JOB_ID), redrive_parts(store))

    assert (job.status, job.attempt, job.max_attempts, job.epoch) == (JobStatus.PENDING, 0, 5, 2)
