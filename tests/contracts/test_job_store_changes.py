"""jobs.ports.JobStore: cancel, expire, redrive and interrupted calls, in memory and on DynamoDB."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from jobs import seq
from jobs.errors import ClaimLost, JobMoved
from jobs.job import Inline, Job, JobError, JobStatus, ObjectKey, Result, Stored, Usage
from jobs.outcome import Cancelled, Change, Expired, Redriven
from jobs.timeline import StepName
from jobs.transitions import changed, settled, with_partial
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
    partial,
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
def table(clients: Clients) -> Iterator[str]:
    name = clients.make_tables("Contract_JobStore_Changes")
    yield name
    clients.drop_tables(name)  # whoever steals tests of this file makes it anew


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


@pytest.mark.parametrize("parent", [None, "f" * 16])
def test_a_redriven_job_goes_on_under_the_trace_that_its_change_names(
    store: JobStore, parent: str | None
) -> None:
    held = claimed_job(store)
    trace = parent and replace(held.job.trace, parent=parent, sampled=True)
    ended = store.change(held.job, cancelled(held.job))

    job = store.change(ended, replace(redriven(ended), trace=trace or None))

    assert job.trace == (trace or ended.trace)
    assert store.get(job.id).trace == job.trace


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

    with pytest.raises(ClaimLost) as unmarked:
        store.mark_invoked(held, invoked(after(10)))
    with pytest.raises(ClaimLost) as unrenewed:
        store.renew(held, after(100))
    with pytest.raises(ClaimLost) as unsettled:
        store.settle(held, completed(held, after(10)))

    assert store.get(held.job_id) == row
    assert {one.value.status for one in (unmarked, unrenewed, unsettled)} == {row.status}


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


def cancelled_in_mid_call(store: JobStore) -> tuple[Claim, Job]:
    """Give the claim that was taken away, and the row that its cancel left."""
    held = claimed_job(store)
    store.mark_invoked(held, invoked(after(1)))
    return held, store.change(store.get(held.job_id), cancelled(held.job))


@pytest.mark.parametrize(
    "payload", [Inline(text="Te"), Inline(text=""), Stored(key=ObjectKey("results/1-1"), size=9)]
)
def test_what_had_come_is_added_to_a_cancelled_job_and_no_more(
    store: JobStore, payload: Inline | Stored
) -> None:
    held, row = cancelled_in_mid_call(store)
    kept = partial(held, after(10), payload=payload)

    store.keep_partial(held, kept)

    job = store.get(held.job_id)
    assert job == with_partial(row, kept)
    assert (job.status, job.epoch, job.seq) == (row.status, row.epoch, row.seq)
    assert (job.ended_at, job.due_at, job.lease_until) == (row.ended_at, None, None)


def test_the_price_of_a_whole_answer_is_kept_with_it(store: JobStore) -> None:
    held, _ = cancelled_in_mid_call(store)
    usage = Usage(input_tokens=11, output_tokens=3)
    result = Result(payload=Inline(text="Tea"), usage=usage, stop_reason="end_turn")

    store.keep_partial(held, replace(partial(held, after(10)), result=result))

    assert store.get(held.job_id).result == result


def test_keeping_what_had_come_twice_writes_once(store: JobStore) -> None:
    held, _ = cancelled_in_mid_call(store)
    store.keep_partial(held, partial(held, after(10)))
    first = store.get(held.job_id)

    store.keep_partial(held, partial(held, after(11), payload=Inline(text="Tea")))

    assert store.get(held.job_id) == first


def test_what_had_come_is_void_once_the_job_is_redriven(store: JobStore) -> None:
    held, row = cancelled_in_mid_call(store)
    waiting = store.change(row, redriven(row))

    with pytest.raises(ClaimLost):
        store.keep_partial(held, partial(held, after(10)))

    assert store.get(held.job_id) == waiting


def test_what_had_come_is_no_later_rounds(store: JobStore) -> None:
    """A job that was redriven and cancelled again is cancelled under another claim, or none."""
    held, row = cancelled_in_mid_call(store)
    waiting = store.change(row, redriven(row))
    again = store.change(waiting, cancelled(waiting))

    with pytest.raises(ClaimLost):
        store.keep_partial(held, partial(held, after(10)))

    assert store.get(held.job_id) == again


def test_a_redrive_drops_what_had_come(store: JobStore) -> None:
    held, _ = cancelled_in_mid_call(store)
    store.keep_partial(held, partial(held, after(10)))
    row = store.get(held.job_id)

    job = store.change(row, redriven(row))

    assert job == changed(row, redriven(row))
    assert (job.result, store.get(job.id).result) == (None, None)


@pytest.mark.parametrize("end", ["running", "expired", "completed", "not there"])
def test_what_had_come_is_added_to_cancelled_jobs_only(store: JobStore, end: str) -> None:
    held = claimed_job(store)
    if end == "expired":
        store.change(held.job, expired(held.job))
    if end == "completed":
        store.settle(held, completed(held, after(5)))
    if end == "not there":
        held = replace(held, job=a_job())

    with pytest.raises(ClaimLost):
        store.keep_partial(held, partial(held, after(10)))


def test_redriving_and_keeping_at_once_never_leaves_a_result_on_a_waiting_job(
    store: JobStore,
) -> None:
    for _ in range(20):
        held, row = cancelled_in_mid_call(store)
        barrier = threading.Barrier(2)

        def keep(held: Claim = held, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(timeout=30)
            with suppress(ClaimLost):
                store.keep_partial(held, partial(held, after(10)))

        def redrive(row: Job = row, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(timeout=30)
            store.change(row, redriven(row))

        with ThreadPoolExecutor(2) as pool:
            both = [pool.submit(keep), pool.submit(redrive)]
        for one in both:
            one.result()

        job = store.get(held.job_id)
        assert (job.status, job.result) == (JobStatus.PENDING, None)
