"""jobs.ports.JobStore: cancel, expire, redrive and interrupted calls, in memory and on DynamoDB."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from jobs import seq
from jobs.errors import ClaimLost, JobMoved
from jobs.job import Job, JobError, JobStatus
from jobs.outcome import Cancelled, Change, Expired, Redriven
from jobs.timeline import StepName
from jobs.transitions import changed, settled
from tests.contracts.stories import (
    LEASE,
    START,
    a_job,
    after,
    claim,
    claimed_job,
    completed,
    failed,
    invoked,
    retrying,
    step,
)

if TYPE_CHECKING:
    from jobs.claim import Claim
    from jobs.ports import JobStore
    from tests.stack import Clients

SECOND = timedelta(seconds=1)
Make = Callable[[Job], Change]


@pytest.fixture(scope="module")
def table(clients: Clients) -> str:
    return clients.make_tables("Contract_JobStore_Changes")


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> JobStore:
    if request.param == "memory":
        return MemoryJobStore()
    clients: Clients = request.getfixturevalue("clients")
    return DynamoDBJobStore(
        client=clients.dynamodb,
        table=request.getfixturevalue("table"),
        retention=timedelta(days=30),
    )


CHANGED_AT = after(9)


def cancelled(job: Job) -> Cancelled:
    return Cancelled(
        at=CHANGED_AT,
        seq=seq.next_first(job.epoch),
        steps=(step(StepName.CANCELLED, CHANGED_AT),),
    )


def expired(job: Job) -> Expired:
    return Expired(
        at=CHANGED_AT,
        seq=seq.next_first(job.epoch),
        error=JobError(code="run_timeout", message="too late", retryable=True),
        steps=(step(StepName.EXPIRED, CHANGED_AT),),
    )


def redriven(job: Job) -> Redriven:
    return Redriven(
        at=CHANGED_AT,
        seq=seq.next_first(job.epoch),
        max_attempts=job.attempt + 5,
        steps=(step(StepName.REDRIVEN, CHANGED_AT),),
    )


@pytest.mark.parametrize("make", [cancelled, expired])
def test_a_change_leaves_what_the_transition_says(store: JobStore, make: Make) -> None:
    held = claimed_job(store)

    job = store.change(held.job, make(held.job))

    assert job == changed(held.job, make(held.job))
    assert store.get(held.job_id) == job


@pytest.mark.parametrize("make", [cancelled, expired])
def test_a_change_fences_the_holder_out(store: JobStore, make: Make) -> None:
    held = claimed_job(store)
    row = store.change(held.job, make(held.job))

    with pytest.raises(ClaimLost):
        store.mark_invoked(held, invoked(after(10)))
    with pytest.raises(ClaimLost):
        store.renew(held, after(100))
    with pytest.raises(ClaimLost):
        store.settle(held, completed(held, after(10)))

    assert store.get(held.job_id) == row


def test_a_job_that_was_settled_meanwhile_is_not_cancelled(store: JobStore) -> None:
    held = claimed_job(store)
    row = store.settle(held, completed(held, after(5)))

    with pytest.raises(JobMoved):
        store.change(held.job, cancelled(held.job))

    assert store.get(held.job_id) == row


def test_a_job_that_is_not_there_cannot_be_changed(store: JobStore) -> None:
    job = a_job()

    with pytest.raises(JobMoved):
        store.change(job, cancelled(job))


def test_a_redriven_job_waits_as_if_it_were_new_and_can_be_claimed(store: JobStore) -> None:
    held = claimed_job(store)
    ended = store.settle(held, failed(held, after(5)))

    job = store.change(ended, redriven(ended))

    assert job == changed(ended, redriven(ended))
    again = claim(store, job.id, after(10))
    assert (again.epoch, again.attempt) == (ended.epoch + 2, ended.attempt + 1)


def test_of_two_who_redrive_at_once_one_is_refused(store: JobStore) -> None:
    held = claimed_job(store)
    ended = store.settle(held, failed(held, after(5)))
    store.change(ended, redriven(ended))
    other = replace(redriven(ended), at=after(9.5))

    with pytest.raises(JobMoved):
        store.change(ended, other)


def test_cancelling_and_completing_at_once_ends_the_job_once(store: JobStore) -> None:
    for _ in range(20):
        held = claimed_job(store)
        barrier = threading.Barrier(2)

        def cancel(held: Claim = held, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait(timeout=30)
            try:
                store.change(held.job, cancelled(held.job))
            except JobMoved:
                return False
            return True

        def complete(held: Claim = held, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait(timeout=30)
            try:
                store.settle(held, completed(held, after(5)))
            except ClaimLost:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            was_cancelled, was_completed = pool.submit(cancel), pool.submit(complete)
        status = store.get(held.job_id).status

        assert was_cancelled.result() != was_completed.result()
        assert status is (JobStatus.CANCELLED if was_cancelled.result() else JobStatus.COMPLETED)


def test_a_claim_says_when_an_earlier_call_began_that_has_no_end(store: JobStore) -> None:
    held = claimed_job(store)
    store.mark_invoked(held, invoked(after(1)))

    later = claim(store, held.job_id, START + LEASE + SECOND)

    assert (held.interrupted_at, later.interrupted_at) == (None, after(1))


def test_a_call_that_was_settled_interrupts_nothing(store: JobStore) -> None:
    held = claimed_job(store)
    store.mark_invoked(held, invoked(after(1)))
    store.settle(held, retrying(held, after(5)))

    assert claim(store, held.job_id, after(20)).interrupted_at is None


def test_a_holder_may_let_the_job_expire(store: JobStore) -> None:
    held = claimed_job(store)
    outcome = replace(expired(held.job), seq=held.job.seq + 1)

    job = store.settle(held, outcome)

    assert job == settled(held.job, outcome)
    assert store.get(held.job_id) == job


def test_an_attempt_without_a_call_is_given_back(store: JobStore) -> None:
    held = claimed_job(store)

    job = store.settle(held, replace(retrying(held, after(5)), gives_back=True))

    assert job.attempt == held.attempt - 1
    assert claim(store, held.job_id, after(20)).attempt == held.attempt
