"""The feed's entry: the change feed, and the sweep, when it is this process's turn to sweep."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.standing import FeedStanding
from adapters.traced import TracedTaskQueue
from adapters.wiring import open_feed_parts
from jobs.announce import AnnounceParts
from jobs.cancel import CancelParts
from jobs.gather import GatherParts
from jobs.shard_leases import FeedId
from jobs.sweep import SweepParts
from jobs.sweep_deliveries import SweepDeliveriesParts
from jobs.tracing import UNTRACED
from workers.broker import CeleryDeliveryQueue, CeleryTaskQueue, make_celery
from workers.feed import Feed, FeedParts
from workers.gatherer import Gatherer
from workers.late_word import LateWord
from workers.shard_keeper import ShardKeeper
from workers.start import open_tracer_or_exit, start_or_exit
from workers.sweep_lease import SweepLease
from workers.sweeper import CensusTerms, Sweeper
from workers.timers import Timers

if TYPE_CHECKING:
    from adapters.settings import Settings
    from adapters.wiring import FeedAdapters
    from jobs.delivery_ports import DeliveryQueue
    from jobs.ports import TaskQueue
    from jobs.tracing import Facts, Tracer


@dataclass(frozen=True, kw_only=True)
class Queues:
    """The broker's queues, as the feed and the sweeper see them."""

    tasks: TaskQueue
    swept: TaskQueue
    deliveries: DeliveryQueue


def main() -> None:
    """Run feed and sweeper until SIGTERM."""
    settings, metrics = start_or_exit("feed")
    adapters = open_feed_parts(settings)
    celery = make_celery(settings.redis_url, connections=10)
    tracer = open_tracer_or_exit(settings, "feed")
    tasks = CeleryTaskQueue(celery)
    queues = Queues(
        tasks=_traced(tasks, tracer, {}),
        swept=_traced(tasks, tracer, {"longhaul.swept": True}),
        deliveries=CeleryDeliveryQueue(celery),
    )
    feed = _make_feed(settings, adapters, queues, tracer)
    sweeper = _make_sweeper(settings, adapters, queues)
    metrics.watch_feed(lambda: _standing(feed, sweeper))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: feed.stop())
    sweeper.start()
    feed.run()
    sweeper.stop()
    adapters.log.info("feed_ended", feed=adapters.process)


def _standing(feed: Feed, sweeper: Sweeper) -> FeedStanding:
    return FeedStanding(
        shards=feed.shard_count,
        record_age=feed.progress.record_age,
        turned_at=feed.progress.turned_at,
        checkpointed_at=feed.progress.checkpointed_at,
        sweeps=sweeper.sweeps,
        swept_at=sweeper.swept_at,
        census=sweeper.census,
    )


def _traced(tasks: TaskQueue, tracer: Tracer, facts: Facts) -> TaskQueue:
    if tracer is UNTRACED:
        return tasks
    return TracedTaskQueue(queue=tasks, tracer=tracer, facts=facts)


def _make_feed(settings: Settings, adapters: FeedAdapters, queues: Queues, tracer: Tracer) -> Feed:
    return Feed(
        FeedParts(
            stream=adapters.stream,
            keeper=ShardKeeper(
                stream=adapters.stream,
                leases=adapters.leases,
                me=FeedId(adapters.process),
                clock=adapters.clock,
                log=adapters.log,
                start=settings.feed_start,
            ),
            queue=queues.tasks,
            announcing=replace(_announcing(adapters, queues), tracer=tracer),
            late_word=LateWord(
                events=adapters.events, timers=Timers(clock=adapters.clock, log=adapters.log)
            ),
            gatherer=_gatherer(adapters),
            rejected=adapters.rejected,
            nudges=adapters.nudges,
            clock=adapters.clock,
            log=adapters.log,
            process=adapters.process,
            poll=settings.feed_poll_seconds,
            reads_per_second=settings.feed_reads_per_second,
            max_record_age=settings.feed_max_record_age,
            open_jobs=adapters.open_jobs,
        )
    )


def _make_sweeper(settings: Settings, adapters: FeedAdapters, queues: Queues) -> Sweeper:
    return Sweeper(
        SweepParts(
            due=adapters.due,
            store=adapters.store,
            events=adapters.events,
            holders=adapters.holders,
            queue=queues.swept,
            lines=adapters.lines,
            # What the sweep announces the feed has, but for a record that was lost.
            announcing=_announcing(adapters, queues),
            clock=adapters.clock,
            log=adapters.log,
            process=adapters.process,
            lease=settings.lease,
        ),
        deliveries=SweepDeliveriesParts(
            due=adapters.deliveries,
            queue=queues.deliveries,
            clock=adapters.clock,
            log=adapters.log,
        ),
        lease=SweepLease(
            leases=adapters.leases,
            me=FeedId(adapters.process),
            clock=adapters.clock,
            log=adapters.log,
        ),
        every=settings.sweep_seconds,
        counting=_counting(settings, adapters),
    )


def _counting(settings: Settings, adapters: FeedAdapters) -> CensusTerms | None:
    """Count only where somebody reads it: counting costs reads."""
    if settings.metrics_port is None:
        return None
    return CensusTerms(
        taker=adapters.census_taker, every=timedelta(seconds=settings.census_seconds)
    )


def _gatherer(adapters: FeedAdapters) -> Gatherer:
    return Gatherer(
        parts=GatherParts(
            store=adapters.store,
            events=adapters.events,
            clock=adapters.clock,
            log=adapters.log,
            process=adapters.process,
        ),
        cancelling=CancelParts(
            store=adapters.store,
            events=adapters.events,
            holders=adapters.holders,
            clock=adapters.clock,
            log=adapters.log,
            process=adapters.process,
        ),
    )


def _announcing(adapters: FeedAdapters, queues: Queues) -> AnnounceParts:
    return AnnounceParts(
        deliveries=adapters.deliveries,
        queue=queues.deliveries,
        clock=adapters.clock,
        log=adapters.log,
        process=adapters.process,
    )


if __name__ == "__main__":
    main()
