"""jobs.feed_ports.ShardLeases, in memory and on DynamoDB: each promise of its docstring."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_shard_leases import DynamoDBShardLeases
from adapters.memory import MemoryShardLeases
from adapters.schema import feed_table_name
from jobs.errors import LeaseLost
from jobs.shard_leases import FeedId, ShardLease
from jobs.shards import LATEST, Checkpoint, Position, ShardId, StreamName

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.feed_ports import ShardLeases
    from tests.stack import Clients

STREAM = StreamName("arn:aws:dynamodb:us-east-1:0:table/T/stream/1")
SHARD = ShardId("shard-1")
ADA, BOB = FeedId("feed@ada:1"), FeedId("feed@bob:1")
FEEDS = 16


@pytest.fixture(params=["memory", "dynamodb"])
def leases(request: pytest.FixtureRequest) -> Iterator[ShardLeases]:
    if request.param == "memory":
        yield MemoryShardLeases()
        return
    clients: Clients = request.getfixturevalue("clients")
    name = clients.make_tables("Contract_ShardLeases")
    yield DynamoDBShardLeases(client=clients.dynamodb, table=feed_table_name(name))
    clients.drop_tables(name)


def new_lease(leases: ShardLeases) -> ShardLease:
    leases.add(STREAM, SHARD, Checkpoint())
    [lease] = leases.load(STREAM)
    return lease


@pytest.mark.parametrize(
    "checkpoint", [Checkpoint(), Checkpoint(position=LATEST), Checkpoint(ended=True)]
)
def test_a_new_lease_is_nobodys_and_where_it_was_told(
    leases: ShardLeases, checkpoint: Checkpoint
) -> None:
    leases.add(STREAM, SHARD, checkpoint)

    assert leases.load(STREAM) == [ShardLease(shard=SHARD, checkpoint=checkpoint)]


def test_a_lease_that_is_there_is_not_made_anew(leases: ShardLeases) -> None:
    held = leases.hold(STREAM, new_lease(leases), ADA)

    leases.add(STREAM, SHARD, Checkpoint())

    assert leases.load(STREAM) == [held]


def test_a_lease_of_another_stream_is_another_lease(leases: ShardLeases) -> None:
    leases.hold(STREAM, new_lease(leases), ADA)

    assert leases.load(StreamName("another")) == []


def test_taking_and_renewing_raise_the_counter(leases: ShardLeases) -> None:
    taken = leases.hold(STREAM, new_lease(leases), ADA)
    renewed = leases.hold(STREAM, taken, ADA)

    assert (taken.owner, taken.counter) == (ADA, 1)
    assert (renewed.owner, renewed.counter) == (ADA, 2)
    assert leases.load(STREAM) == [renewed]


def test_a_released_lease_is_nobodys(leases: ShardLeases) -> None:
    taken = leases.hold(STREAM, new_lease(leases), ADA)

    leases.hold(STREAM, taken, None)

    assert [lease.owner for lease in leases.load(STREAM)] == [None]


def test_a_lease_that_was_taken_cannot_be_renewed_by_who_had_it(leases: ShardLeases) -> None:
    taken = leases.hold(STREAM, new_lease(leases), ADA)
    leases.hold(STREAM, taken, BOB)

    with pytest.raises(LeaseLost):
        leases.hold(STREAM, taken, ADA)


def test_of_feeds_that_race_one_gets_the_lease(leases: ShardLeases) -> None:
    lease = new_lease(leases)
    barrier = threading.Barrier(FEEDS)

    def race(number: int) -> bool:
        barrier.wait(timeout=30)
        try:
            leases.hold(STREAM, lease, FeedId(f"feed-{number}"))
        except LeaseLost:
            return False
        return True

    with ThreadPoolExecutor(FEEDS) as pool:
        won = list(pool.map(race, range(FEEDS)))

    assert won.count(True) == 1


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint(position=Position("49"), ended=True),
        Checkpoint(position=Position("50")),
        Checkpoint(ended=True),
        Checkpoint(),
    ],
)
def test_a_checkpoint_loads_as_it_was_saved(leases: ShardLeases, checkpoint: Checkpoint) -> None:
    taken = leases.hold(STREAM, new_lease(leases), ADA)
    taken = leases.save(STREAM, taken, Checkpoint(position=Position("1")))

    saved = leases.save(STREAM, taken, checkpoint)

    assert saved.checkpoint == checkpoint
    assert leases.load(STREAM) == [saved]


def test_only_its_owner_may_move_a_checkpoint(leases: ShardLeases) -> None:
    taken = leases.hold(STREAM, new_lease(leases), ADA)
    stolen = leases.hold(STREAM, taken, BOB)

    with pytest.raises(LeaseLost):
        leases.save(STREAM, taken, Checkpoint(position=Position("1")))

    assert leases.load(STREAM) == [stolen]


def test_a_checkpoint_stays_when_its_lease_is_taken(leases: ShardLeases) -> None:
    taken = leases.hold(STREAM, new_lease(leases), ADA)
    saved = leases.save(STREAM, taken, Checkpoint(position=Position("7")))

    stolen = leases.hold(STREAM, saved, BOB)

    assert stolen.checkpoint == Checkpoint(position=Position("7"))
    assert leases.load(STREAM) == [stolen]


def test_a_dropped_shard_is_forgotten(leases: ShardLeases) -> None:
    new_lease(leases)

    leases.drop(STREAM, SHARD)
    leases.drop(STREAM, SHARD)

    assert leases.load(STREAM) == []
