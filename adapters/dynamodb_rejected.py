"""Rejected records on DynamoDB: one item a record, in one partition a table of jobs.

One partition, because records that nobody can read are few, and the newest are one query.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.aws_errors import suppressing_refusal, translating_all
from adapters.dynamodb_row import number, text, time
from adapters.schema import TTL_ATTRIBUTE, rejected_table_name
from jobs.errors import UnreadRecord
from jobs.job import JobId
from jobs.rejected import RejectedId, RejectedRecord
from jobs.shards import ShardId, StreamName
from jobs.times import read_time

if TYPE_CHECKING:
    from datetime import timedelta

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

    from adapters.dynamodb_row import Item

_PART = "store"


@dataclass(frozen=True, kw_only=True)
class DynamoDBRejectedRecords:
    """jobs.feed_ports.RejectedRecords of the jobs' table `jobs`."""

    client: DynamoDBClient
    jobs: str
    retention: timedelta

    def put(self, record: RejectedRecord) -> None:
        """Keep a record; one that is there stays as it is."""
        expires_at = int((record.rejected_at + self.retention).timestamp())
        with translating_all(_PART, table=self._table), suppressing_refusal():
            self.client.put_item(
                TableName=self._table,
                Item={**self._key(record.id), **_write(record), TTL_ATTRIBUTE: number(expires_at)},
                ConditionExpression="attribute_not_exists(RejectedId)",
            )

    def find(self, *, limit: int) -> list[RejectedRecord]:
        """Give up to `limit` records, the newest changes first."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="JobsTable = :jobs",
            ExpressionAttributeValues={":jobs": text(self.jobs)},
            ScanIndexForward=False,
            ConsistentRead=True,
            PaginationConfig={"MaxItems": limit},
        )
        with translating_all(_PART, table=self._table):
            return [_read(item) for page in pages for item in page["Items"]]

    def get(self, record_id: RejectedId) -> RejectedRecord | None:
        """Give one record, or None where there is none."""
        with translating_all(_PART, table=self._table):
            item = self.client.get_item(
                TableName=self._table, Key=self._key(record_id), ConsistentRead=True
            ).get("Item")
        return None if item is None else _read(item)

    def remove(self, record_id: RejectedId) -> None:
        """Forget a record."""
        with translating_all(_PART, table=self._table):
            self.client.delete_item(TableName=self._table, Key=self._key(record_id))

    @property
    def _table(self) -> str:
        return rejected_table_name(self.jobs)

    def _key(self, record_id: RejectedId) -> dict[str, Value]:
        return {"JobsTable": text(self.jobs), "RejectedId": text(record_id)}


def _write(rejected: RejectedRecord) -> dict[str, Value]:
    record = rejected.record
    item: dict[str, Value | None] = {
        "StreamArn": text(rejected.stream),
        "ShardId": text(rejected.shard),
        "SequenceNumber": text(record.sequence_number) if record.sequence_number else None,
        "EventID": text(record.event_id) if record.event_id else None,
        "JobId": text(record.job_id) if record.job_id else None,
        "ChangedAt": time(record.at) if record.at else None,
        "RejectedAt": time(rejected.rejected_at),
        "Reason": text(rejected.reason),
        "Record": text(record.raw),
    }
    return {name: value for name, value in item.items() if value is not None}


def _read(item: Item) -> RejectedRecord:
    changed_at, job_id = _text(item, "ChangedAt"), _text(item, "JobId")
    return RejectedRecord(
        id=RejectedId(item["RejectedId"]["S"]),
        stream=StreamName(item["StreamArn"]["S"]),
        shard=ShardId(item["ShardId"]["S"]),
        rejected_at=read_time(item["RejectedAt"]["S"]),
        reason=item["Reason"]["S"],
        record=UnreadRecord(
            raw=item["Record"]["S"],
            sequence_number=_text(item, "SequenceNumber"),
            event_id=_text(item, "EventID"),
            job_id=JobId(job_id) if job_id else None,
            at=read_time(changed_at) if changed_at else None,
        ),
    )


def _text(item: Item, name: str) -> str | None:
    return item[name]["S"] if name in item else None
