from dataclasses import replace
from datetime import timedelta
from typing import cast

from adapters.memory import ManualClock, MemoryJobStore, MemoryTaskQueue
from jobs.errors import Unavailable
from jobs.job import Job, JobStatus
from jobs.running import RunParts
from jobs.task import Task
from tests.builders import (
    JOB_ID,
    LEASE,
    NOW,
    HeldTimers,
    RecordingLog,
    ScriptedModel,
    ShakyJobStore,
    ShakyTaskQueue,
    a_job,
    a_task,
    claim_terms,
    lost,
    run_parts,
    store_away,
    throttled,
)
from workers.desk import Desk

LATER = NOW + timedelta(minutes=5)
AGAIN = timedelta(seconds=2)


class Office:
    """A desk on in-memory parts."""

    def __init__(self, parts: RunParts | None = None, queue: MemoryTaskQueue | None = None) -> None:
        self.parts = parts or run_parts()
        self.queue = queue or MemoryTaskQueue()
        self.log = cast("RecordingLog", self.parts.log)
        self.timers = HeldTimers(cast("ManualClock", self.parts.clock), self.log)
        self.desk = Desk(parts=self.parts, queue=self.queue, timers=self.timers)

    @property
    def calls(self) -> int:
        return len(cast("ScriptedModel", self.parts.model).invocations)

    def add(self, job: Job) -> Task:
        self.parts.store.add(job)
        return a_task(job)


def test_a_task_runs_its_job() -> None:
    office = Office()

    office.desk.run(office.add(a_job()))

    assert office.parts.store.get(JOB_ID).status is JobStatus.COMPLETED
    assert office.timers.held == []
    assert office.queue.tasks == []


def test_a_task_that_comes_early_waits_for_its_time_without_a_claim() -> None:
    office = Office()
    task = replace(office.add(a_job()), not_before=LATER)

    office.desk.run(task)

    assert office.calls == 0
    assert office.parts.store.get(JOB_ID).status is JobStatus.PENDING
    assert [at for at, _ in office.timers.held] == [LATER]


def test_a_task_that_waited_goes_back_to_the_broker() -> None:
    office = Office()
    task = replace(office.add(a_job()), not_before=LATER)
    office.desk.run(task)

    office.timers.move_to_next()

    assert office.queue.tasks == [replace(task, enqueued_at=LATER)]


def test_a_task_whose_time_has_come_runs() -> None:
    office = Office()

    office.desk.run(replace(office.add(a_job()), not_before=NOW))

    assert office.calls == 1


def test_a_job_that_waits_by_its_row_parks_its_task() -> None:
    office = Office()
    task = office.add(a_job(status=JobStatus.PENDING_RETRY, not_before=LATER))

    office.desk.run(task)

    assert office.calls == 0
    assert [at for at, _ in office.timers.held] == [LATER]
    assert office.log.count("task_parked") == 1


def test_a_job_that_someone_runs_parks_nothing() -> None:
    office = Office()
    task = office.add(a_job())
    office.parts.store.claim(JOB_ID, claim_terms(token="other"))

    office.desk.run(task)

    assert office.calls == 0
    assert office.timers.held == []


def test_a_job_that_is_gone_parks_nothing() -> None:
    office = Office()

    office.desk.run(a_task(a_job()))

    assert office.timers.held == []


def test_a_retry_is_left_to_the_change_feed() -> None:
    office = Office(run_parts(model=ScriptedModel(throttled())))

    office.desk.run(office.add(a_job()))

    assert office.parts.store.get(JOB_ID).status is JobStatus.PENDING_RETRY
    assert office.timers.held == []


def test_a_store_that_is_away_parks_the_task_for_a_moment() -> None:
    store = ShakyJobStore(claim=[store_away()] * 100)
    office = Office(run_parts(store=store))
    task = office.add(a_job())

    office.desk.run(task)

    assert [at for at, _ in office.timers.held] == [office.parts.clock.now() + AGAIN]
    assert office.log.count("run_unavailable") == 1
    store.failures.clear()
    office.timers.move_to_next()
    office.desk.run(office.queue.tasks[0])
    assert office.parts.store.get(JOB_ID).status is JobStatus.COMPLETED


def test_a_lost_claim_ends_the_run_quietly() -> None:
    office = Office(run_parts(store=ShakyJobStore(settle=[lost()])))

    office.desk.run(office.add(a_job()))

    assert office.timers.held == []
    assert office.log.count("run_fenced") == 1


def test_the_desk_outlives_whatever_breaks() -> None:
    office = Office(run_parts(store=ShakyJobStore(claim=[RuntimeError("unforeseen")])))

    office.desk.run(office.add(a_job()))

    assert office.log.count("run_broke") == 1


def test_a_broker_that_is_away_is_asked_again_until_it_takes_the_task() -> None:
    away = Unavailable("broker", "away (test)")
    office = Office(queue=ShakyTaskQueue(away, away))
    task = replace(office.add(a_job()), not_before=LATER)
    office.desk.run(task)

    for _ in range(3):
        assert len(office.timers.held) == 1
        office.timers.move_to_next()

    assert office.timers.held == []
    assert office.queue.tasks == [replace(task, enqueued_at=LATER + 2 * AGAIN)]
    assert office.log.count("enqueue_failed") == 2


def test_every_line_of_the_log_names_the_job_and_its_trace() -> None:
    office = Office(run_parts(store=ShakyJobStore(claim=[store_away(), lost()])))
    task = office.add(a_job())

    office.desk.run(task)
    office.desk.run(replace(task, not_before=LATER))

    assert [line.event for line in office.log.lines] == ["claim_waits", "run_fenced", "task_parked"]
    for line in office.log.lines:
        assert (line.keys["job_id"], line.keys["trace_id"]) == (JOB_ID, a_job().trace.id)


def test_a_worker_that_lost_its_job_does_not_spoil_its_successors_run() -> None:
    store = MemoryJobStore()
    slow = Office(run_parts(store=store))
    task = slow.add(a_job())
    store.claim(JOB_ID, claim_terms(token="dead"))
    slow.parts.clock.sleep(2 * LEASE)

    slow.desk.run(task)

    job = store.get(JOB_ID)
    assert (job.status, job.attempt, job.epoch) == (JobStatus.COMPLETED, 2, 2)


def test_a_task_that_waited_runs_when_it_comes_back() -> None:
    office = Office()
    office.desk.run(replace(office.add(a_job()), not_before=LATER))
    office.timers.move_to_next()

    office.desk.run(office.queue.tasks[0])

    assert office.parts.store.get(JOB_ID).status is JobStatus.COMPLETED


def test_what_is_parked_is_handed_over_once_with_its_wait() -> None:
    office = Office()
    task = replace(office.add(a_job()), not_before=LATER)
    office.desk.run(task)

    assert office.desk.hand_over_parked() == 1
    office.timers.move_to_next()

    assert office.queue.tasks == [task]
    assert office.desk.hand_over_parked() == 0


def test_what_would_be_parked_by_a_desk_that_drains_goes_straight_back() -> None:
    office = Office()
    office.desk.hand_over_parked()
    task = replace(office.add(a_job()), not_before=LATER)

    office.desk.run(task)

    assert office.queue.tasks == [task]
    assert office.timers.held == []


def test_a_broker_that_is_away_at_the_handing_over_is_asked_again() -> None:
    office = Office(queue=ShakyTaskQueue(Unavailable("broker", "away (test)")))
    task = replace(office.add(a_job()), not_before=LATER)
    office.desk.run(task)
    office.timers.held.clear()

    office.desk.hand_over_parked()
    assert office.queue.tasks == []
    office.timers.move_to_next()

    assert office.queue.tasks == [replace(task, enqueued_at=NOW + AGAIN)]


def test_a_desk_that_drains_still_runs_what_has_come() -> None:
    office = Office()
    office.desk.hand_over_parked()

    office.desk.run(office.add(a_job()))

    assert office.parts.store.get(JOB_ID).status is JobStatus.COMPLETED


def test_one_task_that_is_parked_twice_is_enqueued_once() -> None:
    office = Office()
    task = replace(office.add(a_job()), not_before=LATER)

    office.desk.run(task)
    office.desk.run(task)
    office.timers.move_to_next()
    office.timers.move_to_next()

    assert len(office.queue.tasks) == 1
