"""Real feeds on a stream of sixteen shards that split, two of them killed under load."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import redis

from adapters.clock import SystemChance, SystemClock
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.dynamodb_shard_leases import DynamoDBShardLeases
from adapters.schema import deliveries_table, feed_table_name, rejected_table
from adapters.streams import DynamoDBChangeStream
from jobs.job import JobStatus
from jobs.prompt import Prompt
from jobs.submit import submit_job
from tests.builders import a_request, submit_parts
from tests.contracts.stories import a_trace
from tests.stack import Program, RedisServer, clean_environ, http, wait_until
from tests.streams_stand_in import ENDPOINT_VARIABLE, READER_VARIABLE, StreamsStandIn
from workers.broker import RUN_QUEUE
from workers.shard_keeper import FAILOVER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.feed_ports import ShardLeases
    from jobs.job import JobId
    from jobs.ports import JobStore
    from jobs.shard_leases import ShardLease
    from jobs.shards import StreamName
    from tests.stack import Clients, LocalStack

TABLE = "Sixteen_Shards"
SHARDS = 16
JOBS_PER_SECOND = 8
MOST_READERS = 2  # that AWS allows a shard
SHARED_WITHIN = 60.0  # taking one lease a round, from a feed that came first
TAKEN_OVER_WITHIN = 3 * FAILOVER.total_seconds()
# Every lost record must show: the sweep, which would find its job, looks once and not again.
SETTINGS = {
    "LONGHAUL_TABLE": TABLE,
    "LONGHAUL_LOG_FORMAT": "json",
    "LONGHAUL_SWEEP_SECONDS": "600",
    "LONGHAUL_FEED_READS_PER_SECOND": "5",
}


@dataclass(kw_only=True)
class FeedProcesses:
    """Feeds by their names, each a process, and the stream and leases that they share."""

    environ: dict[str, str]
    folder: Path
    streams: StreamsStandIn
    stream: StreamName
    leases: ShardLeases
    running: dict[str, Program] = field(default_factory=dict)
    gone: list[Program] = field(default_factory=list)

    def start(self, *names: str) -> None:
        for name in names:
            self.running[name] = Program(
                (sys.executable, "-m", "workers.feed_entry"),
                environ={**self.environ, READER_VARIABLE: name},
                log=self.folder / f"{name}.log",
            )

    def kill(self, name: str) -> None:
        """Let a feed be gone at once, and two shards split: one of its own, one of another's."""
        ours = self.shards_of(name)
        program = self.running.pop(name)
        program.kill()
        self.gone.append(program)
        for shard in (ours[0], self.shards_of(*self.running)[0]):
            self.streams.split(shard)

    def stop_all(self) -> None:
        for program in self.running.values():
            program.process.terminate()
        for program in self.running.values():
            program.stop()

    def shards_of(self, *names: str) -> list[str]:
        """Say which shards these feeds hold that have not ended."""
        pids = {str(self.running[name].pid) for name in names}
        return [lease.shard for lease in self.open_leases() if pid_of(lease) in pids]

    def open_leases(self) -> list[ShardLease]:
        leases = self.leases.load(self.stream)
        return [lease for lease in leases if not lease.checkpoint.ended]

    def shares(self) -> list[int]:
        """Say how many of the stream's open shards each running feed holds, the fewest first.

        Empty while a parent has not ended, or a shard is nobody's or a gone feed's.
        """
        leases = self.open_leases()
        held = Counter(pid_of(lease) for lease in leases)
        pids = {str(program.pid) for program in self.running.values()}
        open_shards = self.streams.ends_of_open_shards().keys()
        if {lease.shard for lease in leases} != open_shards or held.keys() != pids:
            return []
        return sorted(held.values())

    def wait_until_even(self, share: int, *, within: float) -> None:
        even = [share] * len(self.running)
        wait_until(lambda: self.shares() == even, f"{even} shards a feed", within=within)

    def wait_until_read_out(self) -> None:
        """Wait until every checkpoint is at its shard's last record."""
        wait_until(self._have_read_all, "all records to have been read")

    def _have_read_all(self) -> bool:
        places = {lease.shard: lease.checkpoint.position for lease in self.open_leases()}
        return places == self.streams.ends_of_open_shards()

    @property
    def output(self) -> str:
        return "".join(program.output for program in [*self.gone, *self.running.values()])


def pid_of(lease: ShardLease) -> str:
    """Give the process that the owner's name ends with."""
    return (lease.owner or "").rpartition(":")[2]


@dataclass(kw_only=True)
class Submitter:
    """Writes new rows at a steady pace, as the web process does, until it is stopped."""

    store: JobStore
    written: list[JobId] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        clock = SystemClock()
        parts = submit_parts(store=self.store, clock=clock, chance=SystemChance())
        while not self.stopped.wait(1 / JOBS_PER_SECOND):
            request = a_request(
                accepted_at=clock.now(),
                trace=a_trace(),
                prompt=Prompt(text="Say it. <<stand-in: tokens=5>>"),
            )
            self.written.append(submit_job(request, parts).id)


@contextmanager
def submitting(clients: Clients) -> Iterator[Submitter]:
    store = DynamoDBJobStore(client=clients.dynamodb, table=TABLE, retention=timedelta(days=1))
    submitter = Submitter(store=store)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(submitter.run)
        try:
            yield submitter
        finally:
            submitter.stopped.set()
        running.result()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """Run a Redis of the test's own: no other worker may take its tasks."""
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server.url
    server.kill()


@pytest.fixture
def environ(stand_ins: LocalStack, broker: str) -> dict[str, str]:
    """Lead a process to the stand-ins, to the test's table and to its broker."""
    return {**clean_environ(), **stand_ins.environ, **SETTINGS, "REDIS_URL": broker}


@pytest.fixture
def feeds(clients: Clients, environ: dict[str, str], tmp_path: Path) -> Iterator[FeedProcesses]:
    table = clients.make_tables(TABLE)
    clients.dynamodb.create_table(**rejected_table(TABLE))
    clients.dynamodb.create_table(**deliveries_table(TABLE))
    stream = DynamoDBChangeStream(
        tables=clients.dynamodb, streams=clients.streams, table=table
    ).name()
    with StreamsStandIn(clients.streams, stream, shards=SHARDS) as streams:
        feeds = FeedProcesses(
            environ={**environ, ENDPOINT_VARIABLE: streams.url},
            folder=tmp_path,
            streams=streams,
            stream=stream,
            leases=DynamoDBShardLeases(client=clients.dynamodb, table=feed_table_name(table)),
        )
        yield feeds
        for program in feeds.running.values():
            program.kill()
    clients.drop_tables(table)


@pytest.fixture
def worker(feeds: FeedProcesses, tmp_path: Path) -> Iterator[Program]:
    worker = Program(
        (sys.executable, "-m", "workers.worker_entry"),
        environ={**feeds.environ, "LONGHAUL_WORKER_CONCURRENCY": "40"},
        log=tmp_path / "worker.log",
    )
    worker.wait_for(lambda: '"worker_started"' in worker.output, "the worker to start")
    yield worker
    worker.kill()


def test_four_feeds_share_sixteen_shards_and_survive_two_kills(
    feeds: FeedProcesses, worker: Program, clients: Clients, stand_ins: LocalStack, broker: str
) -> None:
    with submitting(clients) as submitter:
        feeds.start("feed-1", "feed-2", "feed-3", "feed-4")
        feeds.wait_until_even(4, within=SHARED_WITHIN)
        feeds.kill("feed-1")
        feeds.wait_until_even(6, within=TAKEN_OVER_WITHIN)
        feeds.kill("feed-2")
        feeds.start("feed-5", "feed-6")
        feeds.wait_until_even(5, within=TAKEN_OVER_WITHIN)
    wait_until(
        lambda: count_completed(clients) == len(submitter.written), "all jobs to be completed"
    )
    feeds.wait_until_read_out()
    feeds.stop_all()
    finish(worker, broker)

    calls = calls_by_job(stand_ins)
    assert {job: calls[job] for job in submitter.written} == dict.fromkeys(submitter.written, 1)
    assert '"job_swept"' not in feeds.output
    assert feeds.streams.most_readers(within=1.0) <= MOST_READERS
    assert_parents_were_read_before_their_children(feeds.streams)


def assert_parents_were_read_before_their_children(streams: StreamsStandIn) -> None:
    parents = streams.parents()
    assert len(parents) == 8
    for child, parent in parents.items():
        ended_at = next(read.at for read in streams.reads_of(parent) if read.is_last)
        assert ended_at < streams.reads_of(child)[0].at


def finish(worker: Program, broker: str) -> None:
    """Let the worker run all tasks that there are, and end."""
    with redis.Redis.from_url(broker) as client:
        wait_until(lambda: client.llen(RUN_QUEUE) == 0, "all tasks to be taken")
    worker.stop()


def count_completed(clients: Clients) -> int:
    pages = clients.dynamodb.get_paginator("scan").paginate(
        TableName=TABLE,
        Select="COUNT",
        FilterExpression="JobStatus = :status",
        ExpressionAttributeValues={":status": {"S": JobStatus.COMPLETED}},
    )
    return sum(page["Count"] for page in pages)


def calls_by_job(stand_ins: LocalStack) -> Counter[str]:
    """Count the calls to the model in its own ledger."""
    answer = http.get(f"{stand_ins.bedrock_url}/_stand-in/calls").raise_for_status()
    return Counter(call["job"] for call in answer.json()["calls"])
