"""What a use case asks of the store: its calls, and the items that they read.

Neighbours change no count. Each use case runs in this process on the real store; whatever else it
needs is in memory, and nothing else moves the jobs meanwhile.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from adapters.clock import SystemChance, SystemClock
from adapters.dynamodb_census import DynamoDBCensusTaker
from adapters.dynamodb_due import DynamoDBDueJobs
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.dynamodb_list import DynamoDBJobList
from adapters.dynamodb_row import text
from adapters.memory import MemoryJobStore
from bench.history import HISTORIAN
from jobs.census import MOST_COUNTED
from jobs.job import Job, JobStatus, new_job_id
from jobs.run import run_job
from jobs.submit import submit_job
from jobs.sweep import sweep
from jobs.task import Task
from tests.builders import RecordingLog, a_job, a_request, run_parts, submit_parts, sweep_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from jobs.sweep import SweepParts

LISTED = 20  # jobs a page
DUE = 10  # jobs that wait for the counted sweep
LEAST_STORED = 10 * (LISTED + 1)  # of which one user's fill a page
_OVERDUE = timedelta(hours=1)
_KEPT = timedelta(days=30)


class DidNothing(Exception):
    """A use case came to another end than it must."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Calls of the store by operation, and how many items were read by them."""

    calls: dict[str, int]
    items: int


@dataclass(kw_only=True)
class _Count:
    calls: Counter[str] = field(default_factory=Counter)
    items: int = 0

    def note(self, parsed: dict[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's
        self.calls[model.name] += 1
        batch = parsed.get("Responses", {}).values()
        self.items += parsed.get("ScannedCount", 0) + ("Item" in parsed) + sum(map(len, batch))


class UseCases:
    """The product's own, on one table."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client, self._table = client, table
        self._clock = SystemClock()
        log = RecordingLog()
        self._store = DynamoDBJobStore(client=client, table=table, retention=_KEPT)
        self._jobs = DynamoDBJobList(client=client, table=table, log=log)
        self._due = DynamoDBDueJobs(client=client, table=table, log=log)
        self._taker = DynamoDBCensusTaker(client=client, table=table)

    def count(self) -> dict[str, Asked]:
        """Count all, and leave the table as it was."""
        waiting = [self._plant(number) for number in range(DUE)]
        made: list[Job] = []
        counts = {
            "accept": self._counted(lambda: made.append(self._accept())),
            "run": self._counted(lambda: self._run(made[0])),
            "page of a tenth of all jobs": self._counted(self._list),
            f"census with {DUE} open jobs": self._counted(self.take_census),
            f"sweep turn with {DUE} due jobs": self._counted(lambda: self._sweep_due(waiting)),
        }
        for job in [*made, *waiting]:
            self._client.delete_item(TableName=self._table, Key={"JobId": text(job.id)})
        return counts

    def sweep(self) -> int:
        """Sweep once and say how many jobs were due."""
        return sweep(self._sweep_parts())

    def take_census(self) -> None:
        """Count the open jobs."""
        self._taker.count(self._clock.now(), most=MOST_COUNTED)

    def _counted(self, act: Callable[[], object]) -> Asked:
        events, count = self._client.meta.events, _Count()
        events.register("after-call.dynamodb", count.note)
        try:
            act()
        finally:
            events.unregister("after-call.dynamodb", count.note)
        return Asked(calls=dict(count.calls), items=count.items)

    def _plant(self, number: int) -> Job:
        """Add a job that should have been moved long ago."""
        now = self._clock.now() - _OVERDUE
        job = a_job(id=new_job_id(now, number.to_bytes(10)), created_at=now, queued_at=now)
        self._store.add(job)
        return job

    def _accept(self) -> Job:
        request = a_request(accepted_at=self._clock.now())
        parts = submit_parts(store=self._store, clock=self._clock, chance=SystemChance())
        return submit_job(request, parts)

    def _run(self, job: Job) -> None:
        task = Task.of(job, now=self._clock.now(), by="bench")
        ended = run_job(task, run_parts(store=self._store, clock=self._clock))
        if not isinstance(ended, Job) or ended.status is not JobStatus.COMPLETED:
            raise DidNothing(f"{job.id} did not complete: {ended}")

    def _list(self) -> None:
        page = self._jobs.page(HISTORIAN, status=None, limit=LISTED, after=None)
        if len(page.jobs) != LISTED:
            raise DidNothing(f"a page of {len(page.jobs)} jobs")

    def _sweep_due(self, waiting: list[Job]) -> None:
        if (swept := self.sweep()) != len(waiting):
            raise DidNothing(f"{swept} jobs were swept")

    def _sweep_parts(self) -> SweepParts:
        parts = sweep_parts(MemoryJobStore())
        return replace(parts, store=self._store, due=self._due, clock=self._clock)
