"""jobs.ports.JobStore: jobs that are divided, and their parts, in memory and on DynamoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from adapters.schema import USER_JOBS
from jobs import seq
from jobs.claim import ClaimRefused
from jobs.division import Division, PartOf, PlanId
from jobs.document import Document, MediaType, UploadId
from jobs.errors import ClaimLost, JobMoved, JobNotFound
from jobs.job import JobError, JobStatus, ObjectKey, UserId
from jobs.outcome import Cancelled, Failed, Gathered, Redriven
from jobs.timeline import StepName
from jobs.transitions import begun_to_divide, changed, settled, with_part_done
from tests.contracts.stories import (
    LEASE,
    a_job,
    after,
    claim,
    claimed_job,
    completed,
    divided,
    new_id,
    step,
    terms,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.claim import Claim
    from jobs.job import Job
    from jobs.ports import JobStore
    from tests.stack import Clients

DIVISION = Division(plan=PlanId("0123456789abcdef"), total=3)
LONG_AFTER = after(100 * LEASE.total_seconds())
RACERS = 16


@pytest.fixture(scope="module")
def table(clients: Clients) -> Iterator[str]:
    name = clients.make_tables("Contract_JobStore_Parts")
    yield name
    clients.drop_tables(name)  # whoever steals tests of this file makes it anew


@pytest.fixture(params=["memory", "dynamodb", "direct"])
def store(request: pytest.FixtureRequest) -> JobStore:
    if request.param == "memory":
        return MemoryJobStore()
    clients: Clients = request.getfixturevalue("clients")
    return DynamoDBJobStore(
        client=clients.direct if request.param == "direct" else clients.dynamodb,
        table=request.getfixturevalue("table"),
        retention=timedelta(days=30),
    )


def a_part() -> Job:
    part = PartOf(job=new_id(), plan=DIVISION.plan, number=2, total=3, pages="pages 5 to 8")
    return replace(a_job(), part=part)


def divided_job(store: JobStore) -> tuple[Claim, Job]:
    held = claimed_job(store)
    store.mark_divided(held, DIVISION)
    return held, store.settle(held, divided(held, after(2)))


def gathered(job: Job) -> Gathered:
    at = after(9)
    number = seq.next_first(job.epoch)
    return Gathered(at=at, seq=number, steps=(step(StepName.GATHERED, at),))


def test_a_part_reads_back_as_it_was_added(store: JobStore) -> None:
    part = a_part()

    store.add(part)
    store.add(part)

    assert store.get(part.id) == part


def test_a_job_with_documents_reads_back_as_it_was_added(store: JobStore) -> None:
    document = Document(
        upload=UploadId("upl_1"),
        name="Q3 ☕.pdf",
        media_type=MediaType.PDF,
        size=7,
        key=ObjectKey("uploads/1"),
    )
    job = replace(a_job(), documents=(document, document))

    store.add(job)

    assert store.get(job.id) == job


def test_how_a_job_is_divided_stands_in_its_row_before_its_parts_do(store: JobStore) -> None:
    held = claimed_job(store)

    store.mark_divided(held, DIVISION)
    store.mark_divided(held, DIVISION)

    assert store.get(held.job_id) == begun_to_divide(held.job, DIVISION)


def test_only_the_holder_may_begin_to_divide(store: JobStore) -> None:
    old = claimed_job(store)
    claim(store, old.job_id, LONG_AFTER)

    with pytest.raises(ClaimLost):
        store.mark_divided(old, DIVISION)

    assert store.get(old.job_id).division is None


def test_a_divided_job_is_what_the_transition_says(store: JobStore) -> None:
    held, job = divided_job(store)

    expected = settled(begun_to_divide(held.job, DIVISION), divided(held, after(2)))
    assert job == expected == store.get(held.job_id)
    assert job.is_divided


def test_nobody_holds_a_divided_job(store: JobStore) -> None:
    held, job = divided_job(store)

    for act in (
        lambda: store.renew(held, after(99)),
        lambda: store.mark_invoked(held, step(StepName.INVOKED, after(3))),
        lambda: store.mark_divided(held, DIVISION),
        lambda: store.settle(held, completed(held, after(4))),
    ):
        with pytest.raises(ClaimLost):
            act()

    assert store.get(held.job_id) == job


def test_dividing_twice_with_the_same_claim_writes_once(store: JobStore) -> None:
    held, job = divided_job(store)
    noted = store.note_part(job, 1, after(3))

    again = store.settle(held, divided(held, after(2)))

    assert again == noted == store.get(held.job_id)


def test_a_divided_job_cannot_be_claimed_however_late(store: JobStore) -> None:
    held, _ = divided_job(store)

    refused = store.claim(held.job_id, terms(LONG_AFTER))

    assert isinstance(refused, ClaimRefused)
    assert refused.status is JobStatus.RUNNING


def test_a_part_that_is_done_is_noted_and_raises_the_number(store: JobStore) -> None:
    _, job = divided_job(store)

    noted = store.note_part(job, 2, after(3))

    assert noted == with_part_done(job, 2, after(3)) == store.get(job.id)
    assert noted.seq == job.seq + 1


def test_a_part_is_noted_once_however_often_it_is_told(store: JobStore) -> None:
    _, job = divided_job(store)
    noted = store.note_part(job, 2, after(3))

    assert store.note_part(job, 2, after(4)) == noted
    assert store.note_part(noted, 2, after(5)) == noted


def test_parts_that_race_are_all_noted_under_numbers_of_their_own(store: JobStore) -> None:
    _, job = divided_job(store)

    with ThreadPoolExecutor(RACERS) as pool:
        rows = list(pool.map(lambda n: store.note_part(job, n % 3 + 1, after(3)), range(RACERS)))

    row = store.get(job.id)
    assert row.division is not None
    assert row.division.is_whole
    assert row.seq == job.seq + 3
    assert {one.seq for one in rows} <= {job.seq + 1, job.seq + 2, job.seq + 3}


def test_no_part_is_noted_of_a_job_that_is_not_divided_any_more(store: JobStore) -> None:
    _, job = divided_job(store)
    row = store.change(job, gathered(job))

    with pytest.raises(JobMoved):
        store.note_part(job, 1, after(10))
    with pytest.raises(JobMoved):
        store.note_part(row, 1, after(10))

    assert store.get(job.id) == row


def test_no_part_is_noted_of_a_job_that_someone_holds(store: JobStore) -> None:
    held = claimed_job(store)
    store.mark_divided(held, DIVISION)

    with pytest.raises(JobMoved):
        store.note_part(held.job, 1, after(3))


def test_no_part_is_noted_of_a_job_that_is_not_there(store: JobStore) -> None:
    with pytest.raises(JobMoved):
        store.note_part(a_job(), 1, after(3))


def test_a_gathered_job_can_be_claimed_and_knows_its_parts(store: JobStore) -> None:
    _, job = divided_job(store)
    for number in (1, 2, 3):
        job = store.note_part(job, number, after(3))

    row = store.change(job, gathered(job))
    held = claim(store, job.id, after(10))

    assert row == changed(job, gathered(job))
    assert held.job.division == replace(DIVISION, ended=frozenset({1, 2, 3}))
    assert held.attempt == 1


def test_parts_noted_meanwhile_are_not_forgotten_by_a_change(store: JobStore) -> None:
    _, job = divided_job(store)
    store.note_part(job, 3, after(3))
    at = after(9)

    cancelled = Cancelled(
        at=at, seq=seq.next_first(job.epoch), steps=(step(StepName.CANCELLED, at),)
    )
    row = store.change(job, cancelled)

    assert row.division is not None
    assert row.division.ended == {3}


def test_dividing_anew_begins_with_no_part_noted(store: JobStore) -> None:
    _, job = divided_job(store)
    job = store.note_part(job, 1, after(3))
    store.change(job, gathered(job))
    held = claim(store, job.id, after(10))

    store.mark_divided(held, DIVISION)

    assert store.get(job.id).division == DIVISION


def test_a_divided_job_fails_with_its_part_and_can_be_redriven(store: JobStore) -> None:
    _, job = divided_job(store)
    error = JobError(code="part_failed", message="part 2 of 3", retryable=True)
    number, at = seq.next_first(job.epoch), after(9)
    failed = Failed(at=at, seq=number, error=error, steps=(step(StepName.FAILED, at),))

    row = store.change(job, failed)

    assert row == changed(job, failed) == store.get(job.id)
    assert row.status is JobStatus.FAILED
    redriven = Redriven(
        at=after(10),
        seq=seq.next_first(row.epoch),
        max_attempts=6,
        steps=(step(StepName.REDRIVEN, after(10)),),
    )
    assert store.change(row, redriven).division == DIVISION


def test_parts_are_not_in_the_index_of_a_users_jobs(clients: Clients, table: str) -> None:
    store = DynamoDBJobStore(client=clients.dynamodb, table=table, retention=timedelta(days=30))
    user = UserId(f"user {new_id()}")
    job = replace(a_job(), user=user)
    store.add(replace(a_part(), user=user))
    store.add(job)

    found = clients.dynamodb.query(
        TableName=table,
        IndexName=USER_JOBS,
        KeyConditionExpression="UserId = :user",
        ExpressionAttributeValues={":user": {"S": user}},
    )["Items"]

    assert [item["JobId"]["S"] for item in found] == [job.id]


def test_a_part_is_kept_for_as_long_as_its_job_says(clients: Clients, table: str) -> None:
    store = DynamoDBJobStore(client=clients.dynamodb, table=table, retention=timedelta(days=30))
    held = claimed_job(store)
    store.settle(held, completed(held, after(2)))

    def expires_at() -> str | None:
        key = {"JobId": {"S": held.job_id}}
        item = clients.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
        return item["ExpiresAt"]["N"] if "ExpiresAt" in item else None

    store.keep_until(held.job_id, after(60))
    assert expires_at() == str(int(after(60).timestamp()))
    store.keep_until(held.job_id, None)
    assert expires_at() is None


def test_a_row_that_is_gone_is_not_kept(store: JobStore) -> None:
    job = a_job()

    store.keep_until(job.id, after(60))
    store.keep_until(job.id, None)

    with pytest.raises(JobNotFound):
        store.get(job.id)
