"""The stage of the feed's benchmark: a stream, its servers, who reads it, and the broker."""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from adapters.redis_events import NUDGE_CHANNEL
from adapters.schema import deliveries_table, rejected_table
from adapters.streams import DynamoDBChangeStream
from bench.feed_reader import OWN, PLAIN, STREAMS_ENDPOINT, Drained, reader_process
from bench.lives import Life
from bench.process import Measured
from bench.stream_server import StreamServer
from tests.stack import Program, clean_environ
from workers.broker import RUN_QUEUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bench.feed_reader import ReaderProcess
    from bench.stream_server import Written
    from tests.stack import Clients, LocalStack

FEED = "Longhaul's feed"
SIDES = (FEED, PLAIN, OWN)
LOOK_SECONDS = 0.003  # between two looks at the broker's queue
ENDS_WITHIN = 60.0
LATE_WORD_SECONDS = 4.0  # the feed tells of an end some seconds later, and that is its work, too
TASKS_ONLY = {"LONGHAUL_SWEEP_SECONDS": "600", "LONGHAUL_LOG_FORMAT": "json"}
_JOB_NUMBER = re.compile(rb"job_(\d{26})")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stream, served to each side by a server of its own."""

    servers: dict[str, StreamServer]
    reader: ReaderProcess
    broker: redis.Redis
    environ: dict[str, str]
    folder: Path
    life: Life

    @contextmanager
    def feed(self, name: str, **settings: str) -> Iterator[Measured]:
        """Run a feed by its own command; it has read every shard when this gives it."""
        shards = self.servers[FEED].shards.values()
        for shard in shards:
            shard.reads = 0
        program = Program(
            (sys.executable, "-m", "workers.feed_entry"),
            environ={**self.environ, **TASKS_ONLY, **settings},
            log=self.folder / f"{name}.log",
        )
        try:
            program.wait_for(lambda: all(shard.reads for shard in shards), "all shards are read")
            yield Measured(pid=program.pid)
        finally:
            program.stop()

    def pump(self, feed: Measured, records: Sequence[Written], *, tasks: int) -> Drained:
        """Release a backlog to the feed and wait until the broker has all of its tasks."""
        server = self.servers[FEED]
        self.broker.delete(RUN_QUEUE)
        cpu_before = feed.cpu_seconds()
        server.release(records)
        give_up_at = time.monotonic() + ENDS_WITHIN
        while self.broker.llen(RUN_QUEUE) < tasks:
            if time.monotonic() > give_up_at:
                raise TimeoutError("the feed did not come to the backlog's end")
            time.sleep(LOOK_SECONDS)
        ended_at = time.monotonic()
        if tasks < len(records):
            time.sleep(LATE_WORD_SECONDS)
        return Drained(
            records=len(records),
            seconds=ended_at - (server.begun_at or ended_at),
            cpu_seconds=feed.cpu_seconds() - cpu_before,
        )

    def drain(self, kind: str, records: Sequence[Written]) -> Drained:
        """Release the same backlog to a reader and let it read."""
        self.servers[kind].release(records)
        return self.reader.drain(kind, len(records))

    def feed_lags(self, records: Sequence[Written], *, a_second: float) -> list[float]:
        """Release records at a pace, each with a nudge; give when the broker gave their tasks."""
        self.broker.delete(RUN_QUEUE)
        released_at: list[float] = []
        consumer = _Consumer(self.environ["REDIS_URL"], len(records))
        consumer.start()
        for record in _paced(records, a_second=a_second):
            released_at.append(time.monotonic())
            self.servers[FEED].release([record])
            self.broker.publish(NUDGE_CHANNEL, b"1")
        consumer.join(ENDS_WITHIN)
        return [at - released_at[number] for number, at in consumer.came]

    def reader_lags(
        self, kind: str, records: Sequence[Written], *, a_second: float, pace: float
    ) -> list[float]:
        """Release the same to a reader that reads at a pace; give when it had each."""
        server = self.servers[kind]
        read = {name: len(shard.records) for name, shard in server.shards.items()}
        following = self.reader.follow(kind, len(records), pace=pace)
        for record in _paced(records, a_second=a_second):
            server.release([record])
        lags: list[float] = []
        for seen in following.result():
            first = read[seen.shard]
            read[seen.shard] += seen.records
            released_at = server.shards[seen.shard].released_at[first : read[seen.shard]]
            lags.extend(seen.at - at for at in released_at)
        return lags


@contextmanager
def stage(stack: LocalStack, clients: Clients, *, shards: int, folder: Path) -> Iterator[Stage]:
    """Make the tables and a stream of so many shards, and what stands around it."""
    table = clients.make_tables(f"Bench_Feed_{shards}")
    for definition in (rejected_table(table), deliveries_table(table)):
        clients.dynamodb.create_table(**definition)
    arn = DynamoDBChangeStream(tables=clients.dynamodb, streams=clients.streams, table=table).name()
    life = Life.write(clients, table=table, stream=arn)
    environ = {**clean_environ(), **stack.environ, "LONGHAUL_TABLE": table}
    with ExitStack() as stood:
        servers = {side: stood.enter_context(StreamServer(arn, shards=shards)) for side in SIDES}
        urls = {side: server.url for side, server in servers.items()}
        reader = stood.enter_context(
            reader_process(environ, stream=arn, shards=list(servers[FEED].shards), urls=urls)
        )
        broker = stood.enter_context(redis.Redis.from_url(stack.redis_url))
        yield Stage(
            servers=servers,
            reader=reader,
            broker=broker,
            environ={**environ, STREAMS_ENDPOINT: urls[FEED]},
            folder=folder,
            life=life,
        )
    clients.drop_tables(table)


class _Consumer(threading.Thread):
    """Takes tasks from the broker as a worker does, and notes which job's came when."""

    def __init__(self, redis_url: str, tasks: int) -> None:
        super().__init__(daemon=True)
        self._redis_url = redis_url
        self._tasks = tasks
        self._taken: list[tuple[bytes, float]] = []

    def run(self) -> None:
        give_up_at = time.monotonic() + ENDS_WITHIN
        with redis.Redis.from_url(self._redis_url) as client:
            while len(self._taken) < self._tasks and time.monotonic() < give_up_at:
                if (took := client.brpop([RUN_QUEUE], timeout=1)) is not None:
                    self._taken.append((took[1], time.monotonic()))

    @property
    def came(self) -> list[tuple[int, float]]:
        """Give each job's number and when its task came."""
        return [(_job_number(message), at) for message, at in self._taken]


def _job_number(message: bytes) -> int:
    args = base64.b64decode(json.loads(message)["body"])
    found = _JOB_NUMBER.search(args)
    if found is None:
        raise ValueError("a task without a job")
    return int(found[1])


def _paced(records: Sequence[Written], *, a_second: float) -> Iterator[Written]:
    began_at = time.monotonic()
    for number, record in enumerate(records):
        time.sleep(max(0.0, began_at + number / a_second - time.monotonic()))
        yield record
