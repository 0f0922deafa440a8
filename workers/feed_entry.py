"""The feed's entry: the change feed, and the sweep, when it is this process's turn to sweep."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from adapters.wiring import open_feed_parts
from jobs.shard_leases import FeedId
from jobs.sweep import SweepParts
from workers.broker import CeleryTaskQueue, make_celery
from workers.feed import Feed, FeedParts
from workers.shard_keeper import ShardKeeper
from workers.start import read_settings_or_exit
from workers.sweep_lease import SweepLease
from workers.sweeper import Sweeper

if TYPE_CHECKING:
    from adapters.settings import Settings
    from adapters.wiring import FeedAdapters
    from jobs.ports import TaskQueue


def main() -> None:
    """Run feed and sweeper until SIGTERM."""
    settings = read_settings_or_exit("feed")
    adapters = open_feed_parts(settings)
    queue = CeleryTaskQueue(make_celery(settings.redis_url, connections=10))
    feed = _make_feed(settings, adapters, queue)
    sweeper = _make_sweeper(settings, adapters, queue)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: feed.stop())
    sweeper.start()
    feed.run()
    sweeper.stop()


def _make_feed(settings: Settings, adapters: FeedAdapters, queue: TaskQueue) -> Feed:
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
            queue=queue,
            rejected=adapters.rejected,
            nudges=adapters.nudges,
            clock=adapters.clock,
            log=adapters.log,
            process=adapters.process,
            poll=settings.feed_poll_seconds,
            reads_per_second=settings.feed_reads_per_second,
            max_record_age=settings.feed_max_record_age,
        )
    )


def _make_sweeper(settings: Settings, adapters: FeedAdapters, queue: TaskQueue) -> Sweeper:
    return Sweeper(
        SweepParts(
            due=adapters.due,
            store=adapters.store,
            events=adapters.events,
            queue=queue,
            clock=adapters.clock,
            log=adapters.log,
            process=adapters.process,
            lease=settings.lease,
        ),
        lease=SweepLease(
            leases=adapters.leases,
            me=FeedId(adapters.process),
            clock=adapters.clock,
            log=adapters.log,
        ),
        every=settings.sweep_seconds,
    )


if __name__ == "__main__":
    main()
