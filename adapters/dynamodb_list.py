"""Lists of a user's jobs on DynamoDB: the index says which, and the rows what of them.

The index holds no more than keys and status, so that a transition costs one small write there.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.aws_errors import translating
from adapters.dynamodb_row import LEAVING, keys_of, summary_from_item, text, time
from adapters.schema import USER_JOBS
from jobs.errors import RecordUnreadable, Unavailable
from jobs.job import JobId
from jobs.listing import Page, Place
from jobs.times import read_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef

    from jobs.job import Job, JobStatus, UserId
    from jobs.ports import Log

_PART = "store"
_MOST_LOOKED_AT = 1_000  # index entries a page, whatever their status
_TRIES = 5  # for rows that a busy table gives in pieces
# Without what may be large: prompts, results, timelines.
_SHOWN = (
    "JobId",
    "UserId",
    "JobStatus",
    "Model",
    "CreatedAt",
    "UpdatedAt",
    "TraceId",
    "TraceHeader",
    "MaxAttempts",
    "Metadata",
    "Attempt",
    "Epoch",
    "Seq",
    "OnInterrupted",
    "QueuedAt",
    "RetryCounts",
    "NotBefore",
    "StartedAt",
    "EndedAt",
    "Error",
    "Usage",
    "StopReason",
    LEAVING,
)


@dataclass(frozen=True, kw_only=True)
class DynamoDBJobList:
    """jobs.listing.JobList on the index UserJobs."""

    client: DynamoDBClient
    table: str
    log: Log

    def page(
        self, user: UserId, *, status: JobStatus | None, limit: int, after: Place | None
    ) -> Page:
        """Query the index until there are enough, then read the rows."""
        found: list[Place] = []
        looked_at, start = 0, _key_of(user, after)
        while True:
            entries, looked, last = self._query(user, status, limit - len(found), start)
            found.extend(entries)
            looked_at += looked
            if last is None or len(found) == limit or looked_at >= _MOST_LOOKED_AT:
                break
            start = last
        jobs = self._read([place.job for place in found])
        return Page(jobs=tuple(jobs), next=None if last is None else _place_of(last))

    def _query(
        self,
        user: UserId,
        status: JobStatus | None,
        limit: int,
        start: Mapping[str, Value] | None,
    ) -> tuple[list[Place], int, Mapping[str, Value] | None]:
        """Give places, how many entries were looked at, and the last of these if more follow."""
        query: QueryInputTypeDef = {
            "TableName": self.table,
            "IndexName": USER_JOBS,
            "KeyConditionExpression": "UserId = :user",
            "ExpressionAttributeValues": {":user": text(user)},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if status is not None:
            query["FilterExpression"] = "JobStatus = :status"
            query["ExpressionAttributeValues"] = {":user": text(user), ":status": text(status)}
            query["Limit"] = _MOST_LOOKED_AT
        if start is not None:
            query["ExclusiveStartKey"] = start
        with translating(_PART):
            answer = self.client.query(**query)
        items, last = answer["Items"], answer.get("LastEvaluatedKey")
        if len(items) > limit:  # filtered: the page ends with the last one that it shows
            items = items[:limit]
            last = {name: items[-1][name] for name in ("UserId", "CreatedAt", "JobId")}
        return [_place_of(item) for item in items], answer["ScannedCount"], last

    def _read(self, ids: Sequence[JobId]) -> list[Job]:
        """Read rows in the order of their ids; one that has gone meanwhile is left out."""
        rows: dict[str, Mapping[str, Value]] = {}
        names = {f"#{name}": name for name in _SHOWN}
        wanted = [{"JobId": text(job_id)} for job_id in ids]
        for _ in range(_TRIES):
            if not wanted:
                break
            with translating(_PART):
                answer = self.client.batch_get_item(
                    RequestItems={
                        self.table: {
                            "Keys": wanted,
                            "ProjectionExpression": ", ".join(names),
                            "ExpressionAttributeNames": names,
                        }
                    }
                )
            rows |= {row["JobId"]["S"]: row for row in answer["Responses"].get(self.table, [])}
            left = answer["UnprocessedKeys"].get(self.table)
            wanted = [dict(key) for key in left["Keys"]] if left else []
        if wanted:
            raise Unavailable("store", "the table gives only a part of the rows")
        return [job for job_id in ids if (job := self._summary(rows.get(job_id))) is not None]

    def _summary(self, row: Mapping[str, Value] | None) -> Job | None:
        if row is None or LEAVING in row:
            return None
        try:
            return summary_from_item(row)
        except RecordUnreadable as error:
            self.log.warning("row_passed_over", reason=str(error), **keys_of(row))
            return None


def _key_of(user: UserId, place: Place | None) -> Mapping[str, Value] | None:
    if place is None:
        return None
    return {"UserId": text(user), "CreatedAt": time(place.created_at), "JobId": text(place.job)}


def _place_of(item: Mapping[str, Value]) -> Place:
    return Place(created_at=read_time(item["CreatedAt"]["S"]), job=JobId(item["JobId"]["S"]))
