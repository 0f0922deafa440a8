"""What a rate needs: arithmetic over what a job costs, and what is paid for it in a month."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapters.redis_log import ENDED_SECONDS
from adapters.schema import OPEN_JOBS, USER_JOBS, jobs_table
from adapters.settings import Settings
from bench.capacity import prices
from bench.capacity.calls import row_reads
from bench.capacity.rows import delta_bytes, object_sizes, row_writes
from bench.capacity.units import (
    OVERHEAD_BYTES,
    entry_bytes,
    index_units,
    item_bytes,
    read_units,
    write_units,
)
from jobs.due import SHARDS
from workers.shard_keeper import KEEP_EVERY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.capacity.measured import Costs, ProcessCost
    from bench.capacity.workload import Workload

TABLE: Final = jobs_table("LLM_Jobs")
LEAST_REPLICAS: Final = 2
ROOM: Final[int] = Settings.model_fields["worker_concurrency"].default
SOCKETS: Final[int] = Settings.model_fields["web_connections"].default
NODE_CORES: Final = 1.0  # of Redis' node: its commands run in one thread
NODE_GIB: Final = 8.0
COPIES: Final = 2  # of each Redis: one answers, one is ready to
_FRAME_BYTES: Final = len("id: 1000123\ndata: \n\n")
_GIB: Final = 2**30
_GB: Final = 1e9
_HOUR: Final = 3600
_NEW_SHARDS: Final = prices.NEW_TABLE.figure / prices.PARTITION_WRITES.figure
# What no job asks for, a second: feeds keep their shards' leases, and the sweep looks at its index.
_STEADY_WRITES: Final = _NEW_SHARDS / KEEP_EVERY.total_seconds()
_STEADY_READS: Final = SHARDS * 0.5 / Settings.model_fields["sweep_seconds"].default


@dataclass(frozen=True, kw_only=True)
class JobUse:
    """What one job uses of what is counted."""

    table_units: int
    index_units: Mapping[str, int]
    read_units: int
    record_bytes: int
    records: int
    stored_bytes: int
    objects: int
    object_bytes: int
    log_bytes: float
    redis_seconds: float
    sent_bytes: float

    @property
    def write_units(self) -> int:
        """Of the table and of its indexes."""
        return self.table_units + sum(self.index_units.values())


def use_of(workload: Workload, costs: Costs) -> JobUse:
    """Count what one job uses."""
    writes = row_writes(workload)
    indexes: dict[str, int] = dict.fromkeys((USER_JOBS, OPEN_JOBS), 0)
    for write in writes:
        for name, units in index_units(TABLE, write.before or None, write.after).items():
            indexes[name] += units * write.times
    first, last = writes[0].after, writes[-1].after
    early, late = row_reads(workload)
    reads = early * read_units(item_bytes(first)) + late * read_units(item_bytes(last))
    entries = [size + OVERHEAD_BYTES for size in entry_bytes(TABLE, last).values() if size]
    events = workload.deltas * (delta_bytes(workload) + _FRAME_BYTES)
    return JobUse(
        table_units=sum(write_units(one.before, one.after) * one.times for one in writes),
        index_units=indexes,
        read_units=math.ceil(reads),
        record_bytes=sum(one.record_bytes * one.times for one in writes),
        records=sum(one.times for one in writes),
        stored_bytes=item_bytes(last) + OVERHEAD_BYTES + sum(entries),
        objects=len(objects := object_sizes(workload)),
        object_bytes=sum(objects),
        log_bytes=workload.deltas * costs.event_bytes,
        redis_seconds=costs.redis_job_seconds + workload.deltas * costs.redis_piece_seconds,
        sent_bytes=events * workload.watchers + item_bytes(last) * workload.looks,
    )


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What one rate needs; what flows is by the second."""

    rate: float  # jobs a minute
    in_flight: float
    web: int
    worker: int
    feed: int
    redis: int
    redis_cores: float
    redis_gib: float
    write_units: float
    read_units: float
    stream_bytes: float
    shards: int
    stream_calls: float
    stored_gb: float
    sent_gb: float  # a month
    objects: float
    objects_gb: float
    months_jobs: float

    @property
    def per_second(self) -> float:
        """Jobs a second."""
        return self.rate / 60


def needs_of(rate: float, workload: Workload, costs: Costs) -> Needs:
    """Say what so many jobs a minute need."""
    use, arrivals = use_of(workload, costs), rate / 60
    in_flight = arrivals * workload.job_seconds  # Little's law
    written = arrivals * use.write_units + _STEADY_WRITES
    shards = _shards(arrivals * use.table_units, arrivals * use.record_bytes)
    sockets = in_flight * workload.watchers / SOCKETS
    memory = arrivals * (workload.job_seconds / 2 + ENDED_SECONDS) * use.log_bytes / _GIB
    redis_cores = arrivals * use.redis_seconds
    redis = max(redis_cores / NODE_CORES, memory / NODE_GIB) / workload.busy
    told = workload.deltas * workload.watchers
    busy = workload.busy
    months_jobs = arrivals * _HOUR * workload.hours_a_month
    kept = arrivals * 24 * _HOUR * workload.kept_days
    return Needs(
        rate=rate,
        in_flight=in_flight,
        web=_replicas(costs.web, arrivals, told, busy, least=sockets),
        worker=_replicas(
            costs.worker, arrivals, workload.answer_tokens, busy, least=in_flight / ROOM
        ),
        feed=min(shards, _replicas(costs.feed, arrivals, 0, busy)),
        redis=max(1, math.ceil(redis)),
        redis_cores=redis_cores,
        redis_gib=memory,
        write_units=written,
        read_units=arrivals * use.read_units + _STEADY_READS,
        stream_bytes=arrivals * use.record_bytes,
        shards=shards,
        stream_calls=_stream_calls(shards, arrivals),
        stored_gb=kept * use.stored_bytes / _GB,
        sent_gb=months_jobs * use.sent_bytes / _GB,
        objects=arrivals * use.objects,
        objects_gb=kept * use.object_bytes / _GB,
        months_jobs=months_jobs,
    )


def monthly_cost(needs: Needs, workload: Workload, costs: Costs) -> dict[str, float]:
    """Give the dollars of a month for all but the model."""
    hours, seconds = workload.hours_a_month, workload.hours_a_month * _HOUR
    calls = max(0.0, needs.stream_calls * seconds - prices.FREE_STREAM_READS)
    pods = [
        (needs.web, costs.web, workload.deltas * workload.watchers),
        (needs.worker, costs.worker, workload.answer_tokens),
        (needs.feed, costs.feed, 0.0),
    ]
    sizes = [(count, _size(needs, count, cost, pieces, workload)) for count, cost, pieces in pods]
    cores = sum(count * size[0] for count, size in sizes)
    memory = sum(count * size[1] for count, size in sizes)
    dynamodb = (
        needs.write_units * seconds * prices.WRITE_UNIT.each
        + needs.read_units * seconds * prices.READ_UNIT.each
        + calls * prices.STREAM_READ.each
        + needs.stored_gb * prices.STORED_GB.each
    )
    balancer = prices.BALANCER_HOUR.each + _balancer_units(needs, workload) * (
        prices.BALANCER_UNIT.each
    )
    return {
        "DynamoDB": dynamodb,
        "S3": needs.objects * seconds * (prices.OBJECT_PUT.each + prices.OBJECT_GET.each)
        + needs.objects_gb * prices.OBJECT_GB.each,
        "web, worker, feed": hours
        * (cores * prices.CORE_HOUR.each + memory * prices.MEMORY_HOUR.each),
        "Redis": hours * needs.redis * COPIES * prices.NODE_HOUR.each,
        "load balancer": hours * balancer,
        "sent to clients": needs.sent_gb * prices.SENT_GB.each,
    }


def _size(
    needs: Needs, count: int, cost: ProcessCost, pieces: float, workload: Workload
) -> tuple[float, float]:
    """Give one pod's cores and GiB: what it asks for, or uses where that is more, as it is sold."""
    used = needs.per_second * cost.seconds(pieces) / count / workload.busy
    return prices.fargate_size(max(cost.asked_cores, min(used, 1.0)), cost.asked_gib)


def model_cost(needs: Needs, workload: Workload, model: prices.ModelPrice) -> float:
    """Give the dollars of a month for the model."""
    one = model.of(read=workload.prompt_tokens, said=workload.answer_tokens)
    return needs.months_jobs * one


def quota_of(rate: float, workload: Workload, model: prices.ModelPrice) -> tuple[float, float]:
    """Give the tokens a minute that calls have used when they end, and that they ask for first."""
    used = workload.prompt_tokens + workload.answer_tokens * model.burndown
    asked = workload.prompt_tokens + workload.max_tokens
    return rate * used, rate * max(used, asked)


def _replicas(
    cost: ProcessCost, arrivals: float, pieces: float, busy: float, *, least: float = 0.0
) -> int:
    """Say how many processes: each has a core, of which it needs some when it is idle."""
    by_core = arrivals * cost.seconds(pieces) / (busy - cost.idle_cores)
    return max(LEAST_REPLICAS, math.ceil(by_core), math.ceil(least / busy))


def _shards(units: float, stream_bytes: float) -> int:
    """Guess at the stream's open shards: one a partition, of which a new table has four."""
    by_writes = units / prices.PARTITION_WRITES.figure
    by_bytes = stream_bytes / (prices.GET_RECORDS_BYTES.figure * prices.GET_RECORDS_CALLS.figure)
    return math.ceil(max(by_writes, _NEW_SHARDS, by_bytes))


def _stream_calls(shards: int, arrivals: float) -> float:
    """Count reads a second: where nothing comes a shard is read once a poll."""
    fastest: float = Settings.model_fields["feed_reads_per_second"].default
    slowest: float = 1 / Settings.model_fields["feed_poll_seconds"].default
    return shards * min(fastest, slowest + arrivals)


def _balancer_units(needs: Needs, workload: Workload) -> float:
    """Give the load balancer's capacity units: the most of three that it counts."""
    connections = needs.per_second * (1 + workload.watchers + workload.looks)
    an_hour = needs.sent_gb / workload.hours_a_month
    return max(
        an_hour * _GB / prices.BALANCER_UNIT_BYTES_AN_HOUR,
        needs.in_flight * workload.watchers / prices.BALANCER_UNIT_CONNECTIONS,
        connections / prices.BALANCER_UNIT_NEW,
    )
