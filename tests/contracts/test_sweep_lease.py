"""The sweep's lease on jobs.feed_ports.ShardLeases, in memory and on DynamoDB."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_shard_leases import DynamoDBShardLeases
from adapters.memory import ManualClock, MemoryShardLeases
from adapters.schema import feed_table_name
from jobs.shard_leases import FeedId
from tests.builders import RecordingLog
from workers.shard_keeper import FAILOVER, KEEP_EVERY
from workers.sweep_lease import SWEEP, SweepLease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from jobs.feed_ports import ShardLeases
    from tests.stack import Clients

FEEDS = 8


@pytest.fixture(params=["memory", "dynamodb"])
def leases(request: pytest.FixtureRequest) -> Iterator[ShardLeases]:
    if request.param == "memory":
        yield MemoryShardLeases()
        return
    clients: Clients = request.getfixturevalue("clients")
    name = clients.make_tables("Contract_SweepLease")
    yield DynamoDBShardLeases(client=clients.dynamodb, table=feed_table_name(name))
    clients.drop_tables(name)


class Feeds:
    """The sweep's lease as each of some feeds holds it, under one clock."""

    def __init__(self, leases: ShardLeases, *names: str) -> None:
        self.clock = ManualClock()
        self.leases = {
            name: SweepLease(leases=leases, me=FeedId(name), clock=self.clock, log=RecordingLog())
            for name in names
        }

    def holders(self) -> list[str]:
        return [name for name, lease in self.leases.items() if lease.hold()]

    def wait(self, duration: timedelta) -> None:
        """Let time pass while everyone who is there keeps asking."""
        for _ in range(duration // KEEP_EVERY):
            self.clock.advance(KEEP_EVERY)
            self.holders()


def test_of_two_feeds_one_holds_the_sweep_and_goes_on_holding_it(leases: ShardLeases) -> None:
    feeds = Feeds(leases, "a", "b")
    assert feeds.holders() == ["a"]

    feeds.wait(3 * FAILOVER)

    assert feeds.holders() == ["a"]


def test_the_sweep_of_a_feed_that_was_killed_is_taken_within_the_failover_time(
    leases: ShardLeases,
) -> None:
    feeds = Feeds(leases, "a", "b")
    feeds.holders()
    del feeds.leases["a"]

    feeds.wait(FAILOVER - KEEP_EVERY)
    assert feeds.holders() == []
    feeds.wait(KEEP_EVERY)

    assert feeds.holders() == ["b"]


def test_a_sweep_that_was_released_is_taken_at_once(leases: ShardLeases) -> None:
    feeds = Feeds(leases, "a", "b")
    feeds.holders()

    feeds.leases.pop("a").release()

    assert feeds.holders() == ["b"]


def test_a_holder_that_was_paused_finds_that_another_sweeps(leases: ShardLeases) -> None:
    feeds = Feeds(leases, "a", "b")
    feeds.holders()
    paused = feeds.leases.pop("a")
    feeds.wait(FAILOVER + KEEP_EVERY)

    assert not paused.hold()
    assert feeds.holders() == ["b"]


def test_a_release_by_who_has_lost_the_sweep_takes_it_from_nobody(leases: ShardLeases) -> None:
    feeds = Feeds(leases, "a", "b")
    feeds.holders()
    paused = feeds.leases.pop("a")
    feeds.wait(FAILOVER + KEEP_EVERY)

    paused.release()

    assert [lease.owner for lease in leases.load(SWEEP)] == ["b"]


def test_of_feeds_that_start_at_once_one_holds_the_sweep(leases: ShardLeases) -> None:
    feeds = Feeds(leases, *(f"feed-{number}" for number in range(FEEDS)))

    with ThreadPoolExecutor(FEEDS) as pool:
        held = list(pool.map(SweepLease.hold, feeds.leases.values()))

    assert held.count(True) == 1


def test_a_lease_that_someone_deleted_is_made_anew(leases: ShardLeases) -> None:
    feeds = Feeds(leases, "a", "b")
    feeds.holders()
    [lease] = leases.load(SWEEP)
    leases.drop(SWEEP, lease.shard)

    feeds.wait(KEEP_EVERY)

    assert len(feeds.holders()) == 1
