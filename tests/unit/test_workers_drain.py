import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from adapters.local_slots import LocalSlots
from adapters.memory import ManualClock, MemoryTaskQueue
from jobs.claim import Claim
from jobs.job import Job, JobStatus
from tests.builders import (
    JOB_ID,
    LEASE,
    NOW,
    Answer,
    HeldTimers,
    RecordingLog,
    ScriptedModel,
    a_job,
    a_task,
    run_parts,
)
from workers.desk import Desk
from workers.drain import Drain
from workers.leases import KeptLease, RenewingLeases
from workers.turnstile import Turnstile

DEADLINE = 10.0  # seconds until a test gives up on a condition
LATER = NOW + timedelta(minutes=5)


@dataclass(kw_only=True)
class NotingLog(RecordingLog):
    """Tells when a drain has handed over."""

    handed_over: threading.Event = field(default_factory=threading.Event)

    def info(self, event: str, /, **keys: object) -> None:
        super().info(event, **keys)
        if event == "drain_handed_over":
            self.handed_over.set()


class Worker:
    """A worker process with its desk, its leases and its drain."""

    def __init__(self, *, grace: float, model: ScriptedModel | None = None) -> None:
        self.log = NotingLog()
        parts = run_parts(log=self.log, model=model or ScriptedModel(Answer()))
        self.clock = cast("ManualClock", parts.clock)
        self.timers = HeldTimers(self.clock, self.log)
        self.leases = RenewingLeases(
            store=parts.store, clock=self.clock, log=self.log, timers=self.timers
        )
        self.store = parts.store
        self.queue = MemoryTaskQueue()
        self.desk = Desk(
            parts=run_parts(
                store=parts.store,
                leases=self.leases,
                model=parts.model,
                clock=self.clock,
                log=self.log,
            ),
            queue=self.queue,
            timers=self.timers,
        )
        self.turnstile = Turnstile(
            desk=self.desk, slots=LocalSlots(capacity=10, share=1), room=10, log=self.log
        )
        self.drain = Drain(
            desk=self.desk,
            turnstile=self.turnstile,
            leases=self.leases,
            log=self.log,
            grace=grace,
        )

    def end(self) -> None:
        """Drain as Celery's signal asks for it, and wait until all is handed over."""
        self.drain.begin(sig="SIGTERM", how="Warm", exitcode=0)
        assert self.log.handed_over.wait(DEADLINE)

    def job(self) -> Job:
        return self.store.get(JOB_ID)


def test_what_is_parked_goes_to_another_worker() -> None:
    worker = Worker(grace=0)
    task = a_task(a_job(), not_before=LATER)
    worker.desk.run(task)

    worker.end()

    assert worker.queue.tasks == [task]
    (began,) = [line for line in worker.log.lines if line.event == "drain_began"]
    assert began.keys == {"grace_seconds": 0, "parked": 1}


def test_a_job_that_runs_after_the_grace_time_is_released_for_another() -> None:
    workers: list[Worker] = []
    answer = Answer(before_piece=lambda index: workers[0].end() if index == 1 else None)
    worker = Worker(grace=0, model=ScriptedModel(answer))
    workers.append(worker)
    worker.store.add(a_job())

    worker.desk.run(a_task(a_job()))

    job = worker.job()
    assert (job.status, job.attempt, job.not_before) == (JobStatus.PENDING_RETRY, 1, NOW)
    assert worker.log.count("drain_handed_over") == 1
    assert worker.log.count("run_must_end") == 1


def test_a_job_that_has_not_called_yet_costs_no_attempt() -> None:
    worker = Worker(grace=0)
    worker.store.add(a_job())
    worker.end()

    worker.desk.run(a_task(a_job()))

    job = worker.job()
    assert (job.status, job.attempt, job.not_before) == (JobStatus.PENDING_RETRY, 0, NOW)


def test_jobs_run_on_within_the_grace_time() -> None:
    worker = Worker(grace=3600)
    worker.store.add(a_job())
    worker.drain.begin()

    worker.desk.run(a_task(a_job()))

    assert worker.job().status is JobStatus.COMPLETED
    assert not worker.log.handed_over.is_set()


def test_a_worker_that_is_empty_ends_without_the_rest_of_its_grace_time() -> None:
    worker = Worker(grace=3600)
    before = threading.active_count()
    worker.drain.begin()

    worker.drain.end()

    assert [line.event for line in worker.log.lines] == ["drain_began"]
    assert threading.active_count() == before


def test_what_was_handed_over_is_told_before_the_worker_says_that_it_has_ended() -> None:
    worker = Worker(grace=0)
    worker.end()

    worker.drain.end()
    worker.log.info("worker_ended")

    told = [line.event for line in worker.log.lines]
    assert told == ["drain_began", "drain_handed_over", "worker_ended"]


def test_a_worker_that_ends_without_a_drain_waits_for_none() -> None:
    worker = Worker(grace=3600)

    worker.drain.end()

    assert worker.log.lines == []


def test_a_second_signal_begins_nothing_anew() -> None:
    worker = Worker(grace=0)
    worker.end()
    worker.log.handed_over.clear()

    worker.drain.begin()

    assert worker.log.count("drain_began") == 1
    assert not worker.log.handed_over.is_set()


def test_the_log_says_how_many_jobs_were_handed_over() -> None:
    worker = Worker(grace=0)
    claims = [
        Claim(
            job=a_job(id=f"job_{n:026d}", epoch=1, lease_until=NOW + LEASE),
            token=f"{n}",  # type: ignore[arg-type] # a ClaimToken
            worker="worker@test:1",  # type: ignore[arg-type] # a WorkerId
            lease=LEASE,
        )
        for n in range(3)
    ]

    with ExitStack() as runs:
        kept: list[KeptLease] = [runs.enter_context(worker.leases.keep(c)) for c in claims]
        worker.end()

    assert len(kept) == 3
    (line,) = [line for line in worker.log.lines if line.event == "drain_handed_over"]
    assert line.keys == {"jobs": 3}
