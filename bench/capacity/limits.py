"""Where each part is full: the rate at which one of it can do no more, and what to do then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.redis_log import ENDED_SECONDS
from adapters.schema import OPEN_JOBS, USER_JOBS
from bench.capacity import prices
from bench.capacity.needs import NODE_CORES, NODE_GIB, ROOM, SOCKETS, use_of
from jobs.census import MOST_COUNTED
from jobs.due import SHARDS

if TYPE_CHECKING:
    from bench.capacity.measured import Costs
    from bench.capacity.needs import JobUse
    from bench.capacity.workload import Workload

_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One part, what of it is used up at `rate` jobs a minute, and what to do then."""

    part: str
    what: str
    rate: float
    remedy: str


def limits_of(workload: Workload, costs: Costs) -> list[Limit]:
    """Give the limits of one of each part, the lowest first."""
    use = use_of(workload, costs)
    found = [
        *_models(workload),
        *_redis(workload, use),
        *_processes(workload, costs),
        *_tables(use),
        *_shared(workload, use),
    ]
    return sorted(found, key=lambda one: one.rate)


def _models(workload: Workload) -> list[Limit]:
    asked = workload.prompt_tokens + workload.max_tokens
    return [
        Limit(
            part="Bedrock",
            what=f"{workload.quota_tokens:,.0f} tokens a minute (an example of a quota), as calls"
            " ask for them (input and `max_tokens`)",
            rate=workload.quota_tokens / asked,
            remedy="lower `LONGHAUL_DEFAULT_MAX_TOKENS` towards what is answered; ask for more"
            " quota; an inference profile over regions",
        )
    ]


def _redis(workload: Workload, use: JobUse) -> list[Limit]:
    kept = workload.job_seconds / 2 + ENDED_SECONDS
    return [
        Limit(
            part="Redis",
            what="its one core",
            rate=60 * NODE_CORES / use.redis_seconds,
            remedy="longer batches of text (`BATCH_TIME`); a Redis for events beside the broker's;"
            " then several, by job ([below](#more-than-one-redis))",
        ),
        Limit(
            part="Redis",
            what=f"{NODE_GIB:g} GiB, by events kept {ENDED_SECONDS // 60} min after a job's end",
            rate=60 * NODE_GIB * _GIB / (kept * use.log_bytes),
            remedy="more memory; a shorter time in `adapters/redis_log.py`",
        ),
    ]


def _processes(workload: Workload, costs: Costs) -> list[Limit]:
    told = workload.deltas * workload.watchers
    each = [
        ("worker", costs.worker.seconds(workload.answer_tokens), "KEDA aims at 150 open jobs each"),
        ("web", costs.web.seconds(told), "its autoscaler scales by CPU"),
        ("feed", costs.feed.seconds(0), "more feeds, up to the stream's shards"),
    ]
    return [
        *(
            Limit(part=name, what="its core", rate=60 / seconds, remedy=f"more of them: {how}")
            for name, seconds, how in each
        ),
        Limit(
            part="worker",
            what=f"{ROOM} jobs at a time",
            rate=60 * ROOM / workload.job_seconds,
            remedy="more of them; the core is full before at this pace of text",
        ),
        Limit(
            part="web",
            what=f"{SOCKETS:,} streams and sockets",
            rate=60 * SOCKETS / max(1e-9, workload.job_seconds * workload.watchers),
            remedy="more of them",
        ),
    ]


def _tables(use: JobUse) -> list[Limit]:
    shard = prices.GET_RECORDS_BYTES.figure * prices.GET_RECORDS_CALLS.figure
    a_partition = prices.PARTITION_WRITES.figure
    return [
        Limit(
            part="DynamoDB",
            what="a new table's 4,000 write units a second, without its indexes",
            rate=60 * prices.NEW_TABLE.figure / use.table_units,
            remedy="warm throughput, before the load comes; or let it double every half hour",
        ),
        Limit(
            part="DynamoDB",
            what="a table's quota of 40,000 write units a second, with its indexes",
            rate=60 * prices.TABLE_WRITES.figure / use.write_units,
            remedy="ask for more; shorter prompts in the row (`LONGHAUL_INLINE_PROMPT_BYTES`)",
        ),
        Limit(
            part="DynamoDB",
            what=f"`{OPEN_JOBS}`: {SHARDS} keys, 1,000 write units a second each",
            rate=60 * SHARDS * a_partition / use.index_units[OPEN_JOBS],
            remedy="more `SHARDS` in `jobs/due.py`, which feeds must know before others do",
        ),
        Limit(
            part="DynamoDB",
            what=f"`{USER_JOBS}`: one user's key, 1,000 write units a second",
            rate=60 * a_partition / use.index_units[USER_JOBS],
            remedy="a user for each service that submits; `LONGHAUL_SUBMIT_RATE_LIMIT`",
        ),
        Limit(
            part="stream",
            what="one shard: 5 reads a second of 1 MB",
            rate=60 * shard / use.record_bytes,
            remedy="DynamoDB makes more as the table grows; prompts to S3 sooner"
            " (`LONGHAUL_INLINE_PROMPT_BYTES`): each change record has two copies",
        ),
    ]


def _shared(workload: Workload, use: JobUse) -> list[Limit]:
    """Give what there is one of, however many processes run."""
    shared = [
        Limit(
            part="census",
            what=f"it counts {MOST_COUNTED:,} open jobs, and KEDA goes by it",
            rate=60 * MOST_COUNTED / workload.job_seconds,
            remedy="set the workers' least replicas by hand",
        ),
    ]
    if use.objects:
        shared.append(
            Limit(
                part="S3",
                what="3,500 PUT a second under one prefix, at first",
                rate=60 * prices.OBJECT_PUTS.figure / use.objects,
                remedy="nothing: S3 divides a prefix that stays busy",
            )
        )
    return shared
