"""How the process tops stand, as Prometheus asks: a sweeper's census, a feed's place, a worker."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from adapters.memory import ManualClock, MemoryJobStore, MemoryShardLeases
from adapters.memory_lists import MemoryCensusTaker
from jobs.errors import Unavailable
from jobs.job import JobStatus
from tests.builders import NOW, RecordingLog, a_job
from tests.stack import wait_until
from tests.unit.test_workers_feed import feed_parts
from tests.unit.test_workers_sweeper import a_sweeper, sweep_parts, waiting_jobs
from tests.unit.test_workers_turnstile import Worker
from workers.feed import Feed
from workers.shard_keeper import FAILOVER, KEEP_EVERY
from workers.sweeper import CensusTerms

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.census import Census

EVERY = timedelta(seconds=30)


class ShakyCensusTaker:
    """jobs.census.CensusTaker that notes how often it was asked, and can be out of reach."""

    def __init__(self, store: MemoryJobStore) -> None:
        self._taker = MemoryCensusTaker(store)
        self.counts = 0
        self.is_away = False

    def count(self, now: datetime, *, most: int) -> Census:
        if self.is_away:
            raise Unavailable("store", "away (test)")
        self.counts += 1
        return self._taker.count(now, most=most)


def test_a_sweeper_counts_open_jobs_no_more_often_than_it_is_told_to() -> None:
    parts = sweep_parts()
    waiting_jobs(parts, 2)
    taker = ShakyCensusTaker(cast("MemoryJobStore", parts.due))
    sweeper = a_sweeper(parts, counting=CensusTerms(taker=taker, every=EVERY))

    for _ in range(61):  # five seconds apart, that is five minutes
        sweeper.turn()
        parts.clock.sleep(timedelta(seconds=5))

    assert sweeper.sweeps == 61
    assert taker.counts == 11
    assert sweeper.census is not None
    assert sweeper.census.counts[JobStatus.PENDING] == 2


def test_a_sweeper_that_nobody_asks_counts_nothing() -> None:
    parts = sweep_parts()
    sweeper = a_sweeper(parts)

    sweeper.turn()

    assert (sweeper.sweeps, sweeper.census) == (1, None)


def test_what_cannot_be_counted_is_not_told_and_holds_up_no_sweep() -> None:
    parts = sweep_parts()
    taker = ShakyCensusTaker(cast("MemoryJobStore", parts.due))
    sweeper = a_sweeper(parts, counting=CensusTerms(taker=taker, every=EVERY))
    sweeper.turn()
    taker.is_away = True

    parts.clock.sleep(EVERY)
    sweeper.turn()

    assert sweeper.census is None
    assert sweeper.sweeps == 2
    assert cast("RecordingLog", parts.log).count("census_waits") == 1


def test_who_does_not_sweep_any_more_tells_of_no_open_jobs() -> None:
    leases, clock = MemoryShardLeases(), ManualClock(NOW)
    one = sweep_parts(clock=clock, process="feed@test:1")
    counting = CensusTerms(taker=MemoryCensusTaker(cast("MemoryJobStore", one.due)), every=EVERY)
    first = a_sweeper(one, leases, counting=counting)
    second = a_sweeper(replace(one, process="feed@test:2"), leases, counting=counting)
    first.turn()
    assert first.census is not None

    for _ in range(2 * (FAILOVER // KEEP_EVERY)):  # the first stands still
        second.turn()
        clock.advance(KEEP_EVERY)
    first.turn()

    assert second.census is not None
    assert first.census is None


def test_a_feed_tells_how_old_the_last_record_was_and_forgets_it_when_all_is_read() -> None:
    store, clock = MemoryJobStore(), ManualClock()
    feed = Feed(feed_parts(stream=store.stream, clock=clock))
    store.add(a_job())
    clock.advance(timedelta(seconds=40))

    feed.turn()
    behind = feed.progress.record_age
    feed.turn()

    assert behind >= timedelta(seconds=40)
    assert feed.progress.record_age == timedelta(0)
    assert feed.progress.turned_at == feed.progress.checkpointed_at == clock.now()
    assert feed.shard_count == 1


def test_a_worker_tells_how_many_jobs_run() -> None:
    worker, hold, came = Worker(), threading.Event(), threading.Event()
    run = worker.desk.run

    def run_slowly(task: object) -> object:
        came.set()
        hold.wait(10)
        return run(task)  # type: ignore[arg-type] # the task that came

    worker.desk.run = run_slowly  # type: ignore[method-assign,assignment] # a model that takes long
    worker.turnstile.enter(worker.add())
    assert came.wait(10)

    assert worker.turnstile.running == 1
    hold.set()
    wait_until(lambda: worker.turnstile.running == 0, "the job is over")
    worker.end()
