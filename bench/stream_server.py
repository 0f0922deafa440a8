"""A change stream in shards, served so cheaply that who reads it is what is measured.

tests/streams_stand_in.py keeps the whole protocol; this one has every record written before it is
asked for, and only puts bytes together. It keeps to AWS's page: 1,000 records or 1 MB.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

HOST = "127.0.0.1"
PAGE_RECORDS = 1000
PAGE_BYTES = 1024 * 1024
NUMBER = "@number@"  # stands in a record where its sequence number will


@dataclass(frozen=True, kw_only=True)
class Written:
    """A record as it goes over the wire, before and after its sequence number.

    `job` is the job's number: all records of a job are in one shard.
    """

    job: int
    head: bytes
    tail: bytes

    @classmethod
    def of(cls, text: bytes, *, job: int) -> Written:
        """Cut a record's JSON at its NUMBER."""
        head, _, tail = text.partition(NUMBER.encode())
        return cls(job=job, head=head, tail=tail)

    def numbered(self, offset: int) -> bytes:
        """Give it the number of its place."""
        return b"%s%021d%s" % (self.head, offset + 1, self.tail)


@dataclass(kw_only=True)
class ServedShard:
    """A shard's records, and how often it was read."""

    id: str
    records: list[Written] = field(default_factory=list)
    released_at: list[float] = field(default_factory=list)  # of each record, by CLOCK_MONOTONIC
    reads: int = 0

    def page(self, offset: int, limit: int) -> list[bytes]:
        """Give what comes next, as much as fits a page."""
        page: list[bytes] = []
        size = 0
        for place in range(offset, min(offset + limit, len(self.records))):
            record = self.records[place].numbered(place)
            size += len(record)
            if page and size > PAGE_BYTES:
                break
            page.append(record)
        return page


class StreamServer:
    """Runs in threads of this process; records may be released at any time."""

    def __init__(self, arn: str, *, shards: int) -> None:
        self.shards = {
            name: ServedShard(id=name) for name in (f"shardId-{n:020d}" for n in range(shards))
        }
        self.begun_at: float | None = None  # when a reader was first given records of a release
        self._dealt = list(self.shards.values())
        self._arn = arn
        self._server = _Server((HOST, 0), _Handler)
        self._server.answer = self._answer
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._server.server_port}"

    def release(self, records: Iterable[Written]) -> None:
        """Append records; jobs are dealt to the shards in turn."""
        self.begun_at = None
        for record in records:
            shard = self._dealt[record.job % len(self._dealt)]
            shard.released_at.append(time.monotonic())
            shard.records.append(record)

    def _answer(self, operation: str, asked: dict[str, Any]) -> bytes:
        match operation:
            case "DescribeStream":
                return json.dumps({"StreamDescription": self._described()}).encode()
            case "GetShardIterator":
                return json.dumps({"ShardIterator": self._iterator(asked)}).encode()
            case "GetRecords":
                return self._get_records(asked)
        raise ValueError(f"the stream server has no {operation}")

    def _described(self) -> dict[str, Any]:
        shards = [
            {"ShardId": name, "SequenceNumberRange": {"StartingSequenceNumber": f"{1:021d}"}}
            for name in self.shards
        ]
        return {"StreamArn": self._arn, "StreamStatus": "ENABLED", "Shards": shards}

    def _iterator(self, asked: dict[str, Any]) -> str:
        shard = self.shards[asked["ShardId"]]
        match asked["ShardIteratorType"]:
            case "AFTER_SEQUENCE_NUMBER":
                return f"{shard.id}|{int(asked['SequenceNumber'])}"
            case "LATEST":
                return f"{shard.id}|{len(shard.records)}"
        return f"{shard.id}|0"

    def _get_records(self, asked: dict[str, Any]) -> bytes:
        name, _, offset = asked["ShardIterator"].partition("|")
        came_at = time.monotonic()
        shard = self.shards[name]
        page = shard.page(int(offset), asked.get("Limit", PAGE_RECORDS))
        shard.reads += 1
        if page and self.begun_at is None:
            self.begun_at = came_at
        following = f"{name}|{int(offset) + len(page)}".encode()
        return b'{"NextShardIterator":"%s","Records":[%s]}' % (following, b",".join(page))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answer: Any


class _Handler(BaseHTTPRequestHandler):
    """One connection; it stays open."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together

    def do_POST(self) -> None:
        """Answer one call."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server: Any = self.server
        body = server.answer(self.headers["X-Amz-Target"].partition(".")[2], asked)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
