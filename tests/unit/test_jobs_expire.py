from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest

from adapters.memory import ManualClock, MemoryEvents, MemoryJobStore, MemoryTaskQueue
from jobs.claim import Claim
from jobs.errors import ClaimLost, JobMoved
from jobs.events import EventType
from jobs.expire import expire_job, expiry_of
from jobs.fenced import Fenced
from jobs.job import JobStatus
from jobs.sweep import sweep
from jobs.timeline import StepName
from tests.builders import (
    JOB_ID,
    LEASE,
    NOW,
    a_job,
    claim_terms,
    expire_parts,
    sweep_parts,
)

if TYPE_CHECKING:
    from datetime import datetime

    from adapters.memory import MemoryFenced
    from jobs.job import Job

SECOND = timedelta(seconds=1)
MOMENT = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)


def code_of(job: Job, at: timedelta) -> str | None:
    error = expiry_of(job, NOW + at)
    return None if error is None else error.code


def test_a_job_without_a_time_never_expires() -> None:
    assert expiry_of(a_job(), NOW + timedelta(days=365)) is None


def test_a_job_that_did_not_start_expires_at_its_time_and_not_before() -> None:
    job = a_job(start_timeout=MINUTE)

    assert code_of(job, MINUTE - MOMENT) is None
    assert code_of(job, MINUTE) == "start_timeout"


def test_a_job_that_has_started_has_done_so_in_its_time() -> None:
    retrying = a_job(status=JobStatus.PENDING_RETRY, start_timeout=MINUTE, started_at=NOW)

    assert code_of(retrying, timedelta(days=1)) is None


@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.PENDING_RETRY])
def test_a_job_that_did_not_finish_expires_at_its_time_and_not_before(status: JobStatus) -> None:
    job = a_job(status=status, run_timeout=MINUTE, started_at=NOW + SECOND)

    assert code_of(job, SECOND + MINUTE - MOMENT) is None
    assert code_of(job, SECOND + MINUTE) == "run_timeout"


def test_the_time_to_finish_begins_with_the_first_claim() -> None:
    assert code_of(a_job(run_timeout=MINUTE), timedelta(days=1)) is None


@pytest.mark.parametrize("status", [status for status in JobStatus if status.is_terminal])
def test_a_job_that_has_ended_does_not_expire(status: JobStatus) -> None:
    job = a_job(status=status, start_timeout=SECOND, run_timeout=SECOND, started_at=NOW)

    assert code_of(job, timedelta(days=1)) is None


def test_an_expired_job_says_why_and_its_watchers_are_told() -> None:
    store = MemoryJobStore()
    store.add(a_job(start_timeout=MINUTE))
    parts = expire_parts(store, clock=ManualClock(NOW + MINUTE))

    job = expire_job(store.get(JOB_ID), parts)

    assert job == store.get(JOB_ID)
    assert (job.status, job.ended_at) == (JobStatus.EXPIRED, NOW + MINUTE)
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("start_timeout", True)
    assert (job.epoch, job.seq) == (1, 1_000_001)
    (event,) = cast("MemoryEvents", parts.events).told
    assert (event.type, event.seq, event.error) == (EventType.EXPIRED, job.seq, job.error)
    assert (job.timeline[-1].name, job.timeline[-1].error) == (StepName.EXPIRED, "start_timeout")


@pytest.mark.parametrize("is_running", [True, False])
def test_whoever_runs_an_expired_job_is_told(is_running: bool) -> None:  # noqa: FBT001 - pytest's
    store = MemoryJobStore()
    store.add(a_job(start_timeout=None if is_running else SECOND, run_timeout=SECOND))
    if is_running:
        store.claim(JOB_ID, claim_terms())
    parts = expire_parts(store, clock=ManualClock(NOW + SECOND))

    job = expire_job(store.get(JOB_ID), parts)

    hint = Fenced(job=JOB_ID, epoch=job.epoch)
    assert job.status is JobStatus.EXPIRED
    assert cast("MemoryFenced", parts.holders).told == ([hint] if is_running else [])


def test_a_job_that_has_time_left_is_left_alone() -> None:
    store = MemoryJobStore()
    store.add(a_job(start_timeout=MINUTE))
    parts = expire_parts(store)

    assert expire_job(store.get(JOB_ID), parts) == store.get(JOB_ID)
    assert store.get(JOB_ID).status is JobStatus.PENDING


def test_a_job_that_someone_moves_at_this_moment_does_not_expire() -> None:
    store = MemoryJobStore()
    store.add(a_job(start_timeout=MINUTE))
    before = store.get(JOB_ID)
    store.claim(JOB_ID, claim_terms())
    parts = expire_parts(store, clock=ManualClock(NOW + MINUTE))

    with pytest.raises(JobMoved):
        expire_job(before, parts)

    assert store.get(JOB_ID).status is JobStatus.RUNNING
    assert cast("MemoryEvents", parts.events).told == []


def test_the_sweep_expires_a_job_that_did_not_start_and_triggers_nothing() -> None:
    store = MemoryJobStore()
    store.add(a_job(start_timeout=SECOND))
    parts = sweep_parts(store, clock=ManualClock(NOW + SECOND))

    assert sweep(parts) == 1

    assert store.get(JOB_ID).status is JobStatus.EXPIRED
    assert cast("MemoryTaskQueue", parts.queue).tasks == []
    assert [event.type for event in cast("MemoryEvents", parts.events).told] == [EventType.EXPIRED]
    assert sweep(parts) == 0


def test_the_sweep_expires_a_job_that_waits_for_its_retry_beyond_its_time() -> None:
    store = MemoryJobStore()
    waiting = a_job(
        status=JobStatus.PENDING_RETRY,
        not_before=NOW + MINUTE,
        started_at=NOW,
        run_timeout=10 * SECOND,
    )
    store.add(waiting)

    assert sweep(sweep_parts(store, clock=ManualClock(NOW + 10 * SECOND))) == 1
    assert store.get(JOB_ID).status is JobStatus.EXPIRED


def test_the_sweep_expires_a_job_whose_worker_died_and_fences_it() -> None:
    store = MemoryJobStore()
    store.add(a_job(run_timeout=10 * SECOND))
    claim = store.claim(JOB_ID, claim_terms())
    assert isinstance(claim, Claim)

    for looked_at in (NOW + LEASE, NOW + 2 * LEASE):
        sweep(sweep_parts(store, clock=ManualClock(looked_at)))

    assert store.get(JOB_ID).status is JobStatus.EXPIRED
    with pytest.raises(ClaimLost):
        store.renew(claim, NOW + 9 * LEASE)


def test_the_sweep_leaves_a_running_job_to_its_holder() -> None:
    store = MemoryJobStore()
    store.add(a_job(run_timeout=SECOND))
    store.claim(JOB_ID, claim_terms())

    assert sweep(sweep_parts(store, clock=ManualClock(NOW + LEASE - MOMENT))) == 0


def test_a_job_that_is_claimed_before_the_sweep_expires_it_runs_on() -> None:
    class Raced(MemoryJobStore):
        """Finds what is due, and then another claims it."""

        def find(self, now: datetime, *, limit: int) -> list[Job]:
            found = super().find(now, limit=limit)
            self.claim(JOB_ID, claim_terms())
            return found

    store = Raced()
    store.add(a_job(start_timeout=SECOND))
    parts = sweep_parts(store, clock=ManualClock(NOW + SECOND))

    assert sweep(parts) == 1

    assert store.get(JOB_ID).status is JobStatus.RUNNING
    assert cast("MemoryTaskQueue", parts.queue).tasks == []
