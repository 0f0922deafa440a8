"""Shard leases: however feeds come, die and are paused, shards end up spread evenly."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.shard_leases import FeedId, ShardLease, Sightings, leases_to_take
from jobs.shards import Checkpoint, ShardId

BEGIN = timedelta(hours=1)  # elapsed
FAILOVER = timedelta(seconds=10)
ROUND = FAILOVER / 4
ME = FeedId("me")


def a_lease(shard: int, owner: str | None = None, counter: int = 0) -> ShardLease:
    return ShardLease(
        shard=ShardId(f"shard-{shard:04d}"),
        checkpoint=Checkpoint(),
        owner=None if owner is None else FeedId(owner),
        counter=counter,
    )


def owned(*owners: str | None) -> list[ShardLease]:
    return [a_lease(shard, owner) for shard, owner in enumerate(owners)]


def taken(leases: list[ShardLease]) -> int:
    """Count what we take of leases that are alive unless they are nobody's."""
    free = [lease for lease in leases if lease.owner is None]
    return len(leases_to_take(leases, free, me=ME))


def test_each_holding_raises_the_counter_and_keeps_the_checkpoint() -> None:
    lease = replace(a_lease(0, "other", 7), checkpoint=Checkpoint(ended=True))

    assert lease.owned_by(ME) == replace(lease, owner=ME, counter=8)
    assert lease.owned_by(None) == replace(lease, owner=None, counter=8)


def test_nobodys_lease_is_free_at_once() -> None:
    sightings = Sightings(failover=FAILOVER)
    lease = a_lease(0)

    sightings.note([lease], BEGIN)

    assert sightings.is_free(lease, BEGIN)


def test_a_lease_whose_counter_stands_still_is_free_after_the_failover_time() -> None:
    sightings = Sightings(failover=FAILOVER)
    lease = a_lease(0, "other", 3)

    for elapsed in range(10):
        at = BEGIN + timedelta(seconds=elapsed)
        sightings.note([lease], at)
        assert not sightings.is_free(lease, at)
    sightings.note([lease], BEGIN + FAILOVER)

    assert sightings.is_free(lease, BEGIN + FAILOVER)


def test_a_counter_that_moves_begins_the_time_anew() -> None:
    sightings = Sightings(failover=FAILOVER)
    sightings.note([a_lease(0, "other", 3)], BEGIN)
    sightings.note([a_lease(0, "other", 4)], BEGIN + FAILOVER)

    assert not sightings.is_free(a_lease(0, "other", 4), BEGIN + FAILOVER)


def test_a_new_owner_begins_the_time_anew() -> None:
    sightings = Sightings(failover=FAILOVER)
    sightings.note([a_lease(0, "other", 3)], BEGIN)
    sightings.note([a_lease(0, "another", 3)], BEGIN + FAILOVER)

    assert not sightings.is_free(a_lease(0, "another", 3), BEGIN + FAILOVER)


def test_after_a_pause_of_the_observers_own_nobody_is_taken_for_dead() -> None:
    lease, sightings = a_lease(1, owner="other"), Sightings(failover=FAILOVER)
    sightings.note([lease], BEGIN)

    sightings.note([lease], BEGIN + 2 * FAILOVER)

    assert not sightings.is_free(lease, BEGIN + 2 * FAILOVER)


def test_a_lease_that_was_never_seen_is_not_free() -> None:
    assert not Sightings(failover=FAILOVER).is_free(a_lease(0, "other"), BEGIN)


def test_only_the_observers_own_clock_counts() -> None:
    """Whoever has just started waits the whole time, however old the counter may be."""
    sightings = Sightings(failover=FAILOVER)
    lease = a_lease(0, "dead", 99)
    start = BEGIN + timedelta(days=1)
    sightings.note([lease], start)

    assert not sightings.is_free(lease, start + FAILOVER - timedelta(milliseconds=1))


def test_a_lease_that_is_no_longer_noted_is_forgotten() -> None:
    sightings = Sightings(failover=FAILOVER)
    lease = a_lease(0, "other", 3)
    sightings.note([lease], BEGIN)
    sightings.note([], BEGIN + ROUND)
    sightings.note([lease], BEGIN + FAILOVER)

    assert not sightings.is_free(lease, BEGIN + FAILOVER)


@pytest.mark.parametrize(
    ("leases", "expected"),
    [
        (owned(), 0),
        (owned(None), 1),
        (owned(None, None, None), 3),
        (owned(None, None, "other", "other"), 2),
        (owned(None, None, None, None, "other"), 3),  # half of five, rounded up
        (owned("me", "me", None, "other"), 0),
        (owned("me", None, "other", "other"), 1),
        (owned("a", "b", "c", None), 1),
        (owned("a", "b", "c", "d"), 0),
    ],
)
def test_free_leases_are_taken_up_to_ones_share(leases: list[ShardLease], expected: int) -> None:
    assert taken(leases) == expected


@pytest.mark.parametrize(
    ("leases", "stolen"),
    [
        (owned("rich", "rich"), True),
        (owned("rich"), False),
        (owned("rich", "rich", "rich", "me"), True),
        (owned("rich", "rich", "me"), False),
        (owned("rich", "rich", "rich", "poor", "me"), True),
        (owned("a", "a", "b", "b", "me"), False),
    ],
)
def test_where_nothing_is_free_one_is_stolen_from_who_has_two_more(
    *, leases: list[ShardLease], stolen: bool
) -> None:
    found = leases_to_take(leases, [], me=ME)

    assert len(found) == int(stolen)
    assert all(lease.owner in {"rich", "a"} for lease in found)


def test_nothing_is_stolen_while_something_is_free() -> None:
    leases = owned("rich", "rich", "rich", "rich", None)

    assert [lease.owner for lease in leases_to_take(leases, leases[4:], me=ME)] == [None]


def test_a_dead_feeds_leases_do_not_count_as_a_feeds() -> None:
    leases = owned("dead", "dead", "me", "other")

    assert len(leases_to_take(leases, leases[:2], me=ME)) == 1


@dataclass
class SimulatedFeed:
    """One feed's view, as workers/shard_keeper.py keeps it."""

    id: FeedId
    sightings: Sightings = field(default_factory=lambda: Sightings(failover=FAILOVER))
    believes: set[ShardId] = field(default_factory=set)

    def keep(self, table: dict[ShardId, ShardLease], now: timedelta) -> None:
        """Renew what is ours and take our share; of feeds that race, the first writer wins."""
        leases = list(table.values())
        self.sightings.note(leases, now)
        free = [lease for lease in leases if self.sightings.is_free(lease, now)]
        ours = [lease for lease in leases if lease.owner == self.id]
        self.believes = set()
        for lease in [*ours, *leases_to_take(leases, free, me=self.id)]:
            if table[lease.shard] == lease:
                table[lease.shard] = lease.owned_by(self.id)
                self.believes.add(lease.shard)


def shared_shards(feeds: list[SimulatedFeed]) -> set[tuple[ShardId, FeedId, FeedId]]:
    """Say which shards two feeds believe to hold, and which two."""
    return {
        (shard, one.id, other.id)
        for one in feeds
        for other in feeds
        if one.id < other.id
        for shard in one.believes & other.believes
    }


@settings(deadline=None, max_examples=150)
@given(
    shards=st.integers(0, 20),
    feeds=st.integers(1, 6),
    late=st.integers(0, 3),
    killed=st.sets(st.integers(0, 8), max_size=6),
    orders=st.randoms(use_true_random=False),
)
def test_shards_are_spread_evenly_within_bounded_rounds_and_shared_for_one_at_most(
    shards: int, feeds: int, late: int, killed: set[int], orders: object
) -> None:
    """Feeds start, others join, some are killed: M shards come to N feeds as even as can be."""
    table = {lease.shard: lease for lease in owned(*[None] * shards)}
    alive = [SimulatedFeed(FeedId(f"feed-{n}")) for n in range(feeds)]
    now = BEGIN

    def play(rounds: int) -> None:
        nonlocal now
        shared: set[tuple[ShardId, FeedId, FeedId]] = set()
        for _ in range(rounds):
            orders.shuffle(alive)  # type: ignore[attr-defined] # a random.Random
            for feed in alive:
                feed.keep(table, now)
                now += ROUND / (len(alive) + 1)
            shared_now = shared_shards(alive)
            # A feed that was robbed in this round learns of it in its next.
            assert not shared & shared_now
            shared = shared_now
            now += ROUND / (len(alive) + 1)

    def settle() -> None:
        # At most the failover time until the dead are known, then one theft a feed and round.
        play(5 + shards)
        held = Counter(lease.owner for lease in table.values())
        counts = [held.get(feed.id, 0) for feed in alive]
        assert sum(counts) == shards
        assert max(counts) - min(counts) <= 1
        for feed in alive:
            assert feed.believes == {s for s, lease in table.items() if lease.owner == feed.id}

    settle()
    alive += [SimulatedFeed(FeedId(f"late-{n}")) for n in range(late)]
    settle()
    survivors = [feed for index, feed in enumerate(alive) if index not in killed]
    alive[:] = survivors or alive[:1]
    settle()


@settings(deadline=None, max_examples=60)
@given(shards=st.integers(1, 16), feeds=st.integers(2, 5))
def test_once_even_nothing_moves_any_more(shards: int, feeds: int) -> None:
    table = {lease.shard: lease for lease in owned(*[None] * shards)}
    alive = [SimulatedFeed(FeedId(f"feed-{n}")) for n in range(feeds)]
    now = BEGIN
    owners = []

    for _ in range(shards + 10):
        for feed in alive:
            feed.keep(table, now)
        now += ROUND
        owners.append([lease.owner for lease in table.values()])

    assert owners[-1] == owners[-5]


def test_feeds_that_look_at_one_moment_begin_at_different_leases() -> None:
    leases = owned(*[None] * 64)
    firsts = {leases_to_take(leases, leases, me=FeedId(f"feed-{n}"))[0].shard for n in range(32)}

    assert len(firsts) > 8
