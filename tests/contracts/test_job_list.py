"""jobs.listing.JobList and jobs.delete.RemovableJobs, in memory and on DynamoDB."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters import dynamodb_list
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.dynamodb_list import DynamoDBJobList
from adapters.memory import MemoryJobStore
from adapters.memory_lists import MemoryJobList
from jobs.errors import JobMoved, JobNotFound
from jobs.job import Inline, JobStatus, UserId
from jobs.listing import JobList, Page, Place
from tests.builders import RecordingLog
from tests.contracts.stories import a_job, after, claim, completed, failed

if TYPE_CHECKING:
    from jobs.job import Job
    from tests.stack import Clients

RETENTION = timedelta(days=30)
_users = (UserId(f"user-{number}@example.com") for number in itertools.count())


@dataclass
class Table:
    jobs: JobList
    store: Any  # a JobStore whose jobs can be removed

    def add(self, user: UserId, count: int) -> list[Job]:
        """Add jobs, a second apart, and give them in the order of a list."""
        made = [
            replace(a_job(), user=user, created_at=after(number), queued_at=after(number))
            for number in range(count)
        ]
        for job in made:
            self.store.add(job)
        return made[::-1]

    def walk(self, user: UserId, *, limit: int, status: JobStatus | None = None) -> list[Page]:
        pages = [self.jobs.page(user, status=status, limit=limit, after=None)]
        while (place := pages[-1].next) is not None:
            pages.append(self.jobs.page(user, status=status, limit=limit, after=place))
        return pages


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Table:
    if request.param == "memory":
        store = MemoryJobStore()
        return Table(MemoryJobList(store), store)
    clients: Clients = request.getfixturevalue("clients")
    name = request.getfixturevalue("tables")
    return Table(
        DynamoDBJobList(client=clients.dynamodb, table=name, log=RecordingLog()),
        DynamoDBJobStore(client=clients.dynamodb, table=name, retention=RETENTION),
    )


@pytest.fixture(scope="module")
def tables(clients: Clients) -> str:
    return clients.make_tables("Contract_JobList")


def ids(pages: list[Page]) -> list[str]:
    return [job.id for page in pages for job in page.jobs]


def test_a_list_has_the_users_jobs_and_nobody_elses_the_newest_first(table: Table) -> None:
    user, other = next(_users), next(_users)
    made = table.add(user, 5)
    table.add(other, 2)

    page = table.jobs.page(user, status=None, limit=10, after=None)

    assert [job.id for job in page.jobs] == [job.id for job in made]
    assert page.next is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100])
def test_pages_of_any_size_give_each_job_once(table: Table, limit: int) -> None:
    user = next(_users)
    made = table.add(user, 7)

    pages = table.walk(user, limit=limit)

    assert ids(pages) == [job.id for job in made]
    assert all(len(page.jobs) <= limit for page in pages)


def test_a_status_lists_those_that_stand_there(table: Table) -> None:
    user = next(_users)
    made = table.add(user, 6)
    for job in made[1::2]:
        held = claim(table.store, job.id, after(10))
        table.store.settle(held, failed(held, after(11)))

    assert ids(table.walk(user, limit=2, status=JobStatus.FAILED)) == [j.id for j in made[1::2]]
    assert ids(table.walk(user, limit=2, status=JobStatus.PENDING)) == [j.id for j in made[::2]]
    assert ids(table.walk(user, limit=2, status=JobStatus.RUNNING)) == []


def test_a_page_looks_at_a_bounded_number_of_jobs(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynamodb_list, "_MOST_LOOKED_AT", 3)
    user = next(_users)
    made = table.add(user, 10)
    held = claim(table.store, made[-1].id, after(10))
    table.store.settle(held, failed(held, after(11)))

    pages = table.walk(user, limit=5, status=JobStatus.FAILED)

    assert ids(pages) == [made[-1].id]
    if isinstance(table.jobs, DynamoDBJobList):
        assert len(pages) >= 3


def test_a_list_leaves_out_what_may_be_large(table: Table) -> None:
    user = next(_users)
    [job] = table.add(user, 1)
    held = claim(table.store, job.id, after(1))
    row = table.store.settle(held, completed(held, after(2)))

    [listed] = table.jobs.page(user, status=None, limit=1, after=None).jobs

    assert listed.prompt == Inline(text="")
    assert listed.timeline == ()
    assert listed.result is not None
    assert row.result is not None
    assert listed.result == replace(row.result, payload=Inline(text=""))
    shown = ("id", "user", "status", "model", "attempt", "created_at", "ended_at", "metadata")
    assert [getattr(listed, name) for name in shown] == [getattr(row, name) for name in shown]
    assert (listed.seq, listed.error, listed.trace) == (row.seq, row.error, row.trace)


def test_a_place_whose_job_is_gone_still_leads_on(table: Table) -> None:
    user = next(_users)
    newest, middle, oldest = table.add(user, 3)
    held = claim(table.store, middle.id, after(10))
    table.store.remove(table.store.settle(held, completed(held, after(11))))

    place = Place(created_at=middle.created_at, job=middle.id)

    assert [j.id for j in table.jobs.page(user, status=None, limit=5, after=place).jobs] == [
        oldest.id
    ]
    assert ids(table.walk(user, limit=5)) == [newest.id, oldest.id]


def test_an_ended_job_that_is_removed_is_gone(table: Table) -> None:
    [job] = table.add(next(_users), 1)
    held = claim(table.store, job.id)
    row = table.store.settle(held, completed(held, after(1)))

    table.store.remove(row)

    with pytest.raises(JobNotFound):
        table.store.get(job.id)
    table.store.remove(row)


def test_a_job_that_has_moved_on_is_not_removed(table: Table) -> None:
    [job] = table.add(next(_users), 1)
    held = claim(table.store, job.id)
    row = table.store.settle(held, completed(held, after(1)))

    with pytest.raises(JobMoved):
        table.store.remove(replace(row, epoch=row.epoch - 1))
    with pytest.raises(JobMoved):
        table.store.remove(replace(row, status=JobStatus.FAILED))

    assert table.store.get(job.id) == row


def test_a_job_whose_removal_has_begun_is_found_by_who_removes_it_and_nobody_else(
    table: Table,
) -> None:
    user = next(_users)
    [job] = table.add(user, 1)
    held = claim(table.store, job.id)
    row = table.store.settle(held, completed(held, after(1)))

    leaving = table.store.begin_removal(row)

    assert table.store.begin_removal(row) == table.store.begin_removal(leaving) == leaving
    assert table.store.read(job.id) == leaving == replace(row, epoch=row.epoch + 1)
    with pytest.raises(JobNotFound):
        table.store.get(job.id)
    assert ids(table.walk(user, limit=5)) == []
    table.store.remove(leaving)
    with pytest.raises(JobNotFound):
        table.store.read(job.id)


def test_the_removal_of_a_job_that_has_moved_on_does_not_begin(table: Table) -> None:
    [job] = table.add(next(_users), 1)
    held = claim(table.store, job.id)
    row = table.store.settle(held, completed(held, after(1)))

    with pytest.raises(JobMoved):
        table.store.begin_removal(replace(row, epoch=row.epoch - 1))
    with pytest.raises(JobMoved):
        table.store.begin_removal(replace(row, status=JobStatus.FAILED))

    assert table.store.get(job.id) == row
