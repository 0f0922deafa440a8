"""Standing: what is so at this moment, asked for when Prometheus asks.

What happens is counted from the log (adapters/line_meters.py); how things stand has no line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

    from prometheus_client.core import Metric

    from jobs.census import Census


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedStanding:
    """How far a feed and its sweeper are; `census` is None where another process counts."""

    shards: int
    record_age: timedelta
    turned_at: datetime | None
    checkpointed_at: datetime | None
    sweeps: int
    swept_at: datetime | None
    census: Census | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerStanding:
    """How many jobs run in a worker, of how many that may; `at_risk` answers are here alone."""

    running: int
    room: int
    at_risk: int


class FeedGauges:
    """prometheus_client's Collector of a feed. Times that are not known yet are left out."""

    def __init__(self, look: Callable[[], FeedStanding]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        seen = self._look()
        yield _gauge("feed_shards", "Shards that this feed reads", seen.shards)
        yield _gauge(
            "feed_record_age_seconds",
            "How old the last record was when its effect was safe; 0 once a shard gives none",
            max(0.0, seen.record_age.total_seconds()),
        )
        yield _time("feed_turned", "When all shards were read last", seen.turned_at)
        yield _time("feed_checkpointed", "When a checkpoint was last saved", seen.checkpointed_at)
        yield CounterMetricFamily("longhaul_sweeps", "Sweeps by this process", seen.sweeps)
        yield _time("swept", "When this process last swept", seen.swept_at)
        yield from _open_jobs(seen.census)


class WorkerGauges:
    """prometheus_client's Collector of a worker."""

    def __init__(self, look: Callable[[], WorkerStanding]) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        seen = self._look()
        yield _gauge("worker_running_jobs", "Jobs that run in this worker", seen.running)
        yield _gauge("worker_room", "Jobs that may run in this worker at once", seen.room)
        yield _gauge(
            "worker_answers_at_risk",
            "Paid answers that are in this worker's memory only",
            seen.at_risk,
        )


def _open_jobs(census: Census | None) -> Iterator[Metric]:
    """Tell of jobs that have not ended; only the process that sweeps has counted them."""
    counts = GaugeMetricFamily(
        "longhaul_open_jobs", "Jobs and parts that have not ended", labels=["status"]
    )
    oldest = GaugeMetricFamily(
        "longhaul_open_jobs_oldest_timestamp_seconds",
        "When the job that has been open for longest was accepted, or redriven",
        labels=["status"],
    )
    whole = GaugeMetricFamily("longhaul_open_jobs_whole", "Whether all open jobs were counted")
    counted = _time(
        "open_jobs_counted", "When they were counted", None if census is None else census.at
    )
    if census is not None:
        for status, count in census.counts.items():
            counts.add_metric([status], count)
        for status, since in census.oldest.items():
            oldest.add_metric([status], since.timestamp())
        whole.add_metric([], int(census.is_whole))
    yield from (counts, oldest, whole, counted)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"longhaul_{name}", help_text, value)


def _time(name: str, help_text: str, at: datetime | None) -> Metric:
    family = GaugeMetricFamily(f"longhaul_{name}_timestamp_seconds", help_text)
    if at is not None:
        family.add_metric([], at.timestamp())
    return family
