import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from adapters.local_slots import LocalSlots
from adapters.memory import ManualClock, MemoryJobStore, MemoryShardLeases, MemoryTaskQueue
from adapters.memory_deliveries import MemoryDeliveries, MemoryDeliveryQueue
from adapters.redis_events import connect_redis
from adapters.redis_lines import RedisLines
from jobs.claim import Claim
from jobs.due import DISPATCH_GRACE
from jobs.errors import Unavailable
from jobs.feed_ports import ShardLeases
from jobs.job import Job, JobId, JobStatus
from jobs.shard_leases import FeedId, ShardLease
from jobs.shards import StreamName
from jobs.sweep import BATCH, SweepParts, sweep
from jobs.sweep_deliveries import SweepDeliveriesParts
from jobs.task import Task
from jobs.timeline import Step, StepName
from tests import builders
from tests.builders import (
    JOB_ID,
    LEASE,
    NOW,
    RecordingLog,
    ShakyTaskQueue,
    a_job,
    claim_terms,
    store_away,
)
from tests.stack import wait_until
from workers.shard_keeper import FAILOVER, KEEP_EVERY
from workers.sweep_lease import SweepLease
from workers.sweeper import CensusTerms, Sweeper

DEADLINE = 10.0  # seconds until a test gives up on a condition
GRACE = DISPATCH_GRACE
MOMENT = timedelta(milliseconds=1)


def sweep_parts(**changes: Any) -> SweepParts:  # noqa: ANN401 - SweepParts' own fields
    parts = builders.sweep_parts(MemoryJobStore(), clock=ManualClock(NOW + GRACE + MOMENT))
    return replace(parts, **changes)


def waiting_jobs(parts: SweepParts, count: int) -> list[JobId]:
    ids = [JobId(f"job_{n:026d}") for n in range(count)]
    for job_id in ids:
        cast("MemoryJobStore", parts.due).add(a_job(id=job_id))
    return ids


def tasked(parts: SweepParts) -> list[JobId]:
    return [task.job_id for task in cast("MemoryTaskQueue", parts.queue).tasks]


def a_sweeper(
    parts: SweepParts,
    leases: ShardLeases | None = None,
    *,
    every: float = 5.0,
    counting: CensusTerms | None = None,
) -> Sweeper:
    lease = SweepLease(
        leases=leases or MemoryShardLeases(),
        me=FeedId(parts.process),
        clock=parts.clock,
        log=parts.log,
    )
    deliveries = MemoryDeliveries()
    sweeping = SweepDeliveriesParts(
        due=deliveries, queue=MemoryDeliveryQueue(), clock=parts.clock, log=parts.log
    )
    return Sweeper(parts, deliveries=sweeping, lease=lease, every=every, counting=counting)


def log_of(parts: SweepParts) -> RecordingLog:
    return cast("RecordingLog", parts.log)


def test_a_job_whose_task_never_came_is_triggered_again() -> None:
    parts = sweep_parts()
    ids = waiting_jobs(parts, 2)

    assert sweep(parts) == 2

    assert tasked(parts) == ids
    assert log_of(parts).count("job_swept") == 2


def test_a_job_that_stands_in_line_is_not_told_of_as_lost() -> None:
    parts = sweep_parts()
    lost, waiting = waiting_jobs(parts, 2)
    in_line = parts.store.get(waiting)
    assert in_line is not None
    slots = LocalSlots(capacity=1, share=1)
    assert slots.ask(Task.of(in_line, now=NOW, by="feed@test:1"), has_room=False) is None
    parts = replace(parts, lines=slots)

    assert sweep(parts) == 2

    assert tasked(parts) == [lost, waiting]
    assert log_of(parts).count("job_swept") == 1
    assert log_of(parts).count("job_in_line") == 1


def test_where_redis_does_not_say_who_stands_in_line_all_are_triggered() -> None:
    nobody_there = connect_redis("redis://127.0.0.1:1", connections=1)
    parts = sweep_parts(lines=RedisLines(nobody_there))
    ids = waiting_jobs(parts, 2)

    assert sweep(parts) == 2

    assert tasked(parts) == ids


def test_a_job_whose_time_has_not_come_is_left_alone() -> None:
    parts = sweep_parts(clock=ManualClock(NOW + GRACE - MOMENT))
    waiting_jobs(parts, 2)

    assert sweep(parts) == 0
    assert tasked(parts) == []


def test_a_job_whose_worker_died_is_triggered_again() -> None:
    parts = sweep_parts()
    job = a_job(status=JobStatus.RUNNING, attempt=1, epoch=1, lease_until=NOW, due_at=NOW)
    cast("MemoryJobStore", parts.due).add(job)

    sweep(parts)
    parts.clock.sleep(LEASE)
    sweep(parts)

    assert tasked(parts) == [job.id]


@pytest.mark.parametrize(
    "status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED]
)
def test_an_ended_job_is_never_swept(status: JobStatus) -> None:
    parts = sweep_parts()
    cast("MemoryJobStore", parts.due).add(a_job(status=status, ended_at=NOW))

    assert sweep(parts) == 0


def test_a_job_that_was_just_swept_is_left_alone_for_a_while() -> None:
    parts = sweep_parts()
    waiting_jobs(parts, 1)

    assert [sweep(parts), sweep(parts)] == [1, 0]
    parts.clock.sleep(GRACE)
    assert sweep(parts) == 1


def test_a_swept_task_says_who_found_it_and_when() -> None:
    parts = sweep_parts()
    waiting_jobs(parts, 1)

    sweep(parts)

    (task,) = cast("MemoryTaskQueue", parts.queue).tasks
    assert (task.seen_at, task.enqueued_at, task.by) == (
        parts.clock.now(),
        parts.clock.now(),
        "feed@test:1",
    )


def test_a_job_that_was_taken_and_not_triggered_is_due_again() -> None:
    parts = sweep_parts(queue=ShakyTaskQueue(Unavailable("broker", "away (test)")))
    ids = waiting_jobs(parts, 1)

    with pytest.raises(Unavailable):
        sweep(parts)
    parts.clock.sleep(GRACE)
    sweep(parts)

    assert tasked(parts) == ids


def test_a_sweep_takes_a_batch_at_most() -> None:
    parts = sweep_parts()
    waiting_jobs(parts, BATCH + 1)

    assert [sweep(parts), sweep(parts), sweep(parts)] == [BATCH, 1, 0]


def test_each_sweep_in_vain_doubles_the_wait() -> None:
    parts = sweep_parts(clock=ManualClock(NOW))
    waiting_jobs(parts, 1)
    found = []

    for _ in range(600):
        parts.clock.sleep(timedelta(seconds=1))
        if sweep(parts):
            found.append((parts.clock.now() - NOW).total_seconds())

    assert found == [30, 60, 120, 240, 480]


def test_a_job_that_moves_begins_its_waits_anew() -> None:
    parts = sweep_parts()
    (job_id,) = waiting_jobs(parts, 1)
    sweep(parts)
    parts.clock.sleep(GRACE)
    sweep(parts)

    claim = parts.store.claim(job_id, claim_terms(at=parts.clock.now()))

    assert isinstance(claim, Claim)
    assert (claim.job.sweeps, claim.job.due_at) == (0, parts.clock.now() + LEASE)


def test_a_job_whose_worker_renews_its_claim_is_left_alone() -> None:
    parts = sweep_parts(clock=ManualClock(NOW))
    parts.store.add(a_job())
    claim = parts.store.claim(JOB_ID, claim_terms())
    assert isinstance(claim, Claim)
    parts.store.renew(claim, NOW + 2 * LEASE)

    parts.clock.sleep(2 * LEASE - MOMENT)
    assert sweep(parts) == 0
    parts.clock.sleep(2 * MOMENT)

    assert sweep(parts) == 1


def a_claim_whose_lease_is_over(parts: SweepParts) -> Claim:
    parts.store.add(a_job())
    claim = parts.store.claim(JOB_ID, claim_terms())
    assert isinstance(claim, Claim)
    parts.clock.sleep(LEASE)
    return claim


def test_a_lease_that_is_over_is_looked_at_twice_half_a_lease_apart() -> None:
    parts = sweep_parts(clock=ManualClock(NOW))
    a_claim_whose_lease_is_over(parts)

    assert [sweep(parts), tasked(parts)] == [1, []]
    parts.clock.sleep(LEASE / 2 - MOMENT)
    assert [sweep(parts), tasked(parts)] == [0, []]
    parts.clock.sleep(MOMENT)

    assert [sweep(parts), tasked(parts)] == [1, [JOB_ID]]


def test_the_first_look_at_a_lease_is_not_counted_and_not_told() -> None:
    parts = sweep_parts(clock=ManualClock(NOW))
    claim = a_claim_whose_lease_is_over(parts)

    sweep(parts)

    row = parts.store.get(JOB_ID)
    assert (row.sweeps, row.timeline, row.lease_until) == (0, claim.job.timeline, NOW + LEASE)


def test_a_holder_whose_clock_is_behind_keeps_its_job_while_it_renews() -> None:
    parts = sweep_parts(clock=ManualClock(NOW))
    claim = a_claim_whose_lease_is_over(parts)

    for renewal in range(20):
        sweep(parts)
        parts.clock.sleep(LEASE / 3)
        sweep(parts)
        parts.store.renew(claim, NOW + renewal * LEASE / 3)

    assert tasked(parts) == []


def test_a_sweeper_whose_clock_is_ahead_takes_no_job_whose_holder_renews() -> None:
    parts = sweep_parts(clock=ManualClock(NOW + 100 * LEASE))
    parts.store.add(a_job(run_timeout=LEASE))
    claim = parts.store.claim(JOB_ID, claim_terms())
    assert isinstance(claim, Claim)

    for renewal in range(2):
        sweep(parts)
        parts.clock.sleep(LEASE / 3)
        sweep(parts)
        parts.store.renew(claim, NOW + LEASE + renewal * LEASE / 3)

    assert tasked(parts) == []
    assert parts.store.get(JOB_ID).status is JobStatus.RUNNING


def test_a_swept_jobs_timeline_says_so() -> None:
    parts = sweep_parts()
    (job_id,) = waiting_jobs(parts, 1)

    sweep(parts)

    step = parts.store.get(job_id).timeline[-1]
    assert (step.name, step.at, step.by) == (StepName.SWEPT, parts.clock.now(), "feed@test:1")


def test_a_retry_whose_timer_died_with_its_worker_is_triggered_with_its_wait() -> None:
    parts = sweep_parts()
    waiting = a_job(status=JobStatus.PENDING_RETRY, not_before=NOW)
    parts.store.add(waiting)

    sweep(parts)

    (task,) = cast("MemoryTaskQueue", parts.queue).tasks
    assert (task.job_id, task.not_before) == (JOB_ID, NOW)


class RacedStore(MemoryJobStore):
    """Lets another sweeper be faster with what this one has just found."""

    def __init__(self) -> None:
        super().__init__()
        self.other: SweepParts | None = None

    def find(self, now: Any, *, limit: int) -> list[Job]:  # noqa: ANN401 - the port's
        found = super().find(now, limit=limit)
        other, self.other = self.other, None
        if other is not None:
            sweep(other)
        return found


def test_of_two_sweepers_with_one_job_in_hand_one_triggers_it() -> None:
    store = RacedStore()
    clock = ManualClock(NOW + GRACE)
    one, other = (builders.sweep_parts(store, clock=clock) for _ in range(2))
    waiting_jobs(one, 3)
    store.other = other

    assert sweep(one) == 3

    assert (tasked(one), len(tasked(other))) == ([], 3)
    assert log_of(one).lines == []
    assert [store.get(job_id).sweeps for job_id in tasked(other)] == [1, 1, 1]


def test_of_two_sweepers_with_one_job_in_hand_one_expires_it() -> None:
    store = RacedStore()
    clock = ManualClock(NOW + GRACE)
    one, other = (builders.sweep_parts(store, clock=clock) for _ in range(2))
    store.add(a_job(start_timeout=GRACE))
    store.other = other

    sweep(one)

    assert store.get(JOB_ID).epoch == 1
    assert (tasked(one), tasked(other)) == ([], [])
    assert [log_of(parts).count("job_expired") for parts in (one, other)] == [0, 1]


def test_what_expires_does_not_hold_up_what_waits() -> None:
    parts = sweep_parts()
    ids = waiting_jobs(parts, 2)
    parts.store.add(a_job(start_timeout=MOMENT))

    assert sweep(parts) == 3

    assert tasked(parts) == ids
    assert parts.store.get(JOB_ID).status is JobStatus.EXPIRED


class ManySweeps(MemoryTaskQueue):
    """Fails in turn, and tells when a sweep has come after all failures."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self._failures = list(failures)
        self.came = threading.Event()

    def enqueue(self, tasks: Any) -> None:  # noqa: ANN401 - the port's
        if self._failures:
            raise self._failures.pop(0)
        super().enqueue(tasks)
        self.came.set()


def test_the_sweeper_outlives_what_breaks_and_what_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.sweeper._GRACE_SECONDS", 0.01)
    queue = ManySweeps(Unavailable("broker", "away (test)"), RuntimeError("unforeseen"))
    parts = sweep_parts(queue=queue)
    sweeper = a_sweeper(parts, every=0.001)

    sweeper.start()

    assert queue.came.wait(DEADLINE)
    sweeper.stop()
    assert log_of(parts).count("sweep_waits") == 1
    assert log_of(parts).count("sweep_broke") == 1


def test_the_sweeper_takes_one_full_batch_after_another() -> None:
    parts = sweep_parts()
    ids = waiting_jobs(parts, 2 * BATCH + 1)
    done = threading.Event()

    class Queue(MemoryTaskQueue):
        def enqueue(self, tasks: Any) -> None:  # noqa: ANN401 - the port's
            super().enqueue(tasks)
            if len(self.tasks) == len(ids):
                done.set()

    parts = replace(parts, queue=Queue())
    sweeper = a_sweeper(parts, every=3600)

    sweeper.start()

    assert done.wait(DEADLINE)
    sweeper.stop()
    assert tasked(parts) == ids


class StubbornStore(MemoryJobStore):
    """One of its rows cannot be put off, whatever is tried."""

    stubborn: JobId | None = None

    def put_off(self, job: Job, until: datetime, swept: Step | None) -> bool:
        if job.id == self.stubborn:
            raise RuntimeError("the row is full")
        return super().put_off(job, until, swept)


def test_one_row_that_cannot_be_moved_does_not_stop_the_others() -> None:
    store = StubbornStore()
    parts = builders.sweep_parts(store, clock=ManualClock(NOW + GRACE + MOMENT))
    first, second, third = waiting_jobs(parts, 3)
    store.stubborn = second

    sweep(parts)

    assert tasked(parts) == [first, third]
    assert log_of(parts).count("row_passed_over") == 1


def two_sweepers() -> tuple[SweepParts, Sweeper, Sweeper]:
    """Make two sweepers of one store under one clock; give what the first sweeps with, too."""
    parts = sweep_parts(process="feed@test:1")
    leases = MemoryShardLeases()
    return parts, a_sweeper(parts, leases), a_sweeper(replace(parts, process="feed@test:2"), leases)


def sweepers_in(parts: SweepParts) -> set[str]:
    return {task.by for task in cast("MemoryTaskQueue", parts.queue).tasks}


def test_of_two_sweepers_one_sweeps() -> None:
    parts, one, other = two_sweepers()
    waiting_jobs(parts, 3)

    for _ in range(20):
        other.turn()
        one.turn()
        parts.clock.sleep(KEEP_EVERY)

    assert sweepers_in(parts) == {"feed@test:2"}


def test_when_the_sweeper_is_killed_the_other_sweeps_within_the_failover_time() -> None:
    parts, one, other = two_sweepers()
    one.turn()
    other.turn()
    waiting_jobs(parts, 1)

    for _ in range(FAILOVER // KEEP_EVERY):
        assert tasked(parts) == []
        parts.clock.sleep(KEEP_EVERY)
        other.turn()

    assert sweepers_in(parts) == {"feed@test:2"}


def test_when_the_sweeper_is_stopped_the_other_sweeps_at_once() -> None:
    parts, one, other = two_sweepers()
    one.start()
    waiting_jobs(parts, 1)
    wait_until(lambda: log_of(parts).count("sweep_taken"), "the first one's turn", within=DEADLINE)

    one.stop()
    waiting_jobs(parts, 2)
    other.turn()

    assert "feed@test:2" in sweepers_in(parts)


def test_a_sweeper_sweeps_no_more_often_than_it_is_told() -> None:
    parts = sweep_parts()
    looks: list[datetime] = []

    class Due(MemoryJobStore):
        def find(self, now: datetime, *, limit: int) -> list[Job]:
            looks.append(now)
            return super().find(now, limit=limit)

    parts = replace(parts, due=Due())
    sweeper = a_sweeper(parts, every=10)

    for _ in range(9):
        sweeper.turn()
        parts.clock.sleep(KEEP_EVERY)

    assert [look - looks[0] for look in looks] == [timedelta(seconds=n) for n in (0, 10, 20)]


def test_a_store_that_is_away_keeps_nobody_from_stopping() -> None:
    class Leases(MemoryShardLeases):
        def hold(self, stream: StreamName, lease: ShardLease, owner: FeedId | None) -> ShardLease:
            if owner is None:
                raise store_away()
            return super().hold(stream, lease, owner)

    parts = sweep_parts()
    sweeper = a_sweeper(parts, Leases())
    sweeper.start()
    wait_until(lambda: log_of(parts).count("sweep_taken"), "its turn", within=DEADLINE)

    sweeper.stop()

    assert log_of(parts).count("sweep_not_released") == 1
