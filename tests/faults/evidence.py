"""The evidence: what the table, its change stream, the bucket and the ledger say at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapters.dynamodb_row import from_item
from jobs.job import Inline, Stored
from tests.stack import http

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_dynamodbstreams.type_defs import RecordTypeDef

    from jobs.job import Job
    from tests.faults.breaker import Strike
    from tests.faults.fleet import Life
    from tests.faults.load import JobPlan
    from tests.faults.watchers import Sight
    from tests.stack import Clients, LocalStack

QUIET_READS = 3  # empty pages after which the stream is taken to be read


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call in the stand-in's ledger; seconds since the epoch."""

    n: int
    attempt: int
    started_at: float
    ended_at: float | None
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One change of a row, from the table's stream; `worker_before` held the claim before it."""

    number: int
    before: Job | None
    after: Job
    worker_before: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the verdict looks at."""

    plans: Sequence[JobPlan]
    accepted: Mapping[int, str]
    jobs: Mapping[str, Job]
    texts: Mapping[str, str]
    calls: Mapping[str, Sequence[Call]]
    changes: Sequence[Change]
    strikes: Sequence[Strike]
    lives: Sequence[Life]
    sights: Mapping[str, Sequence[Sight]] = field(default_factory=dict)
    watched: Mapping[str, frozenset[str]] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)

    def plan_of(self, job: Job) -> JobPlan:
        """Find what a job was to do by the number that its client gave it."""
        return self.plans[int(job.metadata["number"])]


def is_refused(call: Call) -> bool:
    """Tell whether the policy may follow a call by another: it was refused, or its stream broke."""
    return call.outcome == "throttled" or call.outcome.startswith("error:")


def read_jobs(clients: Clients, table: str) -> dict[str, Job]:
    """Read the whole table."""
    pages = clients.dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    jobs = (from_item(item) for page in pages for item in page["Items"])
    return {job.id: job for job in jobs}


def read_texts(clients: Clients, bucket: str, jobs: Mapping[str, Job]) -> dict[str, str]:
    """Read the result of each job that has one, from where its row says it is."""
    texts: dict[str, str] = {}
    for job in jobs.values():
        match job.result.payload if job.result else None:
            case Inline(text=text):
                texts[job.id] = text
            case Stored(key=key):
                body = clients.s3.get_object(Bucket=bucket, Key=key)["Body"]
                texts[job.id] = body.read().decode()
            case None:
                continue
    return texts


def read_calls(stack: LocalStack) -> dict[str, list[Call]]:
    """Read the ledger, by job, in the order in which the calls came."""
    told: list[dict[str, Any]] = (
        http.get(f"{stack.bedrock_url}/_stand-in/calls").raise_for_status().json()["calls"]
    )
    calls: dict[str, list[Call]] = {}
    for one in told:
        calls.setdefault(one["job"], []).append(
            Call(
                n=one["n"],
                attempt=one["attempt"] or 0,
                started_at=one["started_at"],
                ended_at=one["ended_at"],
                outcome=one["outcome"],
            )
        )
    return calls


def read_changes(clients: Clients, table: str) -> list[Change]:
    """Read the table's stream from its first record."""
    arn = clients.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    return [change for record in _records(clients, arn) if (change := _read(record)) is not None]


def _records(clients: Clients, arn: str) -> Iterator[RecordTypeDef]:
    for shard in clients.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator: str | None = clients.streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        quiet = 0
        while iterator is not None and quiet < QUIET_READS:
            page = clients.streams.get_records(ShardIterator=iterator, Limit=1000)
            quiet = 0 if page["Records"] else quiet + 1
            yield from page["Records"]
            iterator = page.get("NextShardIterator")


def _read(record: RecordTypeDef) -> Change | None:
    change = record["dynamodb"]
    new: dict[str, Any] = dict(change.get("NewImage", {}))
    old: dict[str, Any] = dict(change.get("OldImage", {}))
    if "JobStatus" not in new:
        return None
    return Change(
        number=int(change["SequenceNumber"]),
        before=from_item(old) if old else None,
        after=from_item(new),
        worker_before=old.get("WorkerId", {}).get("S", ""),
    )
