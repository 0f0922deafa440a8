"""Readers that read shards and do nothing more, in a process of their own.

What is defined here as a plain function runs in that process, one at a time.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Protocol

import boto3

from adapters.aws import connect_dynamodb, connect_streams
from adapters.streams import DynamoDBChangeStream
from bench.stream_server import PAGE_RECORDS
from jobs.shards import ShardId, StreamName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

PLAIN = "GetRecords alone"  # by boto3, as anybody would
OWN = "the feed's own reads alone"
STREAMS_ENDPOINT = "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"
GIVES_UP_AFTER = 60.0
_BETWEEN_EMPTY_READS = 0.001


@dataclass(frozen=True, kw_only=True)
class Drained:
    """How long a backlog took from the first read that gave some of it, and its processor time."""

    records: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Seen:
    """That so many records of a shard were read at a moment of CLOCK_MONOTONIC."""

    at: float
    shard: str
    records: int


class _Reader(Protocol):
    def read(self) -> int:
        """Read what comes next and count it."""


class _PlainReader:
    def __init__(self, client: Any, stream: str, shard: str) -> None:  # noqa: ANN401 - boto3's
        self._client = client
        self._iterator = client.get_shard_iterator(
            StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]

    def read(self) -> int:
        answer = self._client.get_records(ShardIterator=self._iterator, Limit=PAGE_RECORDS)
        self._iterator = answer["NextShardIterator"]
        return len(answer["Records"])


class _OwnReader:
    def __init__(self, stream: DynamoDBChangeStream, arn: str, shard: str) -> None:
        self._reader = stream.open(StreamName(arn), ShardId(shard), after=None)

    def read(self) -> int:
        return len(self._reader.read().records)


_readers: dict[str, dict[str, _Reader]] = {}  # by kind and shard; the process's own


class ReaderProcess:
    """The process, and what can be asked of it."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def drain(self, kind: str, records: int) -> Drained:
        """Read as fast as can be until there were so many."""
        return self._pool.submit(_drain, kind, records).result()

    def follow(self, kind: str, records: int, *, pace: float) -> Future[list[Seen]]:
        """Begin to read each shard `pace` times a second, until there were so many."""
        return self._pool.submit(_follow, kind, records, pace)


@contextmanager
def reader_process(
    environ: Mapping[str, str], *, stream: str, shards: list[str], urls: Mapping[str, str]
) -> Iterator[ReaderProcess]:
    """Start the process; `urls` say by kind where it reads."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(_begin, dict(environ), stream, shards, dict(urls)).result()
        yield ReaderProcess(pool)


def _begin(environ: dict[str, str], stream: str, shards: list[str], urls: dict[str, str]) -> None:
    os.environ.update(environ)
    os.environ[STREAMS_ENDPOINT] = urls[PLAIN]
    plain = boto3.client("dynamodbstreams")
    _readers[PLAIN] = {shard: _PlainReader(plain, stream, shard) for shard in shards}
    os.environ[STREAMS_ENDPOINT] = urls[OWN]
    own = DynamoDBChangeStream(
        tables=connect_dynamodb(connections=1), streams=connect_streams(), table=""
    )
    _readers[OWN] = {shard: _OwnReader(own, stream, shard) for shard in shards}


def _drain(kind: str, records: int) -> Drained:
    readers = list(_readers[kind].values())
    began_at, cpu_before, count = 0.0, 0.0, 0
    give_up_at = time.monotonic() + GIVES_UP_AFTER
    while count < records:
        for reader in readers:
            now, cpu = time.monotonic(), time.process_time()
            got = reader.read()
            if got and not count:
                began_at, cpu_before = now, cpu
            count += got
        if not count:
            time.sleep(_BETWEEN_EMPTY_READS)
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"read {count} of {records} records")
    return Drained(
        records=count,
        seconds=time.monotonic() - began_at,
        cpu_seconds=time.process_time() - cpu_before,
    )


def _follow(kind: str, records: int, pace: float) -> list[Seen]:
    seen: list[Seen] = []
    count = 0
    give_up_at = time.monotonic() + GIVES_UP_AFTER
    while count < records:
        began_at = time.monotonic()
        for shard, reader in _readers[kind].items():
            if got := reader.read():
                seen.append(Seen(at=time.monotonic(), shard=shard, records=got))
                count += got
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"read {count} of {records} records")
        time.sleep(max(0.0, began_at + 1 / pace - time.monotonic()))
    return seen
