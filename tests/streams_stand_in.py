"""DynamoDB Streams with many shards, on loopback: no emulator splits shards.

It takes the records of a real table's stream and gives them out anew, spread over shards that split
on command. It speaks the wire protocol, refuses on command, and keeps a ledger of reads.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from yarl import URL

from adapters.aws import connect_streams
from tests.free_ports import free_base
from tests.sharded_stream import (
    MOST_RECORDS,
    MOST_SHARDS,
    Refusal,
    Refused,
    ShardedStream,
    ShardIterator,
)
from tests.stack import environ_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_dynamodbstreams.client import DynamoDBStreamsClient

    from tests.sharded_stream import Record

HOST = "127.0.0.1"
ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"
READER_VARIABLE = "AWS_SDK_UA_APP_ID"  # botocore names it in every request's User-Agent
STARTS_WITHIN = 10.0
TAKE_EVERY = 0.05  # seconds between two looks at the table's own stream
_READER = re.compile(r"\bapp/(\S+)")


@dataclass(frozen=True, kw_only=True)
class Read:
    """One GetRecords that was answered; `at` in seconds, `is_last` where the shard has ended."""

    at: float
    shard: str
    reader: str
    records: int
    is_last: bool


class StreamsStandIn:
    """Runs in a thread of its own; its commands may come from any thread at any time."""

    def __init__(self, source: DynamoDBStreamsClient, arn: str, *, shards: int) -> None:
        self.arn = arn
        self.url = f"http://{HOST}:{free_base(1)}"
        self.reads: list[Read] = []
        self._stream = ShardedStream(shards)
        self._source = TableStream(source, arn)
        self._taken_at = 0.0
        self._refusals: deque[Refusal] = deque()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="streams-stand-in", daemon=True)
        self._is_up = threading.Event()
        self._stop: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_up.wait(STARTS_WITHIN), "the streams stand-in did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(STARTS_WITHIN)

    def connect(self, environ: Mapping[str, str]) -> DynamoDBStreamsClient:
        """Make the product's client for the stand-in; `environ` has credentials and region."""
        with environ_of({**environ, ENDPOINT_VARIABLE: self.url}):
            return connect_streams()

    def split(self, shard: str) -> None:
        """Close a shard after all that the table has written until now; it has two children."""
        with self._lock:
            self._take_records()
            self._stream.split(shard)

    def trim(self, shard: str) -> None:
        """Drop all that the table has written to a shard until now."""
        with self._lock:
            self._take_records()
            self._stream.trim(shard)

    def expire_iterators(self) -> None:
        """Refuse every iterator that was given until now."""
        with self._lock:
            self._stream.expire_iterators()

    def refuse_reads(self, refusal: Refusal, *, times: int) -> None:
        """Answer the next GetRecords so."""
        with self._lock:
            self._refusals.extend([refusal] * times)

    def ends_of_open_shards(self) -> dict[str, str | None]:
        """Give each open shard and the sequence number of its last record, None without one."""
        with self._lock:
            self._take_records()
            return {
                shard.id: shard.numbers[-1] if shard.records else None
                for shard in self._stream.open_shards()
            }

    def parents(self) -> dict[str, str]:
        """Give each child shard and its parent."""
        with self._lock:
            shards = self._stream.shards.values()
            return {shard.id: shard.parent for shard in shards if shard.parent}

    def reads_of(self, shard: str) -> list[Read]:
        """Give the ledger of one shard, in the order the reads came."""
        return [read for read in self.reads if read.shard == shard]

    def most_readers(self, *, within: float) -> int:
        """Give the most readers that one shard has had in any `within` seconds."""
        return max(
            len({read.reader for read in reads if last.at - within < read.at <= last.at})
            for shard in {read.shard for read in self.reads}
            for reads in [self.reads_of(shard)]
            for last in reads
        )

    def _take_records(self) -> None:
        for record in self._source.new_records():
            self._stream.add(record)
        self._taken_at = time.monotonic()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        app = web.Application()
        app.router.add_post("/", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, HOST, URL(self.url).port).start()
        self._is_up.set()
        await stopped.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        operation = request.headers["X-Amz-Target"].partition(".")[2]
        reader = _READER.search(request.headers["User-Agent"])
        try:
            with self._lock:
                answer = self._do(operation, asked, reader=reader[1] if reader else "")
        except Refused as refused:
            return _json({"__type": refused.refusal, "message": str(refused)}, status=400)
        return _json(answer)

    def _do(self, operation: str, asked: dict[str, Any], *, reader: str) -> dict[str, Any]:
        match operation:
            case "DescribeStream":
                self._check_arn(asked)
                return self._describe(asked)
            case "GetShardIterator":
                self._check_arn(asked)
                kind, number = asked["ShardIteratorType"], asked.get("SequenceNumber")
                return {"ShardIterator": str(self._stream.open(asked["ShardId"], kind, number))}
            case "GetRecords":
                return self._get_records(asked, reader=reader)
        raise Refused(Refusal.INVALID, f"the stand-in has no {operation}")

    def _check_arn(self, asked: dict[str, Any]) -> None:
        if asked["StreamArn"] != self.arn:
            raise Refused(Refusal.NOT_FOUND, f"there is no stream {asked['StreamArn']}")

    def _describe(self, asked: dict[str, Any]) -> dict[str, Any]:
        shards, last = self._stream.describe(
            after=asked.get("ExclusiveStartShardId"), limit=asked.get("Limit", MOST_SHARDS)
        )
        described = {"StreamArn": self.arn, "StreamStatus": "ENABLED", "Shards": shards}
        return {"StreamDescription": described | ({"LastEvaluatedShardId": last} if last else {})}

    def _get_records(self, asked: dict[str, Any], *, reader: str) -> dict[str, Any]:
        if self._refusals:
            raise Refused(self._refusals.popleft(), "as commanded")
        if time.monotonic() - self._taken_at >= TAKE_EVERY:
            self._take_records()
        iterator = ShardIterator.read(asked["ShardIterator"])
        page = self._stream.read(iterator, limit=asked.get("Limit", MOST_RECORDS))
        self.reads.append(
            Read(
                at=time.monotonic(),
                shard=iterator.shard,
                reader=reader,
                records=len(page.records),
                is_last=page.following is None,
            )
        )
        following = {"NextShardIterator": str(page.following)} if page.following else {}
        return {"Records": page.records, **following}


class TableStream:
    """The stream that an emulator keeps of a table: one shard, open for ever."""

    def __init__(self, client: DynamoDBStreamsClient, arn: str) -> None:
        self._client = client
        self._arn = arn
        self._iterator: str | None = None

    def new_records(self) -> Iterator[Record]:
        """Give what was written since the last time."""
        self._iterator = self._iterator or self._open()
        while True:
            answer = self._client.get_records(ShardIterator=self._iterator)
            self._iterator = answer["NextShardIterator"]
            if not answer["Records"]:
                return
            yield from answer["Records"]

    def _open(self) -> str:
        described = self._client.describe_stream(StreamArn=self._arn)["StreamDescription"]
        [shard] = described["Shards"]
        return self._client.get_shard_iterator(
            StreamArn=self._arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]


def _json(body: dict[str, Any], *, status: int = 200) -> web.Response:
    return web.Response(
        text=json.dumps(body, default=datetime.timestamp),
        status=status,
        content_type="application/x-amz-json-1.0",
    )
