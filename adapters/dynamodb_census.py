"""The census on DynamoDB: the sparse index of open jobs, counted by state within a bound."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING

from adapters.dynamodb_open_index import open_entries, read_open
from jobs.census import OPEN, Census, seems_made_at
from jobs.due import SHARDS
from jobs.told import accepted_at

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from jobs.job import JobId, JobStatus

_LOOKED_AT = 5  # rows a state; more than one, because a redrive makes an old id young


@dataclass(frozen=True, kw_only=True)
class DynamoDBCensusTaker:
    """jobs.census.CensusTaker: a query a shard of OpenJobs, and a few rows.

    The index has no time of acceptance; ids tell which rows to look at (jobs.census).
    """

    client: DynamoDBClient
    table: str

    def count(self, now: datetime, *, most: int) -> Census:
        """Count what the index holds."""
        counts: Counter[JobStatus] = Counter(dict.fromkeys(OPEN, 0))
        made: dict[JobStatus, list[tuple[datetime, JobId]]] = defaultdict(list)
        is_whole = True
        for shard in range(SHARDS):
            for entry in open_entries(self.client, self.table, shard, most=max(1, most // SHARDS)):
                if entry is None:
                    is_whole = False
                    continue
                job_id, status = entry
                if status.is_terminal:
                    continue  # its end is yet to be announced
                counts[status] += 1
                if (made_at := seems_made_at(job_id, now)) is not None:
                    made[status].append((made_at, job_id))
        oldest = {status: self._oldest(status, found) for status, found in made.items()}
        return Census(
            at=now,
            counts=dict(counts),
            oldest={status: since for status, since in oldest.items() if since is not None},
            is_whole=is_whole,
        )

    def _oldest(self, status: JobStatus, found: list[tuple[datetime, JobId]]) -> datetime | None:
        """Look at the rows of the oldest ids; the index may lag, a row does not."""
        since: list[datetime] = []
        for _, job_id in nsmallest(_LOOKED_AT, found):
            job = read_open(self.client, self.table, job_id)
            if job is not None and job.status is status:
                since.append(accepted_at(job))
        return min(since, default=None)
