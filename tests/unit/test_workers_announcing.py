"""The feed announces ends before its checkpoint and tells watchers late; who delivers them."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.memory import (
    ManualClock,
    MemoryChangeStream,
    MemoryEvents,
    MemoryRejectedRecords,
    MemoryShardLeases,
    MemoryTaskQueue,
)
from adapters.memory_deliveries import MemoryDeliveries, MemoryDeliveryQueue
from jobs.announce import announcement_of
from jobs.delivery import Answered, Delivery, DeliveryState
from jobs.errors import InvalidRequest, Unavailable
from jobs.events import EventType
from jobs.job import JobId, JobStatus
from jobs.receiver import DeliveryKind
from jobs.shard_leases import FeedId
from jobs.shards import Checkpoint, Position, StreamName
from tests.builders import (
    NOW,
    HeldTimers,
    RecordingLog,
    a_job,
    announce_parts,
    deliver_parts,
    gatherer,
)
from tests.feeds import QuietNudges
from workers.feed import Feed, FeedParts
from workers.late_word import GRACE, LateWord
from workers.messages import read_delivery_key
from workers.messenger import Messenger
from workers.shard_keeper import ShardKeeper

if TYPE_CHECKING:
    from jobs.job import Job

URL = "https://receiver.example/hook"
DEADLINE = 10.0


def ended(**changes: Any) -> Job:  # noqa: ANN401 - a Job's own fields
    facts: dict[str, Any] = {
        "status": JobStatus.COMPLETED,
        "ended_at": NOW,
        "seq": 1_000_002,
        "webhook": URL,
    }
    return a_job(**(facts | changes))


class World:
    """One feed over a stream that the test writes."""

    def __init__(self) -> None:
        self.clock, self.log = ManualClock(), RecordingLog()
        self.stream, self.leases = MemoryChangeStream(), MemoryShardLeases()
        self.deliveries, self.queue = MemoryDeliveries(), MemoryDeliveryQueue()
        self.events = MemoryEvents()
        self.timers = HeldTimers(self.clock, self.log)
        keeper = ShardKeeper(
            stream=self.stream,
            leases=self.leases,
            me=FeedId("feed@test:1"),
            clock=self.clock,
            log=self.log,
        )
        self.parts = FeedParts(
            stream=self.stream,
            keeper=keeper,
            queue=MemoryTaskQueue(),
            announcing=announce_parts(deliveries=self.deliveries, queue=self.queue),
            late_word=LateWord(events=self.events, timers=self.timers),
            gatherer=gatherer(),
            rejected=MemoryRejectedRecords(),
            nudges=QuietNudges(),
            clock=self.clock,
            log=self.log,
            process="feed@test:1",
            poll=1.0,
            reads_per_second=5,
            max_record_age=timedelta(seconds=60),
        )

    @property
    def checkpoint(self) -> Checkpoint:
        [lease] = self.leases.load(StreamName("memory"))
        return lease.checkpoint


def test_an_end_becomes_a_delivery_and_its_task_before_the_checkpoint() -> None:
    world = World()
    world.stream.record(a_job(status=JobStatus.RUNNING), ended())

    Feed(world.parts).turn()

    [delivery] = world.deliveries.of_job(ended().id)
    assert (delivery.receiver.address, delivery.event.type) == (URL, EventType.COMPLETED)
    assert world.queue.keys == [delivery.key]
    assert world.checkpoint == Checkpoint(position=Position("1"))


def test_an_end_of_which_nobody_wants_to_hear_makes_no_delivery() -> None:
    world = World()
    world.stream.record(a_job(status=JobStatus.RUNNING), ended(webhook=None))

    Feed(world.parts).turn()

    assert world.deliveries.of_job(ended().id) == []


def test_a_write_to_an_ended_row_announces_nothing() -> None:
    world = World()
    world.stream.record(ended(), ended())

    Feed(world.parts).turn()

    assert world.deliveries.of_job(ended().id) == []


def test_an_old_record_is_announced_all_the_same() -> None:
    world = World()
    world.clock.advance(timedelta(hours=20))
    world.stream.record(a_job(status=JobStatus.RUNNING), ended())

    Feed(world.parts).turn()

    assert len(world.deliveries.of_job(ended().id)) == 1


def test_a_delivery_that_cannot_be_written_leaves_the_checkpoint_where_it_was() -> None:
    class Shaky(MemoryDeliveries):
        is_away = True

        def add(self, delivery: Delivery) -> None:
            if self.is_away:
                raise Unavailable("store", "away (test)")
            super().add(delivery)

    world, deliveries = World(), Shaky()
    world.stream.record(a_job(status=JobStatus.RUNNING), ended())
    feed = Feed(replace(world.parts, announcing=announce_parts(deliveries=deliveries)))
    with pytest.raises(Unavailable):
        feed.turn()
    assert world.checkpoint == Checkpoint()
    deliveries.is_away = False

    feed.turn()

    assert len(deliveries.of_job(ended().id)) == 1
    assert world.checkpoint == Checkpoint(position=Position("1"))


def test_watchers_hear_of_an_end_from_the_row_but_not_at_once() -> None:
    world = World()
    world.stream.record(a_job(status=JobStatus.RUNNING), ended(webhook=None))

    Feed(world.parts).turn()

    assert world.events.told == []
    [(at, _)] = world.timers.held
    assert at == NOW + GRACE
    world.timers.move_to_next()
    assert [(event.type, event.seq) for event in world.events.told] == [
        (EventType.COMPLETED, 1_000_002)
    ]


def test_a_feed_that_stops_tells_what_waits_and_not_twice() -> None:
    world = World()
    world.stream.record(a_job(status=JobStatus.RUNNING), ended())
    Feed(world.parts).turn()

    world.parts.late_word.tell_all_now()
    world.timers.move_to_next()

    assert len(world.events.told) == 1


class SlowReceiver:
    """jobs.delivery_ports.Announcer that answers when it is let."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.may_answer = threading.Event()

    def tell(self, delivery: Delivery, body: str) -> Answered:  # noqa: ARG002 - the port's
        """Wait, then be content."""
        self.began.release()
        assert self.may_answer.wait(DEADLINE)
        return Answered(status=200)


def some_deliveries(deliveries: MemoryDeliveries, count: int) -> list[Delivery]:
    made = []
    for number in range(count):
        announcement = announcement_of(ended(id=JobId(f"job_{number:026d}")))
        assert announcement is not None
        delivery = Delivery.of(
            announcement.event, announcement.receivers[0], now=NOW, by="feed@test:1"
        )
        deliveries.add(delivery)
        made.append(delivery)
    return made


def test_slow_receivers_hold_up_nobody_who_brings_tasks() -> None:
    receiver, deliveries = SlowReceiver(), MemoryDeliveries()
    made = some_deliveries(deliveries, 40)
    parts = deliver_parts(deliveries=deliveries, announcers={DeliveryKind.WEBHOOK: receiver})
    messenger = Messenger(parts=parts, room=2)

    taken = [messenger.take(delivery.key) for delivery in made]

    assert taken == [True] * 34 + [False] * 6
    assert all(receiver.began.acquire(timeout=DEADLINE) for _ in range(2))
    closing = threading.Thread(target=messenger.close)
    closing.start()
    receiver.may_answer.set()
    closing.join(DEADLINE)
    assert not closing.is_alive()
    over = [one for each in made for one in deliveries.of_job(each.event.job) if not one.due_at]
    assert 2 <= len(over) <= 34
    assert all(one.state is DeliveryState.DELIVERED for one in over)
    assert not messenger.take(made[-1].key)


def test_a_messenger_outlives_whatever_a_delivery_raises() -> None:
    class Broken(MemoryDeliveries):
        def claim(self, *_: object, **__: object) -> None:
            raise RuntimeError("broken (test)")

    log = RecordingLog()
    parts = deliver_parts(deliveries=Broken(), log=log)
    messenger = Messenger(parts=parts, room=1)

    [delivery] = some_deliveries(MemoryDeliveries(), 1)
    done = threading.Event()
    messenger.take(delivery.key)
    messenger._pool.submit(done.set)  # noqa: SLF001 - what comes after it is done after it

    assert done.wait(DEADLINE)
    assert [line.event for line in log.lines] == ["delivery_broke"]
    messenger.close()


@pytest.mark.parametrize(
    "names", [(None, "e", "t"), ("job", "e", "t"), (ended().id, 5, "t"), (ended().id, "e", "")]
)
def test_a_task_that_names_no_delivery_is_refused(names: tuple[object, object, object]) -> None:
    with pytest.raises(InvalidRequest):
        read_delivery_key(*names)
