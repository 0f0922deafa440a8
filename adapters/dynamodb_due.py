"""The sweep's view of the table: the sparse index of jobs that someone must look at, by time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws_errors import code_of, suppressing_refusal, translating
from adapters.dynamodb_row import from_item, keys_of, number, text, time, write_steps
from adapters.schema import OPEN_JOBS
from jobs.due import SHARDS
from jobs.errors import RecordUnreadable
from jobs.timeline import MOST_SWEEPS_NOTED

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from adapters.dynamodb_row import Item
    from jobs.job import Job
    from jobs.ports import Log
    from jobs.timeline import Step

_PART = "store"


@dataclass(frozen=True, kw_only=True)
class DynamoDBDueJobs:
    """jobs.ports.DueJobs on the index OpenJobs.

    The index may lag behind the rows, so each row is read before it is decided on. When nothing
    is due this costs one empty query a shard.
    """

    client: DynamoDBClient
    table: str
    log: Log

    def find(self, now: datetime, *, limit: int) -> list[Job]:
        """Find due jobs, from every shard of the index in turn."""
        found: list[Job] = []
        for shard in range(SHARDS):
            with translating(_PART):
                answer = self.client.query(
                    TableName=self.table,
                    IndexName=OPEN_JOBS,
                    KeyConditionExpression="DueShard = :shard AND DueAt <= :now",
                    ExpressionAttributeValues={":shard": text(f"{shard:02d}"), ":now": time(now)},
                    Limit=limit - len(found),
                )
                for entry in answer["Items"]:
                    row = self.client.get_item(
                        TableName=self.table, Key={"JobId": entry["JobId"]}, ConsistentRead=True
                    ).get("Item")
                    if row is not None and (job := self._read(row)) is not None:
                        found.append(job)
            if len(found) >= limit:
                break
        return [job for job in found if job.due_at is not None and job.due_at <= now]

    def _read(self, row: Item) -> Job | None:
        try:
            return from_item(row)
        except RecordUnreadable as error:
            self.log.warning("row_passed_over", reason=str(error), **keys_of(row))
            return None

    def put_off(self, job: Job, until: datetime, swept: Step | None) -> bool:
        """Move the due time, if it is still as in `job`."""
        if job.due_at is None:
            return False
        noted = (swept,) if swept is not None and job.sweeps < MOST_SWEEPS_NOTED else ()
        with translating(_PART):
            try:
                self.client.update_item(
                    TableName=self.table,
                    Key={"JobId": text(job.id)},
                    ConditionExpression="DueAt = :old",
                    UpdateExpression=(
                        "SET DueAt = :new, Sweeps = :sweeps,"
                        " #Timeline = list_append(#Timeline, :steps)"
                    ),
                    ExpressionAttributeNames={"#Timeline": "Timeline"},
                    ExpressionAttributeValues={
                        ":old": time(job.due_at),
                        ":new": time(until),
                        ":sweeps": number(job.sweeps + int(swept is not None)),
                        ":steps": write_steps(noted),
                    },
                )
            except botocore.exceptions.ClientError as error:
                if code_of(error) == "ConditionalCheckFailedException":
                    return False
                raise
        return True

    def let_go(self, job: Job) -> None:
        """Take an ended job out of the index, if its due time is still as in `job`."""
        if job.due_at is None:
            return
        with translating(_PART), suppressing_refusal():
            self.client.update_item(
                TableName=self.table,
                Key={"JobId": text(job.id)},
                ConditionExpression="DueAt = :old AND JobStatus = :status",
                UpdateExpression="REMOVE DueShard, DueAt",
                ExpressionAttributeValues={
                    ":old": time(job.due_at),
                    ":status": text(job.status),
                },
            )
