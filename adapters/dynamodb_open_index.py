"""The sparse index of open jobs, as who looks at all of them reads it, and the rows behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.aws_errors import translating
from adapters.dynamodb_row import from_item, text
from adapters.schema import OPEN_JOBS
from jobs.errors import RecordUnreadable
from jobs.job import JobId, JobStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

    from jobs.job import Job

_PART = "store"
_STATUSES = frozenset(JobStatus)


def open_entries(
    client: DynamoDBClient, table: str, shard: int, *, most: int | None = None
) -> Iterator[tuple[JobId, JobStatus] | None]:
    """Give a shard's entries; of more than `most` so many, and None to say that there are.

    Raises Unavailable, Misconfigured.
    """
    query: QueryInputTypeDef = {
        "TableName": table,
        "IndexName": OPEN_JOBS,
        "KeyConditionExpression": "DueShard = :shard",
        "ExpressionAttributeValues": {":shard": text(f"{shard:02d}")},
        "ProjectionExpression": "JobId, JobStatus",
    }
    read = 0
    while most is None or read < most:
        if most is not None:
            query["Limit"] = most - read
        with translating(_PART, table=table):
            answer = client.query(**query)
        read += len(answer["Items"])
        for item in answer["Items"]:
            status = item.get("JobStatus", {}).get("S")
            if status in _STATUSES:
                yield JobId(item["JobId"]["S"]), JobStatus(status)
        if (last := answer.get("LastEvaluatedKey")) is None:
            return
        query["ExclusiveStartKey"] = last
    yield None


def read_open(client: DynamoDBClient, table: str, job_id: JobId) -> Job | None:
    """Read the row of an entry, for the index may lag; None where there is none to read.

    Raises Unavailable, Misconfigured.
    """
    with translating(_PART, table=table):
        row = client.get_item(
            TableName=table, Key={"JobId": text(job_id)}, ConsistentRead=True
        ).get("Item")
    try:
        return from_item(row) if row is not None else None
    except RecordUnreadable:
        return None  # the feed's rejected records tell of it
