"""jobs.census.CensusTaker, in memory and on DynamoDB's sparse index: each of its promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_census import DynamoDBCensusTaker
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from adapters.memory_lists import MemoryCensusTaker
from jobs.census import OPEN, seems_made_at
from jobs.job import JobId, JobStatus, new_job_id
from jobs.outcome import Redriven
from jobs.receiver import DeliveryKind, Receiver
from jobs.timeline import StepName
from tests.contracts.stories import START, a_job, after, claim, completed, failed, retrying, step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from jobs.census import CensusTaker
    from jobs.job import Job
    from jobs.ports import JobStore
    from tests.stack import Clients

MOST = 1000
HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of jobs, by its two ports."""

    store: JobStore
    taker: CensusTaker

    def add(self, number: int, *, at: datetime = START) -> Job:
        job = replace(a_job(), id=new_job_id(at, bytes([number]) * 10), created_at=at, queued_at=at)
        self.store.add(job)
        return job


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        store = MemoryJobStore()
        yield Table(store=store, taker=MemoryCensusTaker(store))
        return
    clients: Clients = request.getfixturevalue("clients")
    name = clients.make_tables("Contract_CensusTaker")
    yield Table(
        store=DynamoDBJobStore(client=clients.dynamodb, table=name, retention=timedelta(days=1)),
        taker=DynamoDBCensusTaker(client=clients.dynamodb, table=name),
    )
    clients.drop_tables(name)


def test_every_open_state_has_a_number_even_where_there_are_no_jobs(table: Table) -> None:
    census = table.taker.count(START, most=MOST)

    assert census.at == START
    assert census.counts == dict.fromkeys(OPEN, 0)
    assert census.oldest == {}
    assert census.is_whole


def test_jobs_are_counted_by_state_and_not_once_they_have_ended(table: Table) -> None:
    for number in range(3):
        table.add(number)
    running = table.add(3)
    claim(table.store, running.id, START)
    retried = claim(table.store, table.add(4).id, START)
    table.store.settle(retried, retrying(retried, START, delay=timedelta(minutes=1)))
    done = claim(table.store, table.add(5).id, START)
    table.store.settle(done, completed(done, START))

    census = table.taker.count(after(60), most=MOST)

    assert census.counts == {
        JobStatus.PENDING: 3,
        JobStatus.RUNNING: 1,
        JobStatus.PENDING_RETRY: 1,
    }


def test_an_ended_job_whose_end_is_to_be_announced_is_not_open(table: Table) -> None:
    told = replace(a_job(), also_tell=(Receiver(kind=DeliveryKind.EVENTBRIDGE),))
    table.store.add(told)
    held = claim(table.store, told.id, START)
    table.store.settle(held, completed(held, START))

    assert table.taker.count(START, most=MOST).counts == dict.fromkeys(OPEN, 0)


def test_the_oldest_of_a_state_is_told_by_its_acceptance(table: Table) -> None:
    table.add(1, at=after(30))
    oldest = table.add(2, at=START)
    table.add(3, at=after(60))

    census = table.taker.count(after(300), most=MOST)

    assert census.oldest == {JobStatus.PENDING: oldest.created_at}


def test_a_redriven_job_is_as_old_as_its_redrive(table: Table) -> None:
    old = table.add(1, at=START)
    held = claim(table.store, old.id, START)
    ended = table.store.settle(held, failed(held, START))
    again = after(3 * HOUR)
    table.store.change(
        ended,
        Redriven(
            at=again,
            seq=ended.seq + 1_000_000,
            max_attempts=9,
            steps=(step(StepName.REDRIVEN, again),),
        ),
    )
    table.add(2, at=after(2 * HOUR))

    census = table.taker.count(after(4 * HOUR), most=MOST)

    assert census.oldest == {JobStatus.PENDING: after(2 * HOUR)}


def test_what_is_not_counted_is_not_passed_over_in_silence(table: Table) -> None:
    for number in range(40):
        table.add(number)

    census = table.taker.count(START, most=16)

    assert not census.is_whole
    assert 0 < census.counts[JobStatus.PENDING] <= 16


def test_an_id_tells_its_time_and_one_that_was_made_otherwise_none() -> None:
    assert seems_made_at(new_job_id(START, b"0" * 10), after(1 * HOUR)) == START
    assert seems_made_at(JobId("job_" + "z" * 26), START) is None
    assert seems_made_at(JobId("job_" + "0" * 26), START) is None
    assert seems_made_at(JobId("x"), START) is None
