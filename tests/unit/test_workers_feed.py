from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import (
    ManualClock,
    MemoryChangeStream,
    MemoryJobStore,
    MemoryRejectedRecords,
    MemoryShardLeases,
    MemoryTaskQueue,
)
from adapters.memory_limits import MemoryOpenJobs
from jobs.errors import Misconfigured, RecordUnreadable, Unavailable, UnreadRecord
from jobs.feed_ports import ShardLeases
from jobs.job import JobId, JobStatus, UserId
from jobs.outcome import Cancelled
from jobs.rejected import RejectedRecord
from jobs.shard_leases import FeedId, ShardLease
from jobs.shards import Checkpoint, Position, Shard, ShardId, Start, StreamName
from jobs.task import Task
from tests.builders import (
    JOB_ID,
    NOW,
    RecordingLog,
    ShakyTaskQueue,
    a_job,
    announce_parts,
    gatherer,
    late_word,
    store_away,
)
from tests.feeds import Feeds, NamedStreams, QuietNudges, WideStream, insert
from tests.feeds import some_jobs as jobs
from workers.feed import Feed, FeedParts
from workers.shard_keeper import FAILOVER, KEEP_EVERY, ShardKeeper

MEMORY = StreamName("memory")
FIRST = ShardId("shard-0000")
SECOND = ShardId("shard-0001")
RELIST = timedelta(seconds=15)
BROKER_AWAY = Unavailable("broker", "away (test)")


def feed_parts(leases: ShardLeases | None = None, **changes: Any) -> FeedParts:  # noqa: ANN401 - FeedParts' own fields
    stream = changes.setdefault("stream", MemoryChangeStream())
    clock = changes.setdefault("clock", ManualClock())
    log = RecordingLog()
    parts = FeedParts(
        stream=stream,
        keeper=ShardKeeper(
            stream=stream,
            leases=leases or MemoryShardLeases(),
            me=FeedId("feed@test:1"),
            clock=clock,
            log=log,
        ),
        queue=MemoryTaskQueue(),
        announcing=announce_parts(),
        late_word=late_word(),
        gatherer=gatherer(),
        rejected=MemoryRejectedRecords(),
        nudges=QuietNudges(),
        clock=clock,
        log=log,
        process="feed@test:1",
        poll=1.0,
        reads_per_second=5,
    )
    return replace(parts, **changes)


def restarted(parts: FeedParts, leases: ShardLeases) -> FeedParts:
    """Give what a feed of the same name has in its hands after a restart."""
    return replace(
        parts,
        keeper=ShardKeeper(
            stream=parts.stream,
            leases=leases,
            me=FeedId("feed@test:1"),
            clock=parts.clock,
            log=parts.log,
        ),
    )


def tasked(parts: FeedParts) -> list[JobId]:
    return [task.job_id for task in cast("MemoryTaskQueue", parts.queue).tasks]


def saved(leases: ShardLeases, stream: StreamName = MEMORY) -> dict[ShardId, Checkpoint]:
    return {lease.shard: lease.checkpoint for lease in leases.load(stream)}


def log_of(parts: FeedParts) -> RecordingLog:
    return cast("RecordingLog", parts.log)


def drain(feed: Feed, *, turns: int = 50) -> None:
    """Turn until nothing comes any more, and once more to be sure."""
    quiet = 0
    for _ in range(turns):
        quiet = 0 if feed.turn() else quiet + 1
        if quiet > 2:
            return
    pytest.fail("the feed never comes to rest")


def test_a_new_row_becomes_a_task() -> None:
    store, leases = MemoryJobStore(), MemoryShardLeases()
    parts = feed_parts(leases, stream=store.stream)
    store.add(a_job())

    assert Feed(parts).turn()

    assert cast("MemoryTaskQueue", parts.queue).tasks == [
        Task.of(a_job(), now=NOW, by="feed@test:1")
    ]
    assert saved(leases) == {FIRST: Checkpoint(position=Position("1"))}


def test_a_quiet_stream_brings_nothing_and_moves_no_checkpoint() -> None:
    leases = MemoryShardLeases()
    parts = feed_parts(leases)

    assert not Feed(parts).turn()

    assert tasked(parts) == []
    assert saved(leases) == {FIRST: Checkpoint()}


def test_a_change_that_wants_no_worker_moves_the_checkpoint_without_a_task() -> None:
    stream = MemoryChangeStream()
    stream.record(a_job(status=JobStatus.RUNNING), a_job(status=JobStatus.COMPLETED))
    leases = MemoryShardLeases()
    parts = feed_parts(leases, stream=stream)

    assert Feed(parts).turn()

    assert tasked(parts) == []
    assert saved(leases) == {FIRST: Checkpoint(position=Position("1"))}


def test_each_record_is_read_once() -> None:
    stream = MemoryChangeStream()
    parts = feed_parts(stream=stream)
    feed = Feed(parts)

    first = insert(stream, jobs(3))
    drain(feed)
    second = insert(stream, jobs(2, start=3))
    drain(feed)

    assert tasked(parts) == first + second


def test_a_checkpoint_is_written_after_the_tasks_are_with_the_broker() -> None:
    order: list[str] = []

    class Queue(MemoryTaskQueue):
        def enqueue(self, tasks: Sequence[Task]) -> None:
            order.append("enqueue")
            super().enqueue(tasks)

    class Leases(MemoryShardLeases):
        def save(self, stream: StreamName, lease: ShardLease, checkpoint: Checkpoint) -> ShardLease:
            order.append("save")
            return super().save(stream, lease, checkpoint)

    stream = MemoryChangeStream()
    insert(stream, jobs(2))

    Feed(feed_parts(Leases(), stream=stream, queue=Queue())).turn()

    assert order == ["enqueue", "save"]


def test_a_checkpoint_waits_for_the_next_while_records_keep_coming() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    feed = Feed(feed_parts(leases, stream=stream))
    for number in range(3):
        insert(stream, jobs(1, start=number))
        feed.turn()

    assert saved(leases) == {FIRST: Checkpoint(position=Position("1"))}
    feed.turn()  # nothing comes
    assert saved(leases) == {FIRST: Checkpoint(position=Position("3"))}


def test_a_checkpoint_that_waits_is_written_at_the_end() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    feed = Feed(feed_parts(leases, stream=stream))
    for number in range(2):
        insert(stream, jobs(1, start=number))
        feed.turn()

    feed.stop()
    feed.run()

    assert saved(leases) == {FIRST: Checkpoint(position=Position("2"))}


def test_a_broker_that_is_away_leaves_the_checkpoint_where_it_was() -> None:
    stream = MemoryChangeStream()
    leases = MemoryShardLeases()
    parts = feed_parts(leases, stream=stream, queue=ShakyTaskQueue())
    feed = Feed(parts)
    first = insert(stream, jobs(2))
    drain(feed)
    before = saved(leases)

    cast("ShakyTaskQueue", parts.queue).failures.append(BROKER_AWAY)
    second = insert(stream, jobs(2, start=2))
    with pytest.raises(Unavailable):
        feed.turn()

    assert saved(leases) == before
    assert tasked(parts) == first
    drain(feed)
    assert tasked(parts) == first + second


@settings(deadline=None)
@given(failures=st.lists(st.booleans(), max_size=12), sizes=st.lists(st.integers(0, 4), max_size=6))
def test_a_shaky_broker_loses_nothing(failures: list[bool], sizes: list[int]) -> None:
    stream = MemoryChangeStream()
    parts = feed_parts(stream=stream, queue=ShakyTaskQueue())
    queue = cast("ShakyTaskQueue", parts.queue)
    feed = Feed(parts)
    expected: list[JobId] = []

    for size in sizes:
        expected += insert(stream, jobs(size, start=len(expected)))
        stream.split()
        if failures and failures.pop():
            queue.failures.append(BROKER_AWAY)
        try:
            feed.turn()
        except Unavailable:
            assert tasked(parts) == expected[: len(tasked(parts))]
    queue.failures.clear()
    drain(feed)

    assert tasked(parts) == expected


def test_checkpoints_that_cannot_be_written_repeat_tasks_and_lose_none() -> None:
    class ShakyLeases(MemoryShardLeases):
        failures = 1

        def save(self, stream: StreamName, lease: ShardLease, checkpoint: Checkpoint) -> ShardLease:
            if self.failures:
                self.failures -= 1
                raise Unavailable("store", "away (test)")
            return super().save(stream, lease, checkpoint)

    stream, leases = MemoryChangeStream(), ShakyLeases()
    parts = feed_parts(leases, stream=stream)
    expected = insert(stream, jobs(2))
    stream.split()
    expected += insert(stream, jobs(2, start=2))
    feed = Feed(parts)

    with pytest.raises(Unavailable):
        feed.turn()
    drain(feed)

    assert set(tasked(parts)) == set(expected)
    assert saved(leases)[FIRST].ended
    assert saved(leases)[SECOND] == Checkpoint(position=Position("2"))


def test_a_record_that_nobody_can_read_is_set_aside_and_does_not_stop_the_others() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    parts = feed_parts(leases, stream=stream)
    one = insert(stream, jobs(1))
    stream.spoil(RecordUnreadable("record 2: KeyError('JobStatus')"))
    other = insert(stream, jobs(1, start=1))

    drain(Feed(parts))

    assert tasked(parts) == one + other
    [rejected] = parts.rejected.find(limit=10)
    assert (rejected.stream, rejected.shard) == (MEMORY, FIRST)
    assert rejected.reason == "record 2: KeyError('JobStatus')"
    assert log_of(parts).count("record_rejected") == 1
    assert saved(leases) == {FIRST: Checkpoint(position=Position("3"))}


def test_a_record_that_nobody_can_read_alone_moves_the_checkpoint_too() -> None:
    stream = MemoryChangeStream()
    stream.spoil(RecordUnreadable("record 1"))
    leases = MemoryShardLeases()
    parts = feed_parts(leases, stream=stream)

    drain(Feed(parts))

    assert len(parts.rejected.find(limit=10)) == 1
    assert saved(leases) == {FIRST: Checkpoint(position=Position("1"))}


def test_a_feed_that_died_before_its_checkpoint_sets_a_record_aside_once() -> None:
    stream = MemoryChangeStream()
    stream.spoil(RecordUnreadable("record 1"))
    parts = feed_parts(stream=stream)
    drain(Feed(parts))
    before = parts.rejected.find(limit=10)
    parts.clock.sleep(timedelta(minutes=5))

    drain(Feed(restarted(parts, MemoryShardLeases())))

    assert parts.rejected.find(limit=10) == before
    assert len(before) == 1


class ShakyRejected(MemoryRejectedRecords):
    """A MemoryRejectedRecords that first raises what it is given, one a put."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)

    def put(self, record: RejectedRecord) -> None:
        if self.failures:
            raise self.failures.pop(0)
        super().put(record)


def test_a_record_is_set_aside_before_the_checkpoint_passes_it() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    rejected = ShakyRejected(*[store_away()] * 3)
    parts = feed_parts(leases, stream=stream, rejected=rejected)
    feed = Feed(parts)
    good = insert(stream, jobs(2))
    stream.spoil(RecordUnreadable("record 3"))

    for _ in range(3):
        assert not feed.turn()
        assert saved(leases) == {FIRST: Checkpoint()}
    feed.turn()

    assert saved(leases) == {FIRST: Checkpoint(position=Position("3"))}
    assert len(rejected.find(limit=10)) == 1
    assert tasked(parts) == good  # at once, and once
    assert log_of(parts).count("rejection_waits") == 3


def test_a_store_that_is_away_is_waited_for_however_long_it_takes() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    stream.spoil(RecordUnreadable("record 1"))
    parts = feed_parts(leases, stream=stream, rejected=ShakyRejected(*[store_away()] * 100))
    feed = Feed(parts)

    for _ in range(100):
        feed.turn()
        parts.clock.sleep(timedelta(seconds=5))

    assert saved(leases) == {FIRST: Checkpoint()}
    feed.turn()
    assert len(parts.rejected.find(limit=10)) == 1


@pytest.mark.parametrize("refusal", [Misconfigured("store: too large"), KeyError("unforeseen")])
def test_a_record_that_cannot_even_be_set_aside_blocks_its_shard_for_a_minute_only(
    refusal: Exception,
) -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    record = UnreadRecord(sequence_number="4711", event_id="an-event", job_id=JobId("job_1"))
    stream.spoil(RecordUnreadable("record 4711: KeyError('Model')", record=record))
    parts = feed_parts(leases, stream=stream, rejected=ShakyRejected(*[refusal] * 100))
    feed = Feed(parts)

    for _ in range(60):
        assert not feed.turn()
        parts.clock.sleep(timedelta(seconds=1))
    assert saved(leases) == {FIRST: Checkpoint()}
    feed.turn()

    assert saved(leases) == {FIRST: Checkpoint(position=Position("1"))}
    [line] = [line for line in log_of(parts).lines if line.event == "record_passed_over"]
    told = {"sequence_number": "4711", "event_id": "an-event", "job_id": "job_1", "shard": FIRST}
    assert told.items() <= line.keys.items()


def test_a_record_that_waits_to_be_set_aside_holds_up_its_own_shard_only() -> None:
    stream = WideStream(2)
    one, other = stream.parts.values()
    feeds = Feeds("a", stream=stream)
    feeds.rejected.put = ShakyRejected(*[store_away()] * 9).put  # type: ignore[method-assign] # away
    one.spoil(RecordUnreadable("record 1"))
    expected = insert(other, jobs(2))

    feeds.turn()

    assert feeds.tasked == expected


def test_shards_that_split_are_read_in_order() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    parts = feed_parts(leases, stream=stream)
    expected: list[JobId] = []
    for _ in range(4):
        expected += insert(stream, jobs(2, start=len(expected)))
        stream.split()

    drain(Feed(parts))

    assert tasked(parts) == expected
    assert [checkpoint.ended for checkpoint in saved(leases).values()] == [True] * 4 + [False]
    assert log_of(parts).count("shard_ended") == 4


def test_a_child_is_read_in_the_turn_after_its_parents_end() -> None:
    stream = MemoryChangeStream()
    parts = feed_parts(stream=stream)
    feed = Feed(parts)
    feed.turn()
    parent = insert(stream, jobs(1))
    stream.split()
    child = insert(stream, jobs(1, start=1))

    feed.turn()
    assert tasked(parts) == parent
    feed.turn()

    assert tasked(parts) == parent + child


def test_a_shard_that_ends_empty_makes_way_for_its_children() -> None:
    stream = MemoryChangeStream()
    stream.split()
    expected = insert(stream, jobs(1))
    leases = MemoryShardLeases()
    parts = feed_parts(leases, stream=stream)

    drain(Feed(parts))

    assert tasked(parts) == expected
    assert saved(leases)[FIRST] == Checkpoint(position=None, ended=True)


def test_a_shard_that_appears_beside_others_is_found_within_fifteen_seconds() -> None:
    class TwoRoots(MemoryChangeStream):
        hidden = True

        def shards(self, stream: StreamName) -> list[Shard]:
            found = [replace(shard, parent=None) for shard in super().shards(stream)]
            return found[:1] if self.hidden else found

    stream = TwoRoots()
    parts = feed_parts(stream=stream)
    feed = Feed(parts)
    feed.turn()
    stream.split()
    feed.turn()
    expected = insert(stream, jobs(1))
    stream.hidden = False

    parts.clock.sleep(RELIST)
    feed.turn()

    assert tasked(parts) == expected


def test_shards_are_not_listed_at_every_turn() -> None:
    class CountingStream(MemoryChangeStream):
        listed = 0

        def shards(self, stream: StreamName) -> list[Shard]:
            self.listed += 1
            return super().shards(stream)

    stream = CountingStream()
    parts = feed_parts(stream=stream)
    feed = Feed(parts)

    for _ in range(10):
        feed.turn()
    assert stream.listed == 1
    parts.clock.sleep(RELIST)
    feed.turn()

    assert stream.listed == 2


def test_a_restarted_feed_goes_on_from_its_checkpoint() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    parts = feed_parts(leases, stream=stream)
    first = insert(stream, jobs(2))
    drain(Feed(parts))
    second = insert(stream, jobs(2, start=2))

    drain(Feed(restarted(parts, leases)))

    assert tasked(parts) == first + second


def test_a_feed_that_died_before_its_checkpoint_tells_its_tasks_twice() -> None:
    stream = MemoryChangeStream()
    told = insert(stream, jobs(2))
    parts = feed_parts(stream=stream)
    drain(Feed(parts))

    drain(Feed(restarted(parts, MemoryShardLeases())))

    assert tasked(parts) == told + told


def test_a_position_that_is_lost_starts_its_shard_over() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    expected = insert(stream, jobs(3))
    leases.add(MEMORY, FIRST, Checkpoint())
    leases.save(MEMORY, leases.load(MEMORY)[0], Checkpoint(position=Position("trimmed")))
    parts = feed_parts(leases, stream=stream)

    drain(Feed(parts))

    assert tasked(parts) == expected
    assert log_of(parts).count("feed_started_over") == 1
    assert saved(leases) == {FIRST: Checkpoint(position=Position("3"))}


def test_a_new_stream_is_read_from_its_beginning() -> None:
    old, new = MemoryChangeStream(), MemoryChangeStream()
    streams, leases = NamedStreams(old=old, new=new), MemoryShardLeases()
    parts = feed_parts(leases, stream=streams)
    feed = Feed(parts)
    first = insert(old, jobs(3))
    drain(feed)

    second = insert(new, jobs(2, start=3))
    streams.current = "new"
    parts.clock.sleep(RELIST)
    drain(feed)

    assert tasked(parts) == first + second
    assert saved(leases, StreamName("old")) == {FIRST: Checkpoint(position=Position("3"))}
    assert saved(leases, StreamName("new")) == {FIRST: Checkpoint(position=Position("2"))}


def test_the_feed_runs_until_it_is_stopped() -> None:
    stream = MemoryChangeStream()
    expected = insert(stream, jobs(1))
    feeds: list[Feed] = []

    class StoppingNudges(QuietNudges):
        def wait(self, seconds: float) -> bool:
            if len(self.waits) == 2:
                feeds[0].stop()
            return super().wait(seconds)

    nudges = StoppingNudges()
    parts = feed_parts(stream=stream, nudges=nudges)
    feeds.append(Feed(parts))

    feeds[0].run()

    assert tasked(parts) == expected
    assert nudges.waits == [1.0, 1.0, 1.0]  # it reads on at once while something comes


def test_a_nudge_makes_the_feed_look_often_for_a_second() -> None:
    clock = ManualClock()
    feeds: list[Feed] = []
    turns: list[datetime] = []

    class OneNudge(QuietNudges):
        def wait(self, seconds: float) -> bool:
            super().wait(seconds)
            if len(self.waits) == 3:
                feeds[0].stop()
            return len(self.waits) == 1

    class CountingFeed(Feed):
        def turn(self) -> bool:
            turns.append(clock.now())
            return super().turn()

    feeds.append(CountingFeed(feed_parts(nudges=OneNudge(), clock=clock)))

    feeds[0].run()

    gaps = [(later - sooner).total_seconds() for sooner, later in pairwise(turns)]
    # Before the nudge once; after it for a second at the pace that AWS allows, then at ease.
    assert gaps == [0.2] * len(gaps)
    assert len(turns) == 7


def test_nudges_do_not_make_the_feed_read_more_often_than_aws_allows() -> None:
    clock = ManualClock()
    feeds: list[Feed] = []

    class ManyNudges(QuietNudges):
        def wait(self, seconds: float) -> bool:
            super().wait(seconds)
            if len(self.waits) == 20:
                feeds[0].stop()
            return True

    nudges = ManyNudges()
    begun = clock.now()
    feeds.append(Feed(feed_parts(nudges=nudges, clock=clock)))

    feeds[0].run()

    assert clock.now() - begun >= timedelta(seconds=0.2 * 20)


def test_the_feed_outlives_a_broker_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.feed._PAUSE_SECONDS", 0.0)
    stream = MemoryChangeStream()
    expected = insert(stream, jobs(2))
    feeds: list[Feed] = []

    class StoppingNudges(QuietNudges):
        def wait(self, seconds: float) -> bool:
            feeds[0].stop()
            return super().wait(seconds)

    parts = feed_parts(
        stream=stream, nudges=StoppingNudges(), queue=ShakyTaskQueue(*[BROKER_AWAY] * 3)
    )
    feeds.append(Feed(parts))

    feeds[0].run()

    assert tasked(parts) == expected
    assert log_of(parts).count("feed_waits") == 3


def test_the_feed_outlives_what_nobody_foresaw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.feed._PAUSE_SECONDS", 0.0)
    stream = MemoryChangeStream()
    expected = insert(stream, jobs(2))
    feeds: list[Feed] = []

    class StoppingNudges(QuietNudges):
        def wait(self, seconds: float) -> bool:
            feeds[0].stop()
            return super().wait(seconds)

    queue = ShakyTaskQueue(RuntimeError("unforeseen"), KeyError("unforeseen, too"))
    parts = feed_parts(stream=stream, nudges=StoppingNudges(), queue=queue)
    feeds.append(Feed(parts))

    feeds[0].run()

    assert tasked(parts) == expected
    assert log_of(parts).count("feed_broke") == 2


def test_a_table_without_a_stream_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator can switch it on while the feed runs."""
    monkeypatch.setattr("workers.feed._PAUSE_SECONDS", 0.0)
    feeds: list[Feed] = []

    class LateStream(MemoryChangeStream):
        missing = 2

        def name(self) -> StreamName:
            if self.missing:
                self.missing -= 1
                raise Misconfigured("table LLM_Jobs has no stream")
            return super().name()

    class StoppingNudges(QuietNudges):
        def wait(self, seconds: float) -> bool:
            feeds[0].stop()
            return super().wait(seconds)

    stream = LateStream()
    expected = insert(stream, jobs(1))
    parts = feed_parts(stream=stream, nudges=StoppingNudges())
    feeds.append(Feed(parts))

    feeds[0].run()

    assert tasked(parts) == expected
    assert log_of(parts).count("feed_waits") == 2


def test_a_feed_that_is_stopped_gives_its_shards_up() -> None:
    leases = MemoryShardLeases()
    feeds: list[Feed] = []

    class StoppingNudges(QuietNudges):
        def wait(self, seconds: float) -> bool:
            feeds[0].stop()
            return super().wait(seconds)

    feeds.append(Feed(feed_parts(leases, nudges=StoppingNudges())))

    feeds[0].run()

    assert [lease.owner for lease in leases.load(MEMORY)] == [None]


def test_a_shard_that_another_took_is_dropped_at_its_checkpoint() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    parts = feed_parts(leases, stream=stream)
    feed = Feed(parts)
    first = insert(stream, jobs(1))
    feed.turn()
    leases.hold(MEMORY, leases.load(MEMORY)[0], FeedId("thief"))
    second = insert(stream, jobs(1, start=1))

    cast("ManualClock", parts.clock).advance(timedelta(seconds=1))
    feed.turn()
    insert(stream, jobs(1, start=2))
    feed.turn()

    assert tasked(parts) == first + second  # what it had read is with the broker, and no more
    assert log_of(parts).count("shard_taken_by_another") == 1
    assert saved(leases) == {FIRST: Checkpoint(position=Position("1"))}


def test_a_shard_that_comes_back_is_read_from_where_the_other_left_it() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    parts = feed_parts(leases, stream=stream)
    feed = Feed(parts)
    feed.turn()
    thief = leases.hold(MEMORY, leases.load(MEMORY)[0], FeedId("thief"))
    insert(stream, jobs(2))
    parts.clock.sleep(KEEP_EVERY)
    feed.turn()
    thief = leases.save(MEMORY, thief, Checkpoint(position=Position("2")))
    leases.hold(MEMORY, thief, None)
    expected = insert(stream, jobs(1, start=2))

    parts.clock.sleep(KEEP_EVERY)
    feed.turn()

    assert tasked(parts) == expected


def test_several_feeds_turn_every_record_into_one_task() -> None:
    stream = WideStream(16)
    feeds = Feeds("a", "b", "c", "d", stream=stream)
    feeds.turn(20)
    expected: list[JobId] = []
    for part in stream.parts.values():
        expected += insert(part, jobs(3, start=len(expected)))

    feeds.turn(3)

    assert feeds.counts == [4, 4, 4, 4]
    assert sorted(feeds.tasked) == sorted(expected)


def test_several_feeds_survive_two_kills_and_lose_nothing() -> None:
    stream = WideStream(16)
    feeds = Feeds("a", "b", "c", "d", stream=stream)
    expected: list[JobId] = []

    def write_some() -> None:
        for part in stream.parts.values():
            expected.extend(insert(part, jobs(1, start=len(expected))))

    feeds.turn(20)
    write_some()
    for name in ("a", "b"):
        feeds.kill(name)
        write_some()
        feeds.turn(FAILOVER // KEEP_EVERY)
        write_some()
        feeds.turn(20)

    assert feeds.counts == [8, 8]
    assert sorted(feeds.tasked) == sorted(expected)


def test_several_feeds_read_children_after_their_parents() -> None:
    stream = MemoryChangeStream()
    feeds = Feeds("a", "b", "c", stream=stream)
    expected: list[JobId] = []

    for _ in range(5):
        expected += insert(stream, jobs(2, start=len(expected)))
        feeds.turn(1)
        expected += insert(stream, jobs(2, start=len(expected)))
        stream.split()
    feeds.turn(40)

    assert list(dict.fromkeys(feeds.tasked)) == expected


@settings(deadline=None, max_examples=40)
@given(
    story=st.lists(
        st.sampled_from(["write", "split", "turn", "wait", "start", "kill", "switch"]),
        max_size=40,
    )
)
def test_whatever_feeds_do_no_record_is_lost(story: list[str]) -> None:
    streams = NamedStreams(first=MemoryChangeStream())
    feeds = Feeds("feed-0", stream=streams)
    expected: list[JobId] = []

    for number, word in enumerate(story):
        stream = streams.streams[streams.current]
        match word:
            case "write":
                expected += insert(stream, jobs(2, start=len(expected)))
            case "split":
                stream.split()
            case "turn":
                feeds.turn()
            case "wait":
                feeds.clock.advance(FAILOVER)
            case "start":
                feeds.start(f"feed-{number + 1}")
            case "kill" if len(feeds.feeds) > 1:
                feeds.kill(next(iter(feeds.feeds)))
            case "switch":
                feeds.turn(30)  # what stands in a stream that is switched off is the sweep's
                streams.streams[f"stream-{number}"] = MemoryChangeStream()
                streams.current = f"stream-{number}"
    feeds.turn(60)

    assert set(feeds.tasked) == set(expected)


def test_a_feed_that_begins_at_the_end_leaves_what_was_written_before_to_the_sweep() -> None:
    stream = MemoryChangeStream()
    insert(stream, jobs(2))
    feeds = Feeds("a", stream=stream, start=Start.LATEST)
    feeds.turn()
    expected = insert(stream, jobs(2, start=2))
    stream.split()
    expected += insert(stream, jobs(2, start=4))

    feeds.turn(3)

    assert feeds.tasked == expected


def test_what_was_read_from_the_end_is_not_skipped_when_the_broker_is_away() -> None:
    stream = MemoryChangeStream()
    feeds = Feeds("a", stream=stream, start=Start.LATEST)
    feeds.queue = ShakyTaskQueue(BROKER_AWAY)
    feeds.start("b")
    feeds.kill("a")
    feeds.turn()
    expected = insert(stream, jobs(2))

    with pytest.raises(Unavailable):
        feeds.turn()
    feeds.turn()

    assert feeds.tasked == expected


def test_a_position_that_is_lost_starts_over_at_the_oldest_record_wherever_it_began() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    expected = insert(stream, jobs(3))
    leases.add(MEMORY, FIRST, Checkpoint(position=Position("trimmed")))
    feeds = Feeds("a", stream=stream, leases=leases, start=Start.LATEST)

    feeds.turn(3)

    assert feeds.tasked == expected


def test_work_that_is_too_old_is_left_to_the_sweep_and_counted() -> None:
    stream, leases = MemoryChangeStream(), MemoryShardLeases()
    clock = ManualClock(NOW + timedelta(seconds=61))
    insert(stream, jobs(2))
    young = a_job(id=JobId("job_young"), created_at=clock.now(), updated_at=clock.now())
    expected = insert(stream, [young])
    parts = feed_parts(
        leases,
        stream=stream,
        clock=clock,
        max_record_age=timedelta(seconds=60),
        queue=ShakyTaskQueue(BROKER_AWAY),
    )
    feed = Feed(parts)

    with pytest.raises(Unavailable):
        feed.turn()
    feed.turn()

    assert tasked(parts) == expected
    assert feed.left_to_sweep == 2
    assert log_of(parts).count("records_too_old") == 1
    assert saved(leases) == {FIRST: Checkpoint(position=Position("3"))}


@pytest.mark.parametrize("is_away", [False, True])
def test_an_end_makes_room_for_another_job_and_holds_up_nothing(*, is_away: bool) -> None:
    class OpenJobs(MemoryOpenJobs):
        def remove(self, jobs: Iterable[tuple[UserId, JobId]]) -> None:
            if is_away:
                raise Unavailable("events", "away (test)")
            super().remove(jobs)

    open_jobs, leases = OpenJobs(ManualClock()), MemoryShardLeases()
    store = MemoryJobStore()
    store.add(a_job())
    open_jobs.add(a_job().user, JOB_ID, most=1)
    parts = feed_parts(leases, stream=store.stream, open_jobs=open_jobs)
    store.change(a_job(), Cancelled(at=NOW, seq=2, steps=()))

    drain(Feed(parts))

    assert open_jobs.add(a_job().user, JobId("job_2"), most=1) is not is_away
    assert saved(leases)
