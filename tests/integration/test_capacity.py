"""What docs/capacity.md counts for a job is what the real processes do for one."""

from __future__ import annotations

import json
import random
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from adapters.schema import OPEN_JOBS, USER_JOBS, jobs_table
from bench.capacity.calls import event_calls, row_reads
from bench.capacity.rows import delta_bytes, row_writes
from bench.capacity.units import index_units, item_bytes, write_units
from bench.capacity.workload import Workload
from tests.faults.proxy import FaultProxy, kind_of
from tests.integration.test_main_path import ended, submit
from tests.stack import Clients, LocalStack, System, http, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aiohttp import ClientSession, web

    Item = Mapping[str, Any]

WORKLOAD = Workload(answer_tokens=30, answer_bytes=120, max_tokens=4_096)
TABLE = jobs_table("LLM_Jobs")
ALIKE = 0.12  # of a row's size: processes have longer and shorter names
# A lease that is renewed while an answer of 3 s is written.
SETTINGS = {"LONGHAUL_LEASE_SECONDS": "4"}
PACE = "tokens=30; duration_s=3; first_token_s=0"


class CountingProxy(FaultProxy):
    """Passes everything on and remembers what was asked."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, chance=random.Random(1))  # noqa: S311 - guards no secret
        self.asked: list[tuple[str, dict[str, Any]]] = []

    async def _answer(self, request: web.Request, session: ClientSession) -> web.Response:
        kind, body = kind_of(request.method, request.headers), await request.read()
        self.asked.append((kind, json.loads(body) if body[:1] == b"{" else {}))
        return await super()._answer(request, session)


class Seen:
    """One job's life, as the parts saw it."""

    def __init__(self, stack: LocalStack, system: System, proxy: CountingProxy) -> None:
        self._redis = redis.Redis.from_url(stack.redis_url)
        before = self._commands()
        prompt = f"<<stand-in: {PACE}>>".ljust(WORKLOAD.prompt_bytes, "x")
        self.id = submit(system, {"prompt": prompt})["id"]
        self.events = list(watched(system, self.id))
        ended(system, self.id)
        self.deltas = sum(one["event"] == "job.delta" for one in self.events)
        wanted = event_calls(self.deltas).logged

        def are_all_logged() -> bool:
            return self._commands()["eval"] - before["eval"] >= wanted

        wait_until(are_all_logged, "the feed's late word")
        self.commands = self._commands() - before
        self.asked = list(proxy.asked)
        self._redis.close()

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """Give what was asked of the table of jobs about this job."""
        return [
            body
            for kind, body in self.asked
            if kind == f"dynamodb:{operation}"
            and body["TableName"] == TABLE["TableName"]
            and body.get("Key", body.get("Item", {}))["JobId"] == {"S": self.id}
        ]

    def _commands(self) -> Counter[str]:
        stats: dict[str, Any] = self._redis.info("commandstats")
        return Counter({name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()})


def watched(system: System, job_id: str) -> Iterator[dict[str, Any]]:
    with http.stream("GET", f"{system.url}/v1/jobs/{job_id}/events", timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


@contextmanager
def through_a_proxy(stack: LocalStack) -> Iterator[tuple[System, CountingProxy]]:
    with CountingProxy(stack.environ["AWS_ENDPOINT_URL_DYNAMODB"]) as proxy:
        names = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_S3")
        settings = {**stack.environ, **dict.fromkeys(names, proxy.url), **SETTINGS}
        with System(stack, settings=settings) as system:
            yield system, proxy


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("capacity")) as running:
        yield running


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> Iterator[Seen]:
    with through_a_proxy(stack) as (system, proxy):
        yield Seen(stack, system, proxy)


@pytest.fixture(scope="module")
def records(stack: LocalStack, seen: Seen) -> list[dict[str, Any]]:
    """Give the change records of the job, in order."""
    clients = Clients.of(stack.environ)
    try:
        arn = clients.dynamodb.describe_table(TableName=TABLE["TableName"])["Table"][
            "LatestStreamArn"
        ]
        [shard] = clients.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        iterator = clients.streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found = clients.streams.get_records(ShardIterator=iterator)["Records"]
    finally:
        clients.close()
    ours: Sequence[Any] = [one["dynamodb"] for one in found]
    return [one for one in ours if one["Keys"]["JobId"] == {"S": seen.id}]


def name_of(before: Item, after: Item) -> str:
    """Say which of the model's writes a change is."""
    if not before:
        return "add"
    if after["JobStatus"] != before["JobStatus"]:
        return "claim" if after["JobStatus"]["S"] == "RUNNING" else "settle"
    return "renew" if "InvokeStartedAt" in before else "mark the call"


def test_a_job_is_written_as_often_as_is_counted(seen: Seen, records: list[Any]) -> None:
    names = [name_of(one.get("OldImage", {}), one["NewImage"]) for one in records]
    renewals = names.count("renew")

    assert [one for one in names if one != "renew"] == [
        one.name for one in row_writes(WORKLOAD) if one.name != "renew"
    ]
    assert renewals >= 1
    assert len(seen.calls("PutItem")) == 1
    assert len(seen.calls("UpdateItem")) == 3 + renewals
    assert not [kind for kind, _ in seen.asked if kind == "s3:PUT"]


def test_each_write_costs_what_is_counted_in_the_table_and_its_indexes(records: list[Any]) -> None:
    counted = {one.name: one for one in row_writes(WORKLOAD)}

    for record in records:
        before, after = record.get("OldImage", {}), record["NewImage"]
        model = counted[name_of(before, after)]
        assert item_bytes(after) == pytest.approx(item_bytes(model.after), rel=ALIKE), model.name
        assert index_units(TABLE, before or None, after) == index_units(
            TABLE, model.before or None, model.after
        ), model.name
        assert abs(write_units(before, after) - write_units(model.before, model.after)) <= 1
        assert set(model.after) == set(after), model.name


def test_a_watcher_and_a_look_read_the_row_as_often_as_is_counted(seen: Seen) -> None:
    early, late = row_reads(WORKLOAD)

    # `ended` looks until the job has ended, and one stream watches it to its end.
    reads = seen.calls("GetItem")

    assert len(reads) == early + late
    assert all(one.get("ConsistentRead") for one in reads)


def test_redis_is_asked_for_each_event_as_is_counted(seen: Seen) -> None:
    counted = event_calls(seen.deltas)

    assert seen.deltas <= WORKLOAD.answer_tokens
    assert seen.commands["eval"] == counted.logged
    assert seen.commands["publish"] == counted.published
    assert seen.commands["lpush"] == 1
    assert [one["event"] for one in seen.events if one["event"] != "job.delta"] == [
        "job.queued",
        "job.started",
        "job.completed",
    ]


def test_an_event_of_text_is_as_long_as_is_counted(seen: Seen) -> None:
    sizes = [
        len(json.dumps(one, separators=(",", ":")))
        for one in seen.events
        if one["event"] == "job.delta"
    ]

    assert sum(sizes) / len(sizes) == pytest.approx(delta_bytes(WORKLOAD), rel=ALIKE)
    assert {USER_JOBS, OPEN_JOBS} == {one["IndexName"] for one in TABLE["GlobalSecondaryIndexes"]}
