"""jobs.find.Finder, in memory and on DynamoDB: each of its promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_find import DynamoDBFinder
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from adapters.memory_lists import MemoryFinder
from jobs.job import JobStatus, UserId, new_job_id
from jobs.outcome import Redriven
from jobs.timeline import StepName
from tests.contracts.stories import START, a_job, after, claim, completed, failed, step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from jobs.find import Finder
    from jobs.job import Job
    from jobs.ports import JobStore
    from tests.stack import Clients

HOUR = 3600
BOB = UserId("bob")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of jobs, by its two ports."""

    store: JobStore
    finder: Finder

    def add(self, number: int, *, at: datetime = START, user: UserId | None = None) -> Job:
        job = replace(a_job(), id=new_job_id(at, bytes([number]) * 10), created_at=at, queued_at=at)
        job = replace(job, user=user or job.user)
        self.store.add(job)
        return job

    def fail(self, number: int, *, at: datetime = START, user: UserId | None = None) -> Job:
        held = claim(self.store, self.add(number, at=START, user=user).id, at)
        return self.store.settle(held, failed(held, at))

    def redrive(self, ended: Job, at: datetime) -> Job:
        steps = (step(StepName.REDRIVEN, at),)
        redriven = Redriven(at=at, seq=ended.seq + 1_000_000, max_attempts=9, steps=steps)
        return self.store.change(ended, redriven)

    def open_ids(self, before: datetime, *, limit: int = 10) -> list[str]:
        found = self.finder.find_open(before, now=after(4 * HOUR), limit=limit)
        return [job.id for job in found.jobs]

    def failed_ids(self, since: datetime, *, user: UserId | None = None) -> set[str]:
        return {one.job for one in self.finder.find_failed(since, user=user)}


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        store = MemoryJobStore()
        yield Table(store=store, finder=MemoryFinder(store))
        return
    clients: Clients = request.getfixturevalue("clients")
    name = clients.make_tables("Contract_Finder")
    yield Table(
        store=DynamoDBJobStore(client=clients.dynamodb, table=name, retention=timedelta(days=1)),
        finder=DynamoDBFinder(client=clients.dynamodb, table=name),
    )
    clients.drop_tables(name)


def test_open_jobs_are_found_the_oldest_first(table: Table) -> None:
    young = table.add(1, at=after(60))
    old = table.add(2)
    claim(table.store, old.id, START)
    table.add(3, at=after(2 * HOUR))

    assert table.open_ids(after(HOUR)) == [old.id, young.id]


def test_an_ended_job_is_not_open(table: Table) -> None:
    held = claim(table.store, table.add(1).id, START)
    table.store.settle(held, completed(held, START))
    table.fail(2)

    assert table.open_ids(after(HOUR)) == []


def test_a_redriven_job_waits_since_its_redrive(table: Table) -> None:
    again = table.redrive(table.fail(1), after(3 * HOUR))

    assert table.open_ids(after(2 * HOUR)) == []
    assert table.open_ids(after(3 * HOUR)) == [again.id]


def test_what_is_beyond_the_limit_is_said_to_be_there(table: Table) -> None:
    for number in range(5):
        table.add(number)

    some = table.finder.find_open(after(1), now=after(1), limit=3)
    every = table.finder.find_open(after(1), now=after(1), limit=5)

    assert (len(some.jobs), some.is_whole) == (3, False)
    assert (len(every.jobs), every.is_whole) == (5, True)


def test_failed_jobs_are_found_by_their_ends(table: Table) -> None:
    table.fail(1, at=after(60))
    late = table.fail(2, at=after(2 * HOUR))
    held = claim(table.store, table.add(3).id, START)
    table.store.settle(held, completed(held, after(2 * HOUR)))
    table.add(4)

    [found] = table.finder.find_failed(after(HOUR), user=None)

    assert (found.job, found.user, found.ended_at) == (late.id, late.user, after(2 * HOUR))
    assert (found.status, found.error) == (JobStatus.FAILED, "model_rejected_request")


def test_one_users_failed_jobs_are_found_alone(table: Table) -> None:
    table.fail(1)
    theirs = table.fail(2, user=BOB)
    table.add(3, user=BOB)

    assert table.failed_ids(START, user=BOB) == {theirs.id}
    assert table.failed_ids(after(1), user=BOB) == set()
    assert len(table.failed_ids(START)) == 2


def test_a_redriven_job_has_not_failed(table: Table) -> None:
    table.redrive(table.fail(1), after(60))

    assert table.failed_ids(START) == set()


def test_the_table_has_a_size(table: Table) -> None:
    assert table.finder.size().items >= 0
