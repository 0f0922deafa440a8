"""jobs.idempotency.KeyedJobs, in memory and on DynamoDB: each promise of its docstrings."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.clock import SystemClock
from adapters.dynamodb_idempotency import DynamoDBKeyedJobs
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from adapters.memory_lists import MemoryKeyedJobs
from jobs.errors import JobExists, JobNotFound, KeyReused
from jobs.idempotency import KeyedJobs, RequestKey
from jobs.job import UserId
from tests.contracts.stories import a_job, after, claim, completed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack import Clients

RETENTION = timedelta(days=30)
RACERS = 50
_words = (f"key-{number}" for number in itertools.count())


@dataclass
class Table:
    keyed: KeyedJobs
    store: Any  # a JobStore whose jobs can be removed


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        store = MemoryJobStore()
        yield Table(MemoryKeyedJobs(store), store)
        return
    clients: Clients = request.getfixturevalue("clients")
    name = request.getfixturevalue("tables")
    yield Table(
        DynamoDBKeyedJobs(
            client=clients.dynamodb, jobs=name, retention=RETENTION, clock=SystemClock()
        ),
        DynamoDBJobStore(client=clients.dynamodb, table=name, retention=RETENTION),
    )


@pytest.fixture(scope="module")
def tables(clients: Clients) -> str:
    return clients.make_tables("Contract_Idempotency")


def a_key(word: str | None = None, *, body: object = None, user: str = "ann") -> RequestKey:
    return RequestKey.of(
        user=UserId(user), route="POST /v1/jobs", key=word or next(_words), body=body
    )


def test_the_first_request_under_a_key_writes_its_job(table: Table) -> None:
    job, key = a_job(), a_key()

    assert table.keyed.find(key) is None
    assert table.keyed.add(job, key) == job.id
    assert table.store.get(job.id) == job
    assert table.keyed.find(key) == job.id


def test_the_same_request_again_is_given_the_same_job_and_writes_nothing(table: Table) -> None:
    first, second, key = a_job(), a_job(), a_key()
    table.keyed.add(first, key)

    assert table.keyed.add(second, key) == first.id
    with pytest.raises(JobNotFound):
        table.store.get(second.id)


def test_another_body_under_the_same_key_is_refused(table: Table) -> None:
    word = next(_words)
    table.keyed.add(a_job(), a_key(word, body={"prompt": "one"}))
    other = a_key(word, body={"prompt": "two"})

    with pytest.raises(KeyReused):
        table.keyed.find(other)
    with pytest.raises(KeyReused):
        table.keyed.add(a_job(), other)


def test_a_key_belongs_to_its_user(table: Table) -> None:
    word = next(_words)
    anns, bobs = a_job(), a_job()

    assert table.keyed.add(anns, a_key(word)) == anns.id
    assert table.keyed.find(a_key(word, user="bob")) is None
    assert table.keyed.add(bobs, a_key(word, user="bob")) == bobs.id


def test_of_fifty_requests_that_race_one_makes_its_job(table: Table) -> None:
    key, jobs = a_key(), [a_job() for _ in range(RACERS)]

    with ThreadPoolExecutor(RACERS) as pool:
        given = set(pool.map(lambda job: table.keyed.add(job, key), jobs))

    assert len(given) == 1
    written = []
    for job in jobs:
        try:
            written.append(table.store.get(job.id).id)
        except JobNotFound:
            continue
    assert written == list(given)


def test_a_key_is_free_again_once_its_job_is_gone(table: Table) -> None:
    first, second, word = a_job(), a_job(), next(_words)
    table.keyed.add(first, a_key(word, body=1))
    held = claim(table.store, first.id)
    table.store.remove(table.store.settle(held, completed(held, after(1))))

    assert table.keyed.find(a_key(word, body=2)) is None
    assert table.keyed.add(second, a_key(word, body=2)) == second.id
    assert table.keyed.find(a_key(word, body=2)) == second.id


def test_a_job_that_is_there_already_is_not_written_over(table: Table) -> None:
    job = a_job()
    table.store.add(job)

    with pytest.raises(JobExists):
        table.keyed.add(a_job(job.id), a_key())


def test_a_fingerprint_is_of_what_a_body_says_and_not_of_how_it_is_written() -> None:
    one = a_key("word", body={"prompt": "Hi", "metadata": {"a": "1", "b": "2"}})

    assert one == a_key("word", body={"metadata": {"b": "2", "a": "1"}, "prompt": "Hi"})
    assert one != a_key("word", body={"prompt": "Hi", "metadata": {"a": "1", "b": 2}})
    assert "word" not in one.id
