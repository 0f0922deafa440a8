"""jobs.ports.DueJobs, in memory and on DynamoDB's sparse index: each promise of its docstring."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.dynamodb_due import DynamoDBDueJobs
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from jobs.due import ANNOUNCE_GRACE, DISPATCH_GRACE, RETRY_GRACE, next_due_at
from jobs.outcome import Redriven
from jobs.receiver import DeliveryKind, Receiver
from jobs.timeline import Step, StepName
from tests.builders import RecordingLog
from tests.contracts.stories import (
    LEASE,
    START,
    a_job,
    after,
    claim,
    claimed_job,
    completed,
    failed,
    retrying,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from jobs.job import Job
    from jobs.ports import DueJobs, JobStore
    from tests.stack import Clients

SWEEPER = "feed@test:1"
SWEEPERS = 8
MOMENT = timedelta(milliseconds=1)
GRACE = DISPATCH_GRACE


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of jobs, by its two ports."""

    store: JobStore
    due: DueJobs

    def take(self, now: datetime, *, limit: int = 100) -> list[Job]:
        """Find what is due and put it off, as a sweep does; give what was ours to put off."""
        swept = Step(name=StepName.SWEPT, at=now, by=SWEEPER)
        return [
            self.store.get(job.id)
            for job in self.due.find(now, limit=limit)
            if self.due.put_off(job, next_due_at(job, now), swept)
        ]

    def ids_due(self, now: datetime) -> set[str]:
        return {job.id for job in self.take(now)}


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        store = MemoryJobStore()
        yield Table(store=store, due=store)
        return
    clients: Clients = request.getfixturevalue("clients")
    name = clients.make_tables("Contract_DueJobs")
    yield Table(
        store=DynamoDBJobStore(client=clients.dynamodb, table=name, retention=timedelta(days=1)),
        due=DynamoDBDueJobs(client=clients.dynamodb, table=name, log=RecordingLog()),
    )
    clients.drop_tables(name)


def new_job(table: Table) -> Job:
    job = a_job()
    table.store.add(job)
    return job


def test_a_new_job_is_due_once_its_dispatch_took_too_long(table: Table) -> None:
    job = new_job(table)

    assert table.ids_due(START + GRACE - MOMENT) == set()
    assert table.ids_due(START + GRACE) == {job.id}


def test_a_running_job_is_due_at_its_leases_end(table: Table) -> None:
    held = claimed_job(table.store)

    assert table.ids_due(START + LEASE - MOMENT) == set()
    assert table.ids_due(START + LEASE) == {held.job_id}


def test_a_renewed_job_is_due_at_its_new_leases_end(table: Table) -> None:
    held = claimed_job(table.store)
    table.store.renew(held, after(100))

    assert table.ids_due(after(99.999)) == set()
    assert table.ids_due(after(100)) == {held.job_id}


def test_a_waiting_job_is_due_some_time_after_its_wait(table: Table) -> None:
    held = claimed_job(table.store)
    table.store.settle(held, retrying(held, after(5)))

    assert table.ids_due(after(8) + RETRY_GRACE - MOMENT) == set()
    assert table.ids_due(after(8) + RETRY_GRACE) == {held.job_id}


@pytest.mark.parametrize("end", [completed, failed])
def test_an_ended_job_is_never_due(table: Table, end: type) -> None:
    held = claimed_job(table.store)
    table.store.settle(held, end(held, after(5)))

    assert table.ids_due(after(10_000_000)) == set()


def test_the_row_comes_with_the_step_that_was_written(table: Table) -> None:
    job = new_job(table)

    [taken] = table.take(START + GRACE)

    swept = taken.timeline[-1]
    assert (swept.name, swept.at, swept.by) == (StepName.SWEPT, START + GRACE, SWEEPER)
    assert replace(taken, timeline=job.timeline, due_at=job.due_at, sweeps=0) == job
    assert (taken.due_at, taken.sweeps) == (START + 2 * GRACE, 1)


def test_a_look_that_leads_to_nothing_moves_only_the_time_to_look_again(table: Table) -> None:
    job = new_job(table)
    [found] = table.due.find(START + GRACE, limit=1)

    assert table.due.put_off(found, START + 2 * GRACE, None)

    assert table.store.get(job.id) == replace(job, due_at=START + 2 * GRACE)


def test_a_job_that_was_moved_meanwhile_is_not_put_off(table: Table) -> None:
    new_job(table)
    [found] = table.due.find(START + GRACE, limit=1)
    claim(table.store, found.id, START + GRACE)

    swept = Step(name=StepName.SWEPT, at=START + GRACE, by=SWEEPER)

    assert not table.due.put_off(found, START + 2 * GRACE, swept)
    assert table.store.get(found.id).sweeps == 0


def test_a_job_that_was_taken_is_due_again_later_each_time_twice_as_much(table: Table) -> None:
    job = new_job(table)
    now = START + GRACE

    for wait in (GRACE, 2 * GRACE, 4 * GRACE):
        assert table.ids_due(now) == {job.id}
        assert table.ids_due(now + wait - MOMENT) == set()
        now += wait

    assert table.ids_due(now) == {job.id}


def test_a_claim_after_a_sweep_is_due_at_its_leases_end(table: Table) -> None:
    job = new_job(table)
    table.take(START + GRACE)
    claimed_at = START + GRACE + MOMENT
    claim(table.store, job.id, claimed_at)

    assert table.ids_due(claimed_at + LEASE - MOMENT) == set()
    assert table.ids_due(claimed_at + LEASE) == {job.id}


def test_no_more_than_the_limit_is_taken_and_the_rest_stays_due(table: Table) -> None:
    job_ids = {new_job(table).id for _ in range(7)}

    taken = [{job.id for job in table.take(START + GRACE, limit=3)} for _ in range(4)]

    assert [len(batch) for batch in taken] == [3, 3, 1, 0]
    assert set().union(*taken) == job_ids


def test_of_sweepers_that_race_each_job_goes_to_one(table: Table) -> None:
    job_ids = sorted(new_job(table).id for _ in range(20))
    barrier = threading.Barrier(SWEEPERS)

    def race(_: int) -> list[Job]:
        barrier.wait(timeout=30)
        return table.take(START + GRACE)

    with ThreadPoolExecutor(SWEEPERS) as pool:
        taken = [job.id for batch in pool.map(race, range(SWEEPERS)) for job in batch]

    assert sorted(taken) == job_ids


@pytest.mark.parametrize("end", [completed, failed])
@pytest.mark.parametrize(
    "told",
    [
        {"webhook": "https://receiver.example/hook"},
        {"also_tell": (Receiver(kind=DeliveryKind.EVENTBRIDGE),)},
    ],
)
def test_an_ended_job_with_a_receiver_is_due_until_it_is_let_go(
    table: Table,
    end: type,
    told: dict[str, Any],
) -> None:
    job = replace(a_job(), **told)
    table.store.add(job)
    held = claim(table.store, job.id)
    ended = table.store.settle(held, end(held, after(5)))
    due_at = after(5) + ANNOUNCE_GRACE
    assert table.due.find(due_at - MOMENT, limit=10) == []
    assert table.due.find(due_at, limit=10) == [ended]

    table.due.let_go(ended)
    table.due.let_go(ended)

    assert table.due.find(after(10_000_000), limit=10) == []
    assert table.store.get(job.id) == replace(ended, due_at=None)


def test_a_job_that_waits_again_is_not_let_go(table: Table) -> None:
    job = replace(a_job(), webhook="https://receiver.example/hook")
    table.store.add(job)
    held = claim(table.store, job.id)
    ended = table.store.settle(held, failed(held, after(5)))
    again = table.store.change(
        ended, Redriven(at=after(6), seq=ended.seq + 1_000_000, max_attempts=9, steps=())
    )

    table.due.let_go(ended)

    assert table.store.get(job.id).due_at == again.due_at is not None
