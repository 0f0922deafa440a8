from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.memory import MemoryChangeStream, MemoryShardLeases
from jobs.errors import LeaseLost, Misconfigured, Unavailable
from jobs.shard_leases import FeedId
from jobs.shards import LATEST, Checkpoint, Position, ShardId, Start, StreamName
from tests.builders import store_away
from tests.feeds import Feeds, NamedStreams, WideStream
from workers.shard_keeper import FAILOVER, KEEP_EVERY, LIST_SHARDS_EVERY

if TYPE_CHECKING:
    from jobs.shard_leases import ShardLease
    from jobs.shards import Shard

MEMORY = StreamName("memory")
WIDE = StreamName("wide")
FIRST = ShardId("shard-0000")
SECOND = ShardId("shard-0001")
ENDED = Checkpoint(position=Position("7"), ended=True)
FAILOVER_ROUNDS = FAILOVER // KEEP_EVERY + 2


class ShakyLeases(MemoryShardLeases):
    """MemoryShardLeases whose methods first raise what `failures` holds for them, one a call."""

    def __init__(self, **failures: list[Exception]) -> None:
        super().__init__()
        self.failures = failures
        self.loads = 0

    def load(self, stream: StreamName) -> list[ShardLease]:
        self.loads += 1
        self._fail("load")
        return super().load(stream)

    def hold(self, stream: StreamName, lease: ShardLease, owner: FeedId | None) -> ShardLease:
        self._fail("hold")
        return super().hold(stream, lease, owner)

    def _fail(self, method: str) -> None:
        if errors := self.failures.get(method):
            raise errors.pop(0)


def lease_of(feeds: Feeds, shard: ShardId = FIRST, stream: StreamName = MEMORY) -> ShardLease:
    (lease,) = [lease for lease in feeds.leases.load(stream) if lease.shard == shard]
    return lease


def test_a_feed_alone_holds_every_shard_from_its_beginning() -> None:
    feeds = Feeds("a", stream=WideStream(5))

    feeds.keep()

    assert len(feeds.held("a")) == 5
    assert all(checkpoint == Checkpoint() for _, checkpoint in feeds.keepers["a"].held())
    assert {lease.owner for lease in feeds.leases.load(WIDE)} == {"a"}


def test_a_keeper_looks_no_more_often_than_it_must() -> None:
    leases = ShakyLeases()
    feeds = Feeds("a", leases=leases)
    keeper = feeds.keepers["a"]
    keeper.keep()
    loads = leases.loads

    feeds.clock.advance(KEEP_EVERY - timedelta(milliseconds=1))
    keeper.keep()
    assert leases.loads == loads
    feeds.clock.advance(timedelta(milliseconds=1))
    keeper.keep()

    assert leases.loads > loads


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_is_set_holds_up_no_keeping_and_takes_no_shard(step: timedelta) -> None:
    feeds = Feeds("a", "b")
    feeds.keep(FAILOVER_ROUNDS)
    before = lease_of(feeds)

    feeds.clock.step(step)
    feeds.keep()

    after = lease_of(feeds)
    assert (after.owner, after.counter) == (before.owner, before.counter + 1)


def test_each_keeping_raises_the_counter_so_that_others_see_it_is_alive() -> None:
    feeds = Feeds("a")
    feeds.keep()
    before = lease_of(feeds).counter

    feeds.keep(3)

    assert lease_of(feeds).counter == before + 3


def test_four_feeds_share_sixteen_shards_evenly() -> None:
    feeds = Feeds("a", "b", "c", "d", stream=WideStream(16))

    feeds.keep(20)

    assert feeds.counts == [4, 4, 4, 4]


def test_a_feed_that_comes_later_steals_its_share_one_by_one() -> None:
    feeds = Feeds("a", stream=WideStream(6))
    feeds.keep()
    feeds.start("b")

    seen = []
    for _ in range(5):
        feeds.keep()
        seen.append(len(feeds.held("b")))

    assert seen == [1, 2, 3, 3, 3]
    assert feeds.counts == [3, 3]


def test_a_feed_that_was_robbed_learns_of_it_within_one_keeping() -> None:
    feeds = Feeds("a", stream=WideStream(2))
    feeds.keep()
    feeds.start("b")
    feeds.keepers["b"].keep()
    (stolen,) = feeds.held("b")
    assert stolen in feeds.held("a")

    feeds.clock.advance(KEEP_EVERY)
    feeds.keepers["a"].keep()

    assert stolen not in feeds.held("a")


def test_the_shards_of_a_feed_that_died_are_taken_over_where_it_stood() -> None:
    feeds = Feeds("a", "b", stream=WideStream(4))
    feeds.keep(5)
    (shard, *_) = feeds.held("a")
    feeds.keepers["a"].save(shard, Checkpoint(position=Position("7")))
    feeds.kill("a")

    feeds.keep(FAILOVER_ROUNDS)

    assert len(feeds.held("b")) == 4
    assert dict(feeds.keepers["b"].held())[shard] == Checkpoint(position=Position("7"))


def test_a_feed_that_is_alive_is_never_taken_for_dead() -> None:
    feeds = Feeds("a", "b", stream=WideStream(4))
    feeds.keep(5)
    before = {lease.shard: lease.owner for lease in feeds.leases.load(WIDE)}

    feeds.keep(20)

    assert {lease.shard: lease.owner for lease in feeds.leases.load(WIDE)} == before


def test_a_feed_that_ends_gives_its_shards_up_at_once() -> None:
    feeds = Feeds("a", "b", stream=WideStream(4))
    feeds.keep(5)

    feeds.keepers["a"].release_all()
    assert feeds.held("a") == []
    feeds.kill("a")
    feeds.keep()

    assert len(feeds.held("b")) == 4


@pytest.mark.parametrize("error", [store_away(), Misconfigured("the rights were taken away")])
def test_a_feed_that_cannot_release_ends_all_the_same(error: Exception) -> None:
    feeds = Feeds("a", leases=ShakyLeases())
    feeds.keep()
    feeds.leases.failures["hold"] = [error]  # type: ignore[attr-defined] # ShakyLeases

    feeds.keepers["a"].release_all()

    assert feeds.logs["a"].count("shard_not_released") == 1
    assert feeds.held("a") == []


def test_a_checkpoint_is_written_and_goes_on_from_there() -> None:
    feeds = Feeds("a")
    feeds.keep()

    feeds.keepers["a"].save(FIRST, Checkpoint(position=Position("7")))

    assert lease_of(feeds).checkpoint == Checkpoint(position=Position("7"))
    assert feeds.keepers["a"].held() == [(FIRST, Checkpoint(position=Position("7")))]
    feeds.keep()
    assert feeds.keepers["a"].held() == [(FIRST, Checkpoint(position=Position("7")))]


def test_a_checkpoint_of_a_shard_that_another_took_is_refused() -> None:
    feeds = Feeds("a")
    feeds.keep()
    feeds.leases.hold(MEMORY, lease_of(feeds), FeedId("thief"))

    with pytest.raises(LeaseLost):
        feeds.keepers["a"].save(FIRST, Checkpoint(position=Position("7")))

    assert feeds.held("a") == []
    assert lease_of(feeds).checkpoint == Checkpoint()


def test_children_are_held_only_after_their_parents_have_ended() -> None:
    stream = MemoryChangeStream()
    feeds = Feeds("a", stream=stream)
    stream.split()
    feeds.keep()
    assert feeds.held("a") == [FIRST]

    feeds.keepers["a"].save(FIRST, ENDED)
    assert feeds.held("a") == []
    feeds.keep()

    assert feeds.held("a") == [SECOND]


def test_a_shard_that_split_after_the_listing_leaves_no_gap_at_its_end() -> None:
    """The end of a parent is when its children are looked for, not at the next listing."""
    stream = MemoryChangeStream()
    feeds = Feeds("a", stream=stream)
    feeds.keepers["a"].keep()
    stream.split()

    feeds.keepers["a"].save(FIRST, ENDED)
    feeds.keepers["a"].keep()

    assert feeds.held("a") == [SECOND]


def test_the_end_of_a_shard_that_another_read_is_seen() -> None:
    stream = MemoryChangeStream()
    stream.split()
    feeds = Feeds("a", "b", stream=stream)
    feeds.keep()
    (holder,) = [name for name in ("a", "b") if feeds.held(name)]
    (other,) = {"a", "b"} - {holder}

    feeds.keepers[holder].save(FIRST, ENDED)
    feeds.keepers[other].keep()
    feeds.clock.advance(KEEP_EVERY)
    feeds.keepers[other].keep()

    assert feeds.held(other) == [SECOND]


def test_a_shard_that_the_stream_no_longer_has_is_forgotten() -> None:
    stream = WideStream(3)
    feeds = Feeds("a", stream=stream)
    feeds.keep()
    gone = ShardId("wide-0001")
    del stream.parts[gone]

    feeds.clock.advance(LIST_SHARDS_EVERY)
    feeds.keep()

    assert gone not in feeds.held("a")
    assert gone not in {lease.shard for lease in feeds.leases.load(WIDE)}


def test_a_feed_that_has_not_heard_of_a_shard_yet_does_not_forget_it_for_the_others() -> None:
    """A lease that is dropped takes its checkpoint with it: the whole shard is read again."""
    stream = WideStream(2)
    feeds = Feeds("a", stream=stream)
    feeds.keep()
    stream.parts["wide-0002"] = MemoryChangeStream()
    feeds.start("b")
    feeds.keepers["b"].keep()
    feeds.keepers["b"].save(ShardId("wide-0002"), Checkpoint(position=Position("7")))

    for _ in range(3):
        feeds.clock.advance(KEEP_EVERY)
        feeds.keepers["a"].keep()

    new = lease_of(feeds, ShardId("wide-0002"), WIDE)
    assert new.checkpoint == Checkpoint(position=Position("7"))


def test_a_stream_with_a_new_name_is_another_stream() -> None:
    streams = NamedStreams(old=MemoryChangeStream(), new=MemoryChangeStream())
    feeds = Feeds("a", stream=streams)
    feeds.keep()
    feeds.keepers["a"].save(FIRST, Checkpoint(position=Position("7")))

    streams.current = "new"
    feeds.clock.advance(LIST_SHARDS_EVERY)
    feeds.keep()

    assert feeds.keepers["a"].stream == "new"
    assert feeds.keepers["a"].held() == [(FIRST, Checkpoint())]
    assert lease_of(feeds, stream=StreamName("old")).checkpoint.position == "7"


def test_shards_are_listed_now_and_then() -> None:
    class CountingStream(MemoryChangeStream):
        listed = 0

        def shards(self, stream: StreamName) -> list[Shard]:
            self.listed += 1
            return super().shards(stream)

    stream = CountingStream()
    feeds = Feeds("a", stream=stream)

    feeds.keep(LIST_SHARDS_EVERY // KEEP_EVERY)
    assert stream.listed == 1
    feeds.keep()

    assert stream.listed == 2


@pytest.mark.parametrize("method", ["load", "hold"])
def test_a_store_that_is_away_is_asked_again_at_once_when_it_is_back(method: str) -> None:
    away: list[Exception] = [store_away()]
    feeds = Feeds("a", leases=ShakyLeases(**{method: away}))
    keeper = feeds.keepers["a"]

    with pytest.raises(Unavailable):
        keeper.keep()
    keeper.keep()

    assert feeds.held("a") == [FIRST]


def test_a_store_that_is_away_takes_no_shard_from_its_holder() -> None:
    leases = ShakyLeases()
    feeds = Feeds("a", leases=leases)
    feeds.keep()
    leases.failures["hold"] = [store_away()]

    with pytest.raises(Unavailable):
        feeds.keepers["a"].keep()

    assert feeds.held("a") == [FIRST]


def test_a_feed_that_was_paused_finds_itself_robbed_before_it_reads() -> None:
    feeds = Feeds("a", "b", stream=WideStream(2))
    feeds.keep(3)
    paused = feeds.keepers.pop("a")

    feeds.keep(FAILOVER_ROUNDS)
    assert len(feeds.held("b")) == 2
    paused.keep()

    assert len(paused.held()) <= 1  # what it has stolen back, by the rules


def test_a_stream_that_nobody_has_read_can_be_begun_at_its_end() -> None:
    stream = MemoryChangeStream()
    stream.split()
    feeds = Feeds("a", stream=stream, start=Start.LATEST)

    feeds.keep()

    assert feeds.keepers["a"].held() == [(SECOND, Checkpoint(position=LATEST))]


def test_a_child_is_read_from_its_beginning_wherever_its_parent_was_begun() -> None:
    stream = MemoryChangeStream()
    feeds = Feeds("a", stream=stream, start=Start.LATEST)
    feeds.keep()
    stream.split()

    feeds.keepers["a"].save(FIRST, ENDED)
    feeds.keep()

    assert feeds.keepers["a"].held() == [(SECOND, Checkpoint())]


def test_a_stream_that_somebody_has_read_goes_on_from_its_checkpoints() -> None:
    stream = MemoryChangeStream()
    feeds = Feeds("a", stream=stream)
    feeds.keep()
    feeds.keepers["a"].release_all()
    later = Feeds("b", stream=stream, leases=feeds.leases, start=Start.LATEST)

    later.keep()

    assert later.keepers["b"].held() == [(FIRST, Checkpoint())]


def test_feeds_that_begin_at_the_end_at_once_agree() -> None:
    feeds = Feeds("a", "b", stream=WideStream(4), start=Start.LATEST)

    feeds.keep(3)

    assert feeds.counts == [2, 2]
    assert {lease.checkpoint.position for lease in feeds.leases.load(WIDE)} == {LATEST}


def test_taking_and_ending_are_told_in_the_log() -> None:
    feeds = Feeds("a")
    feeds.keep()
    feeds.keepers["a"].save(FIRST, ENDED)

    assert [line.event for line in feeds.logs["a"].lines] == [
        "feed_started",
        "shard_taken",
        "shard_ended",
    ]
