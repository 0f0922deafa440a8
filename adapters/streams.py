"""The change stream on DynamoDB Streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws_errors import code_of, translating
from adapters.dynamodb_receivers import read_receivers
from adapters.dynamodb_row import (
    read_division,
    read_end,
    read_part,
    read_trace,
)
from adapters.raw_record import raw_json
from jobs.dispatch import Change, ChangeRecord, Image
from jobs.errors import Misconfigured, PositionLost, RecordUnreadable, UnreadRecord
from jobs.job import JobId, JobStatus, ModelId, UserId
from jobs.shards import LATEST, Batch, Position, Shard, ShardId, StreamName
from jobs.times import read_time

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value
    from mypy_boto3_dynamodbstreams.client import DynamoDBStreamsClient
    from mypy_boto3_dynamodbstreams.type_defs import GetRecordsOutputTypeDef, RecordTypeDef

_PART = "stream"
_LONGEST_REASON = 300  # characters; an error may quote what stood in the row
# A position that is gone: trimmed after 24 h, of another stream, or of a stand-in that restarted.
_GONE = frozenset({"TrimmedDataAccessException", "ResourceNotFoundException"})


@dataclass(frozen=True, kw_only=True)
class DynamoDBChangeStream:
    """jobs.feed_ports.ChangeStream of one table."""

    tables: DynamoDBClient
    streams: DynamoDBStreamsClient
    table: str
    batch: int = 1000  # records a read; GetRecords' most

    def name(self) -> StreamName:
        """Give the stream's ARN; one that is switched off and on again has another."""
        with translating(_PART):
            table = self.tables.describe_table(TableName=self.table)["Table"]
        if "LatestStreamArn" not in table:
            raise Misconfigured(f"table {self.table} has no stream: run `longhaul bootstrap`")
        return StreamName(table["LatestStreamArn"])

    def shards(self, stream: StreamName) -> list[Shard]:
        """List all shards, a hundred a call."""
        shards: list[Shard] = []
        start: dict[str, str] = {}
        while True:
            with translating(_PART):
                answer = self.streams.describe_stream(StreamArn=stream, **start)  # type: ignore[arg-type] # one optional key
            page = answer["StreamDescription"]
            shards.extend(
                Shard(
                    id=ShardId(shard["ShardId"]),
                    parent=ShardId(parent) if (parent := shard.get("ParentShardId")) else None,
                )
                for shard in page.get("Shards", [])
            )
            if not (last := page.get("LastEvaluatedShardId")):
                return shards
            start = {"ExclusiveStartShardId": last}

    def open(
        self, stream: StreamName, shard: ShardId, *, after: Position | None
    ) -> DynamoDBShardReader:
        """Start after a position, at LATEST, or at the oldest record; costs nothing yet."""
        return DynamoDBShardReader(self.streams, stream, shard, after, batch=self.batch)


class DynamoDBShardReader:
    """jobs.feed_ports.ShardReader: holds on to its iterator, because opening one anew is slow."""

    def __init__(
        self,
        client: DynamoDBStreamsClient,
        stream: StreamName,
        shard: ShardId,
        after: Position | None,
        *,
        batch: int,
    ) -> None:
        self._client = client
        self._stream = stream
        self._shard = shard
        self._after = after
        self._batch = batch
        self._iterator: str | None = None

    def read(self) -> Batch:
        """Read what comes next. Raises PositionLost."""
        with translating(_PART):
            try:
                return self._read()
            except botocore.exceptions.ClientError as error:
                if code_of(error) in _GONE or self._does_not_fit(error):
                    raise PositionLost(f"{self._shard}: {code_of(error)}") from error
                raise

    def _read(self) -> Batch:
        if self._iterator is None:
            self._iterator = self._open()
        try:
            answer = self._get(self._iterator)
        except botocore.exceptions.ClientError as error:
            if code_of(error) != "ExpiredIteratorException":  # they live 15 minutes
                raise
            # At LATEST, with nothing read yet, what came in between is left to the sweep.
            self._iterator = self._open()
            answer = self._get(self._iterator)
        records = answer.get("Records", [])
        position = _position(records)
        self._after = position or self._after
        self._iterator = answer.get("NextShardIterator")
        return Batch(
            records=tuple(read_record(record) for record in records),
            position=position,
            ended=self._iterator is None,
        )

    def _get(self, iterator: str) -> GetRecordsOutputTypeDef:
        return self._client.get_records(ShardIterator=iterator, Limit=self._batch)

    def _open(self) -> str:
        if self._after is None or self._after == LATEST:
            answer = self._client.get_shard_iterator(
                StreamArn=self._stream,
                ShardId=self._shard,
                ShardIteratorType="TRIM_HORIZON" if self._after is None else "LATEST",
            )
        else:
            answer = self._client.get_shard_iterator(
                StreamArn=self._stream,
                ShardId=self._shard,
                ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                SequenceNumber=self._after,
            )
        return answer["ShardIterator"]

    def _does_not_fit(self, error: botocore.exceptions.ClientError) -> bool:
        return self._after is not None and code_of(error) == "ValidationException"


def read_record(record: RecordTypeDef) -> ChangeRecord | RecordUnreadable:
    """Read one record, or say what is wrong with it; a bad one must not block its shard."""
    try:
        return _read_record(record)
    except (KeyError, ValueError, TypeError) as error:
        unread = _unread(record)
        number = unread.sequence_number or "?"
        return RecordUnreadable(f"record {number}: {repr(error)[:_LONGEST_REASON]}", record=unread)


def _unread(record: RecordTypeDef) -> UnreadRecord:
    """Say what can be said of a record whatever stands in it."""
    change = record.get("dynamodb", {})
    job_id = change.get("Keys", {}).get("JobId", {}).get("S")
    return UnreadRecord(
        raw=raw_json(record),
        sequence_number=change.get("SequenceNumber"),
        event_id=record.get("eventID"),
        job_id=JobId(job_id) if job_id else None,
        at=change.get("ApproximateCreationDateTime"),
    )


def _read_record(record: RecordTypeDef) -> ChangeRecord:
    change = record["dynamodb"]
    new: dict[str, Value] = dict(change.get("NewImage", {}))  # type: ignore[arg-type] # same shape
    old: dict[str, Value] = dict(change.get("OldImage", {}))  # type: ignore[arg-type] # same shape
    return ChangeRecord(
        sequence_number=change["SequenceNumber"],
        change=Change(record["eventName"]),
        at=change["ApproximateCreationDateTime"],
        job_id=JobId(change["Keys"]["JobId"]["S"]),
        before=JobStatus(old["JobStatus"]["S"]) if old else None,
        after=_read_image(new) if new else None,
    )


def _read_image(item: dict[str, Value]) -> Image:
    return Image(
        status=JobStatus(item["JobStatus"]["S"]),
        user=UserId(item["UserId"]["S"]),
        model=ModelId(item["Model"]["S"]),
        trace=read_trace(item),
        not_before=read_time(item["NotBefore"]["S"]) if "NotBefore" in item else None,
        end=read_end(item),
        receivers=read_receivers(item),
        part=read_part(item),
        division=read_division(item),
    )


def _position(records: list[RecordTypeDef]) -> Position | None:
    """Give the last record's number; a record without one cannot be passed by number."""
    for record in reversed(records):
        if number := record.get("dynamodb", {}).get("SequenceNumber"):
            return Position(number)
    return None
