"""jobs.ports.JobStore, in memory and on DynamoDB: each promise of its docstrings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from jobs import seq
from jobs.claim import Claim, ClaimRefused
from jobs.due import RETRY_GRACE
from jobs.errors import ClaimLost, JobExists, JobNotFound
from jobs.job import InferenceConfig, Inline, Job, JobStatus, ObjectKey, Stored, UserId
from jobs.outcome import settled_at
from tests.contracts.stories import (
    LEASE,
    START,
    THROTTLED,
    WORKER,
    a_job,
    a_trace,
    after,
    claim,
    claimed_job,
    completed,
    failed,
    invoked,
    new_id,
    retrying,
    terms,
)
from tests.racing import race

if TYPE_CHECKING:
    from jobs.outcome import Outcome
    from jobs.ports import JobStore
    from tests.stack import Clients

RETENTION = timedelta(days=30)
RACERS = 32
ROUNDS = 20
SECOND = timedelta(seconds=1)

End = Callable[[Claim], "Outcome"]
ENDS: dict[str, End] = {
    "completed": lambda held: completed(held, after(5)),
    "failed": lambda held: failed(held, after(5)),
    "retrying": lambda held: retrying(held, after(5)),
}


@pytest.fixture(scope="module")
def table(clients: Clients) -> Iterator[str]:
    name = clients.make_tables("Contract_JobStore")
    yield name
    clients.drop_tables(name)  # whoever steals tests of this file makes it anew


@pytest.fixture(params=["memory", "dynamodb", "direct"])
def store(request: pytest.FixtureRequest) -> JobStore:
    if request.param == "memory":
        return MemoryJobStore()
    return on_dynamodb(request)


@pytest.fixture(params=ENDS)
def end(request: pytest.FixtureRequest) -> End:
    return ENDS[request.param]


def on_dynamodb(request: pytest.FixtureRequest) -> DynamoDBJobStore:
    clients: Clients = request.getfixturevalue("clients")
    return DynamoDBJobStore(
        client=clients.direct if _is_direct(request) else clients.dynamodb,
        table=request.getfixturevalue("table"),
        retention=RETENTION,
    )


def _is_direct(request: pytest.FixtureRequest) -> bool:
    return getattr(request, "param", None) == "direct"


def test_a_row_that_was_added_reads_back_equal(store: JobStore) -> None:
    job = a_job()

    store.add(job)

    assert store.get(job.id) == job


def test_a_row_with_as_little_as_possible_reads_back_equal(store: JobStore) -> None:
    job = replace(
        a_job(prompt=Stored(key=ObjectKey("prompts/one.json"), size=500_000)),
        inference=InferenceConfig(),
        metadata={},
        timeline=(),
        trace=replace(a_trace(), parent=None, sampled=None),
    )

    store.add(job)

    assert store.get(job.id) == job


def test_a_repeat_of_the_same_write_passes(store: JobStore) -> None:
    job = a_job()
    store.add(job)

    store.add(job)

    assert store.get(job.id) == job


@pytest.mark.parametrize(
    "change",
    [
        {"user": UserId("bob")},
        {"created_at": after(1)},
        {"trace": a_trace()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_job_under_the_same_id_exists_already(
    store: JobStore, change: dict[str, object]
) -> None:
    job = a_job()
    store.add(job)

    with pytest.raises(JobExists):
        store.add(replace(job, **change))  # type: ignore[arg-type] # one field of its own type

    assert store.get(job.id) == job


def test_an_unknown_job_is_not_found(store: JobStore) -> None:
    with pytest.raises(JobNotFound):
        store.get(new_id())


def test_a_claim_writes_all_that_it_means_in_one_write(store: JobStore) -> None:
    job = a_job()
    store.add(job)
    asked = terms(after(1))

    claimed = store.claim(job.id, asked)

    assert isinstance(claimed, Claim)
    assert (claimed.token, claimed.worker, claimed.lease) == (asked.token, WORKER, LEASE)
    assert claimed.job == replace(
        job,
        status=JobStatus.RUNNING,
        epoch=1,
        attempt=1,
        seq=seq.first_in(1),
        lease_until=after(1) + LEASE,
        due_at=after(1) + LEASE,
        started_at=after(1),
        updated_at=after(1),
        timeline=(*job.timeline, *asked.steps),
    )
    assert store.get(job.id) == claimed.job


def test_the_same_terms_get_the_same_claim_again(store: JobStore) -> None:
    job = a_job()
    store.add(job)
    asked = terms()

    first, again = store.claim(job.id, asked), store.claim(job.id, asked)

    assert isinstance(first, Claim)
    assert again == first
    assert store.get(job.id) == first.job


def test_of_claimants_that_race_one_gets_the_job(store: JobStore) -> None:
    ids = [new_id() for _ in range(ROUNDS)]
    for job_id in ids:
        store.add(a_job(job_id))

    def claim_all(wait: Callable[[], object]) -> list[Claim | ClaimRefused]:
        answers = []
        for job_id in ids:
            asked = terms()
            wait()
            answers.append(store.claim(job_id, asked))
        return answers

    answers = race(RACERS, claim_all)

    for number, job_id in enumerate(ids):
        got = [racer[number] for racer in answers if isinstance(racer[number], Claim)]
        assert len(got) == 1, f"round {number}: {len(got)} claimants got {job_id}"
        row = store.get(job_id)
        assert (row.epoch, row.attempt, row.status) == (1, 1, JobStatus.RUNNING)


def test_a_running_job_is_refused_to_others(store: JobStore) -> None:
    held = claimed_job(store)

    answer = store.claim(held.job_id, terms(START + LEASE))  # its last moment

    assert answer == ClaimRefused(job_id=held.job_id, status=JobStatus.RUNNING)
    assert store.get(held.job_id) == held.job


def test_a_running_job_whose_lease_is_over_is_claimed_anew(store: JobStore) -> None:
    held = claimed_job(store)

    second = claim(store, held.job_id, START + LEASE + SECOND)

    assert (second.epoch, second.attempt) == (2, 2)
    assert second.job.seq == seq.first_in(2)
    assert second.job.started_at == held.job.started_at
    assert second.job.lease_until == START + LEASE + SECOND + LEASE


def test_a_job_in_its_wait_is_refused_and_says_until_when(store: JobStore) -> None:
    held = claimed_job(store)
    store.settle(held, retrying(held, after(5)))

    answer = store.claim(held.job_id, terms(after(7.999)))

    assert answer == ClaimRefused(
        job_id=held.job_id, status=JobStatus.PENDING_RETRY, not_before=after(8)
    )


def test_a_job_whose_wait_is_over_is_claimed_and_its_error_and_wait_are_gone(
    store: JobStore,
) -> None:
    held = claimed_job(store)
    store.settle(held, retrying(held, after(5)))

    second = claim(store, held.job_id, after(8))

    assert (second.epoch, second.attempt) == (2, 2)
    assert (second.job.error, second.job.not_before) == (None, None)
    assert second.job.retry_counts == (1,)
    assert second.job.started_at == held.job.started_at


def test_an_unknown_job_is_refused_without_a_status(store: JobStore) -> None:
    unknown = new_id()

    assert store.claim(unknown, terms()) == ClaimRefused(job_id=unknown, status=None)


def test_an_ended_job_is_refused_for_ever(store: JobStore) -> None:
    held = claimed_job(store)
    store.settle(held, completed(held, after(5)))

    answer = store.claim(held.job_id, terms(after(1_000_000)))

    assert answer == ClaimRefused(job_id=held.job_id, status=JobStatus.COMPLETED)


def test_marking_adds_the_step_and_nothing_else(store: JobStore) -> None:
    held = claimed_job(store)

    store.mark_invoked(held, invoked(after(1)))

    assert store.get(held.job_id) == replace(
        held.job, updated_at=after(1), timeline=(*held.job.timeline, invoked(after(1)))
    )


def test_a_repeat_of_the_same_mark_passes_and_writes_once(store: JobStore) -> None:
    held = claimed_job(store)
    store.mark_invoked(held, invoked(after(1)))
    row = store.get(held.job_id)

    store.mark_invoked(held, invoked(after(1)))

    assert store.get(held.job_id) == row


def test_a_second_call_under_one_claim_is_not_marked(store: JobStore) -> None:
    held = claimed_job(store)
    store.mark_invoked(held, invoked(after(1)))

    with pytest.raises(ClaimLost):
        store.mark_invoked(held, invoked(after(2)))


def test_the_next_claim_may_mark_again(store: JobStore) -> None:
    held = claimed_job(store)
    store.mark_invoked(held, invoked(after(1)))
    store.settle(held, retrying(held, after(5)))
    second = claim(store, held.job_id, after(8))

    store.mark_invoked(second, invoked(after(9)))

    assert store.get(held.job_id).timeline[-1] == invoked(after(9))


def test_a_renewal_moves_the_leases_end_and_nothing_else(store: JobStore) -> None:
    held = claimed_job(store)

    store.renew(held, after(100))

    assert store.get(held.job_id) == replace(held.job, lease_until=after(100), due_at=after(100))
    assert isinstance(store.claim(held.job_id, terms(after(99))), ClaimRefused)


@pytest.mark.parametrize("act", ["mark_invoked", "renew", "settle"])
def test_a_claim_that_another_took_over_writes_nothing(store: JobStore, act: str) -> None:
    held = claimed_job(store)
    row = claim(store, held.job_id, START + LEASE + SECOND).job

    with pytest.raises(ClaimLost):
        use(store, held, act)

    assert store.get(held.job_id) == row


@pytest.mark.parametrize("act", ["mark_invoked", "renew"])
def test_a_claim_that_was_settled_writes_nothing(store: JobStore, act: str, end: End) -> None:
    held = claimed_job(store)
    row = store.settle(held, end(held))

    with pytest.raises(ClaimLost):
        use(store, held, act)

    assert store.get(held.job_id) == row


def test_a_mark_that_is_repeated_after_the_end_is_refused(store: JobStore, end: End) -> None:
    held = claimed_job(store)
    store.mark_invoked(held, invoked(after(1)))
    store.settle(held, end(held))

    with pytest.raises(ClaimLost):
        store.mark_invoked(held, invoked(after(1)))


def test_a_late_outcome_is_taken_while_nobody_else_has_claimed(store: JobStore) -> None:
    held = claimed_job(store)

    job = store.settle(held, completed(held, START + LEASE + SECOND))

    assert job.status is JobStatus.COMPLETED


def test_settling_twice_writes_once(store: JobStore, end: End) -> None:
    held = claimed_job(store)
    first = store.settle(held, end(held))

    again = store.settle(held, end(held))

    assert again == first
    assert store.get(held.job_id) == first


def test_settling_otherwise_than_before_is_refused(store: JobStore) -> None:
    held = claimed_job(store)
    row = store.settle(held, completed(held, after(5)))

    with pytest.raises(ClaimLost):
        store.settle(held, failed(held, after(6)))

    assert store.get(held.job_id) == row


def test_an_outcome_that_is_repeated_after_the_next_claim_is_refused(
    store: JobStore,
) -> None:
    held = claimed_job(store)
    store.settle(held, retrying(held, after(5)))
    row = claim(store, held.job_id, after(8)).job

    with pytest.raises(ClaimLost):
        store.settle(held, retrying(held, after(5)))

    assert store.get(held.job_id) == row


@pytest.mark.parametrize(
    "payload",
    [
        Inline(text="Tea. 🍵"),
        Inline(text=""),
        Stored(key=ObjectKey("results/one/1-1.txt"), size=70_000),
    ],
    ids=["inline", "empty", "stored"],
)
def test_completed_leaves_the_result_and_no_lease(
    store: JobStore, payload: Inline | Stored
) -> None:
    held = claimed_job(store)
    outcome = completed(held, after(5), payload=payload)

    job = store.settle(held, outcome)

    assert store.get(held.job_id) == job
    assert job == replace(
        held.job,
        status=JobStatus.COMPLETED,
        seq=outcome.seq,
        updated_at=after(5),
        ended_at=after(5),
        lease_until=None,
        due_at=None,
        result=outcome.result,
        timeline=(*held.job.timeline, *outcome.steps),
    )


def test_a_step_keeps_when_its_outcome_was_settled(store: JobStore) -> None:
    held = claimed_job(store)

    job = store.settle(held, settled_at(failed(held, after(5)), after(338)))

    assert store.get(held.job_id) == job
    assert (job.ended_at, job.timeline[-1].settled_at) == (after(5), after(338))


def test_failed_leaves_the_error_and_no_lease(store: JobStore) -> None:
    held = claimed_job(store)
    outcome = failed(held, after(5))

    job = store.settle(held, outcome)

    assert store.get(held.job_id) == job
    assert job == replace(
        held.job,
        status=JobStatus.FAILED,
        seq=outcome.seq,
        updated_at=after(5),
        ended_at=after(5),
        lease_until=None,
        due_at=None,
        error=outcome.error,
        timeline=(*held.job.timeline, *outcome.steps),
    )


def test_retrying_leaves_the_wait_the_error_and_the_counts(store: JobStore) -> None:
    held = claimed_job(store)
    outcome = retrying(held, after(5))

    job = store.settle(held, outcome)

    assert store.get(held.job_id) == job
    assert job == replace(
        held.job,
        status=JobStatus.PENDING_RETRY,
        seq=outcome.seq,
        updated_at=after(5),
        lease_until=None,
        due_at=after(8) + RETRY_GRACE,
        not_before=after(8),
        error=THROTTLED,
        retry_counts=(1,),
        timeline=(*held.job.timeline, *outcome.steps),
    )


def test_the_same_story_leaves_the_same_rows_in_both(request: pytest.FixtureRequest) -> None:
    job = a_job()
    stores: tuple[JobStore, JobStore] = MemoryJobStore(), on_dynamodb(request)

    told = [list(story(store, job)) for store in stores]

    assert told[0] == told[1]


def test_on_dynamodb_only_jobs_that_are_not_ended_stand_in_the_index_of_open_jobs(
    request: pytest.FixtureRequest, clients: Clients, table: str, end: End
) -> None:
    store = on_dynamodb(request)
    held = claimed_job(store)

    job = store.settle(held, end(held))

    key = {"JobId": {"S": job.id}}
    row = clients.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
    is_open = not job.status.is_terminal
    assert ({"DueShard", "DueAt"} <= row.keys()) is is_open
    assert ("ExpiresAt" in row) is not is_open


def use(store: JobStore, held: Claim, act: str) -> None:
    """Do with a claim what only its holder may."""
    match act:
        case "mark_invoked":
            store.mark_invoked(held, invoked(after(2)))
        case "renew":
            store.renew(held, after(1_000))
        case _:
            store.settle(held, completed(held, after(2)))


def story(store: JobStore, job: Job) -> list[Job]:
    """Let a job be throttled, lost by its worker, and completed; give each row on the way."""
    rows = []
    store.add(job)
    rows.append(store.get(job.id))
    first = claim(store, job.id, after(1))
    store.mark_invoked(first, invoked(after(2)))
    rows += [store.get(job.id), store.settle(first, retrying(first, after(3)))]
    second = claim(store, job.id, after(6))
    store.renew(second, after(90))
    rows.append(store.get(job.id))
    third = claim(store, job.id, after(91))
    store.mark_invoked(third, invoked(after(92)))
    rows += [store.settle(third, completed(third, after(93))), store.get(job.id)]
    return rows
