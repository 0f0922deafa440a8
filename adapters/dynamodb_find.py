"""The operator's view of the table of jobs; see jobs/find.py for what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from adapters.aws_errors import translating_all
from adapters.dynamodb_open_index import open_entries, read_open
from adapters.dynamodb_row import text, time
from adapters.schema import USER_JOBS
from jobs.census import OPEN, seems_made_at
from jobs.due import SHARDS
from jobs.find import MOST_ENTRIES, REDRIVEN_IN_BULK, Ended, Found, Size
from jobs.job import JobId, JobStatus, UserId
from jobs.times import read_time
from jobs.told import accepted_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef, ScanInputTypeDef

_PART = "store"
_ROWS_A_JOB = 4  # read for each that is shown: an old id may have been redriven a moment ago
_FILTER = "JobStatus IN (:failed, :expired) AND EndedAt >= :since AND attribute_not_exists(PartOf)"
_SHOWN = "JobId, UserId, JobStatus, EndedAt, #Error"


@dataclass(frozen=True, kw_only=True)
class DynamoDBFinder:
    """jobs.find.Finder."""

    client: DynamoDBClient
    table: str

    def find_open(self, before: datetime, *, now: datetime, limit: int) -> Found:
        """Read the index's entries, then the rows of those whose ids are the oldest."""
        with translating_all(_PART, table=self.table):
            ids = list(islice(self._open_ids(), MOST_ENTRIES + 1))
        is_whole = len(ids) <= MOST_ENTRIES
        ids = ids[:MOST_ENTRIES]
        made = {one: seems_made_at(one, now) for one in ids}
        # An id that tells no time, as a part's, may be of any.
        old = [one for one in ids if (at := made[one]) is None or at <= before]
        old.sort(key=lambda one: made[one] or now)
        jobs = []
        for job_id in old[: limit * _ROWS_A_JOB]:
            with translating_all(_PART, table=self.table):
                job = read_open(self.client, self.table, job_id)
            if job is not None and job.status in OPEN and accepted_at(job) <= before:
                jobs.append(job)
        jobs.sort(key=accepted_at)
        is_whole = is_whole and len(jobs) <= limit and len(old) <= limit * _ROWS_A_JOB
        return Found(jobs=tuple(jobs[:limit]), is_whole=is_whole)

    def find_failed(self, since: datetime, *, user: UserId | None) -> Iterator[Ended]:
        """Read the whole table, or one user's entries and their rows."""
        if user is None:
            yield from self._scan(since)
            return
        for job_id in self._failed_of(user):
            with translating_all(_PART, table=self.table):
                row = self.client.get_item(
                    TableName=self.table,
                    Key={"JobId": text(job_id)},
                    ProjectionExpression=_SHOWN,
                    ExpressionAttributeNames={"#Error": "Error"},
                ).get("Item")
            if row is not None and (ended := _read(row)) is not None and ended.ended_at >= since:
                yield ended

    def size(self) -> Size:
        """Say what DynamoDB counted within the last six hours."""
        with translating_all(_PART, table=self.table):
            table = self.client.describe_table(TableName=self.table)["Table"]
        return Size(items=table.get("ItemCount", 0), size_bytes=table.get("TableSizeBytes", 0))

    def _open_ids(self) -> Iterator[JobId]:
        for shard in range(SHARDS):
            for entry in open_entries(self.client, self.table, shard):
                if entry is not None and entry[1] in OPEN:
                    yield entry[0]

    def _failed_of(self, user: UserId) -> Iterator[JobId]:
        query: QueryInputTypeDef = {
            "TableName": self.table,
            "IndexName": USER_JOBS,
            "KeyConditionExpression": "UserId = :user",
            "FilterExpression": "JobStatus IN (:failed, :expired)",
            "ExpressionAttributeValues": {":user": text(user), **_STATUSES},
            "ScanIndexForward": False,
        }
        while True:
            with translating_all(_PART, table=self.table):
                answer = self.client.query(**query)
            yield from (JobId(item["JobId"]["S"]) for item in answer["Items"])
            if (last := answer.get("LastEvaluatedKey")) is None:
                return
            query["ExclusiveStartKey"] = last

    def _scan(self, since: datetime) -> Iterator[Ended]:
        scan: ScanInputTypeDef = {
            "TableName": self.table,
            "FilterExpression": _FILTER,
            "ProjectionExpression": _SHOWN,
            "ExpressionAttributeNames": {"#Error": "Error"},
            "ExpressionAttributeValues": {":since": time(since), **_STATUSES},
        }
        while True:
            with translating_all(_PART, table=self.table):
                answer = self.client.scan(**scan)
            yield from (ended for item in answer["Items"] if (ended := _read(item)) is not None)
            if (last := answer.get("LastEvaluatedKey")) is None:
                return
            scan["ExclusiveStartKey"] = last


_STATUSES: Mapping[str, Value] = {
    ":failed": text(JobStatus.FAILED),
    ":expired": text(JobStatus.EXPIRED),
}


def _read(item: Mapping[str, Value]) -> Ended | None:
    """Read what is shown of a row; None for what is not a failed job's, or no longer."""
    try:
        status = JobStatus(item["JobStatus"]["S"])
        if status not in REDRIVEN_IN_BULK:
            return None
        error = item["Error"]["M"]["Code"]["S"] if "Error" in item else None
        return Ended(
            job=JobId(item["JobId"]["S"]),
            user=UserId(item["UserId"]["S"]),
            status=status,
            ended_at=read_time(item["EndedAt"]["S"]),
            error=error,
        )
    except (KeyError, ValueError):
        return None
