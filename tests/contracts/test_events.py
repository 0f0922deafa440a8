"""jobs.ports.EventBus and EventSource, in memory and on Redis: each promise of their docstrings."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
import redis

from adapters.memory import MemoryEvents
from adapters.redis_events import PlainPubSub, RedisEventBus, RedisEventSource, connect_redis
from adapters.redis_nudges import RedisNudges
from jobs.errors import Unavailable
from jobs.events import Event, EventType, message_of
from jobs.job import JobId, UserId
from jobs.ports import EventBus, EventSource, Heard, Topic, topic_of_job, topic_of_user
from jobs.trace import Trace
from tests.contracts.stories import START, a_trace, new_id
from tests.stack import RedisServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.stack import LocalStack

TOLD_WITHIN_SECONDS = 4.0  # "never blocks for long"; a socket's time-out is three
AHEAD = 1_000  # of its listener, in events: far from what the bus drops because its outbox is full
TRACE = a_trace()
ANN = UserId("ann")


@dataclass
class Recording:
    """A listener that keeps what it hears."""

    heard: list[Heard] = field(default_factory=list)
    touch_lost: int = 0
    when_touch_is_lost: Callable[[], object] = lambda: None

    def hear(self, heard: Heard) -> None:
        self.heard.append(heard)

    def lose_touch(self) -> None:
        self.when_touch_is_lost()
        self.touch_lost += 1

    def seqs(self, topic: Topic) -> list[int]:
        return [heard.seq for heard in self.heard if heard.topic == topic]


class Silent:
    """A log that nobody reads."""

    def info(self, event: str, /, **keys: object) -> None: ...

    def warning(self, event: str, /, **keys: object) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Bus:
    """Both ends of a bus, with someone listening."""

    bus: EventBus
    source: EventSource
    listener: Recording

    def tell(
        self, job_id: JobId, seq: int, kind: EventType = EventType.DELTA, *, user: str = "ann"
    ) -> None:
        self.bus.publish(event(job_id, seq, kind, user=UserId(user)))

    def hears(self, topic: Topic, seqs: list[int]) -> None:
        wait_until(lambda: len(self.listener.seqs(topic)) >= len(seqs), f"{topic} to be heard")
        assert self.listener.seqs(topic) == seqs


def event(
    job_id: JobId, seq: int, kind: EventType = EventType.DELTA, *, user: UserId = ANN
) -> Event:
    return Event(
        job=job_id,
        user=user,
        seq=seq,
        type=kind,
        at=START,
        trace=TRACE,
        attempt=1,
        text="ü🍵" if kind is EventType.DELTA else None,
    )


@contextmanager
def listening(bus: EventBus, source: EventSource) -> Iterator[Bus]:
    listener = Recording()
    thread = threading.Thread(target=source.listen, args=(listener,), daemon=True)
    thread.start()
    both = Bus(bus=bus, source=source, listener=listener)
    try:
        await_listener(both)
        yield both
    finally:
        source.close()
        thread.join(timeout=10)
    assert not thread.is_alive(), "`close` did not end `listen`"


def await_listener(both: Bus) -> None:
    """Wait until `listen` has begun: what is told to nobody is lost, and may be."""
    probe = new_id()
    topic = topic_of_job(probe)
    both.source.add(topic)
    numbers = itertools.count(1)

    def heard() -> bool:
        both.tell(probe, next(numbers))
        return bool(both.listener.seqs(topic))

    wait_until(heard, "the listener to listen")
    both.source.remove(topic)


@contextmanager
def on_redis(url: str) -> Iterator[Bus]:
    clients = [connect_redis(url, connections=50) for _ in range(2)]
    try:
        with listening(
            RedisEventBus(clients[0], Silent()), RedisEventSource(clients[1], Silent())
        ) as both:
            yield both
    finally:
        for client in clients:
            client.close()


@pytest.fixture(scope="module", params=["memory", "redis"])  # closing one takes a second
def both(request: pytest.FixtureRequest) -> Iterator[Bus]:
    if request.param == "memory":
        memory = MemoryEvents()
        with listening(memory, memory) as bus:
            yield bus
        return
    stand_ins: LocalStack = request.getfixturevalue("stand_ins")
    with on_redis(stand_ins.redis_url) as bus:
        yield bus


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a Redis that a test may kill."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def test_once_add_has_returned_nothing_is_missed(both: Bus) -> None:
    job_ids = [new_id() for _ in range(100)]

    for job_id in job_ids:
        both.source.add(topic_of_job(job_id))
        both.tell(job_id, 1)

    for job_id in job_ids:
        both.hears(topic_of_job(job_id), [1])


def test_events_come_in_the_order_they_were_told_and_once(both: Bus) -> None:
    job_id = new_id()
    both.source.add(topic_of_job(job_id))

    for seq in range(1, 301):
        both.tell(job_id, seq)

    both.hears(topic_of_job(job_id), list(range(1, 301)))


def test_the_message_is_the_json_that_clients_get(both: Bus) -> None:
    job_id = new_id()
    both.source.add(topic_of_job(job_id))

    both.tell(job_id, 1)
    both.tell(job_id, 2, EventType.COMPLETED)

    both.hears(topic_of_job(job_id), [1, 2])
    delta, completed = (heard for heard in both.listener.heard if heard.job == job_id)
    assert json.loads(delta.message) == message_of(event(job_id, 1))
    assert "ü🍵" in delta.message
    assert (delta.kind, completed.kind) == (EventType.DELTA, EventType.COMPLETED)


def test_a_sampled_trace_goes_along_with_an_end_and_not_in_its_message(both: Bus) -> None:
    job_id = new_id()
    sampled = Trace(id=TRACE.id, parent="53995c3f42cd8ad8", sampled=True)
    both.source.add(topic_of_job(job_id))

    both.tell(job_id, 1, EventType.STARTED)
    ended = replace(event(job_id, 2, EventType.COMPLETED), trace=sampled)
    both.bus.publish(ended)

    both.hears(topic_of_job(job_id), [1, 2])
    started, completed = (heard for heard in both.listener.heard if heard.job == job_id)
    assert (started.trace, completed.trace) == (None, sampled)
    assert json.loads(completed.message) == message_of(ended)


def test_a_users_topic_gets_the_state_events_only(both: Bus) -> None:
    job_id = new_id()
    for topic in (topic_of_user(UserId("zoe")), topic_of_job(job_id)):
        both.source.add(topic)

    kinds = [kind for kind in EventType if kind is not EventType.GAP]  # which nobody publishes
    for seq, kind in enumerate(kinds, start=1):
        both.tell(job_id, seq, kind, user="zoe")

    both.hears(topic_of_job(job_id), list(range(1, len(kinds) + 1)))
    state_events = [seq for seq, kind in enumerate(kinds, 1) if kind is not EventType.DELTA]
    both.hears(topic_of_user(UserId("zoe")), state_events)


def test_another_users_topic_gets_nothing(both: Bus) -> None:
    ours, theirs = topic_of_user(UserId("amy")), topic_of_user(UserId("bob"))
    both.source.add(ours)
    both.source.add(theirs)

    both.tell(new_id(), 1, EventType.COMPLETED, user="amy")

    both.hears(ours, [1])
    assert both.listener.seqs(theirs) == []


def test_a_topic_that_was_removed_is_silent_and_the_others_are_not(both: Bus) -> None:
    gone, stays = new_id(), new_id()
    both.source.add(topic_of_job(gone))
    both.source.add(topic_of_job(stays))
    both.source.remove(topic_of_job(gone))
    both.source.add(topic_of_job(new_id()))  # behind the removal, and confirmed

    both.tell(gone, 1)
    both.tell(stays, 2)

    both.hears(topic_of_job(stays), [2])
    assert both.listener.seqs(topic_of_job(gone)) == []


def test_a_topic_that_is_not_there_can_be_removed(both: Bus) -> None:
    both.source.remove(topic_of_job(new_id()))


def test_a_topic_that_comes_and_goes_misses_nothing_while_it_is_there(both: Bus) -> None:
    job_id = new_id()

    for seq in range(1, 51):
        both.source.add(topic_of_job(job_id))
        both.tell(job_id, seq)
        wait_until(lambda seq=seq: seq in both.listener.seqs(topic_of_job(job_id)), f"event {seq}")  # type: ignore[misc] # mypy infers no lambda with a default
        both.source.remove(topic_of_job(job_id))


def test_topics_may_be_added_by_many_while_events_flow(both: Bus) -> None:
    busy, stop = new_id(), threading.Event()
    both.source.add(topic_of_job(busy))
    told, heard_before = itertools.count(1), len(both.listener.heard)

    def flow() -> int:
        seq = 0
        while not stop.is_set():
            seq = next(told)
            both.tell(busy, seq)
            enough = heard_before + seq - AHEAD
            wait_until(lambda: len(both.listener.heard) >= enough, "the listener to keep up")  # noqa: B023 - asked at once
        return seq

    def add_ten(_: int) -> list[JobId]:
        job_ids = [new_id() for _ in range(10)]
        for job_id in job_ids:
            both.source.add(topic_of_job(job_id))
            both.tell(job_id, 1)
        return job_ids

    with ThreadPoolExecutor(21) as pool:
        flowing = pool.submit(flow)
        added = list(itertools.chain.from_iterable(pool.map(add_ten, range(20))))
        stop.set()
        last = flowing.result(timeout=30)

    both.hears(topic_of_job(busy), list(range(1, last + 1)))
    heard = defaultdict(list)
    for one in list(both.listener.heard):
        heard[one.job].append(one.seq)
    assert {job_id: heard[job_id] for job_id in added} == {job_id: [1] for job_id in added}


def test_a_watcher_learns_that_redis_was_away_and_events_flow_again(
    own_redis: RedisServer,
) -> None:
    with on_redis(own_redis.url) as both:
        job_id = new_id()
        both.source.add(topic_of_job(job_id))
        both.tell(job_id, 1)
        both.hears(topic_of_job(job_id), [1])
        assert both.listener.touch_lost == 0

        own_redis.kill()
        own_redis.start()

        wait_until(lambda: both.listener.touch_lost == 1, "the loss to be told")
        numbers = itertools.count(2)

        def heard_again() -> bool:
            both.tell(job_id, next(numbers))
            return len(both.listener.seqs(topic_of_job(job_id))) > 1

        wait_until(heard_again, "events to flow again")
        assert both.listener.touch_lost == 1


def test_a_watcher_learns_that_its_connection_was_cut_while_redis_stayed(
    own_redis: RedisServer,
) -> None:
    with on_redis(own_redis.url) as both:
        job_id = new_id()
        both.source.add(topic_of_job(job_id))
        operator = connect_redis(own_redis.url, connections=1)

        operator.client_kill_filter(_type="pubsub")

        wait_until(lambda: both.listener.touch_lost, "the loss to be told", within=10)
        both.tell(job_id, 1)
        both.hears(topic_of_job(job_id), [1])
        operator.close()


def test_topics_may_be_added_by_many_while_connections_are_cut(own_redis: RedisServer) -> None:
    topics = [topic_of_job(new_id()) for _ in range(200)]
    with (
        on_redis(own_redis.url) as both,
        ThreadPoolExecutor(8) as pool,
        connect_redis(own_redis.url, connections=1) as operator,
    ):
        for start in range(0, len(topics), 20):
            adding = [pool.submit(both.source.add, topic) for topic in topics[start : start + 20]]
            operator.client_kill_filter(_type="pubsub")
            for added in adding:
                added.result(timeout=20)

        wait_until(lambda: both.listener.touch_lost, "the loss to be told")
        for topic in topics:
            both.source.add(topic)  # waits until it is confirmed again
        assert operator.pubsub_numsub(*topics) == [(topic.encode(), 1) for topic in topics]


def test_a_subscription_that_broke_is_not_mended_by_who_adds_to_it(own_redis: RedisServer) -> None:
    """redis-py would: from any thread, beside the reader's, which gevent refuses to both."""
    with connect_redis(own_redis.url, connections=4) as client:
        pubsub = PlainPubSub(client.connection_pool)
        pubsub.subscribe("one")

        client.client_kill_filter(_type="pubsub")

        wait_until(lambda: is_refused(pubsub), "the break to be met")
        assert is_refused(pubsub)
        pubsub.close()


def is_refused(pubsub: PlainPubSub) -> bool:
    try:
        pubsub.subscribe("another")
    except redis.ConnectionError:
        return True
    return False


def test_whoever_reads_again_once_touch_was_lost_misses_nothing_after(
    own_redis: RedisServer,
) -> None:
    """Tell an event from `lose_touch` itself: it stands for a change just after the reading."""
    with on_redis(own_redis.url) as both:
        job_id = new_id()
        both.source.add(topic_of_job(job_id))
        both.listener.when_touch_is_lost = lambda: both.tell(job_id, 7)

        own_redis.kill()
        own_redis.start()

        wait_until(lambda: both.listener.touch_lost, "the loss to be told")
        both.hears(topic_of_job(job_id), [7])


def test_a_topic_can_be_added_while_redis_is_away(own_redis: RedisServer) -> None:
    with on_redis(own_redis.url) as both, ThreadPoolExecutor(1) as pool:
        job_id = new_id()
        own_redis.kill()

        adding = pool.submit(both.source.add, topic_of_job(job_id))
        own_redis.start()

        adding.result(timeout=20)
        numbers = itertools.count(1)

        def heard() -> bool:
            both.tell(job_id, next(numbers))  # silent for a second after a failure
            return bool(both.listener.seqs(topic_of_job(job_id)))

        wait_until(heard, "the topic to be heard")


def test_adding_a_topic_where_redis_stays_away_is_unavailable(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.redis_events._CONFIRM_SECONDS", 0.5)  # five are too many here
    with on_redis(own_redis.url) as both:
        own_redis.kill()

        with pytest.raises(Unavailable):
            both.source.add(topic_of_job(new_id()))


@pytest.mark.parametrize("away", ["kill", "freeze"])
def test_publishing_never_raises_nor_blocks_for_long_without_redis(
    own_redis: RedisServer, away: str
) -> None:
    client = connect_redis(own_redis.url, connections=5)
    bus = RedisEventBus(client, Silent())
    bus.publish(event(new_id(), 1))

    getattr(own_redis, away)()
    began = time.monotonic()
    bus.publish(event(new_id(), 2))
    first = time.monotonic() - began
    for seq in range(3, 103):
        bus.publish(event(new_id(), seq))
    all_of_them = time.monotonic() - began
    own_redis.thaw() if away == "freeze" else own_redis.start()
    client.close()

    assert first < TOLD_WITHIN_SECONDS
    assert all_of_them < first + 1


def test_a_nudge_wakes_whoever_waits_for_one(stand_ins: LocalStack) -> None:
    clients = [connect_redis(stand_ins.redis_url, connections=5) for _ in range(2)]
    bus, nudges = RedisEventBus(clients[0], Silent()), RedisNudges(clients[1])
    nudges.wait(0.2)  # subscribed from here on

    bus.nudge()

    began = time.monotonic()
    assert nudges.wait(20)
    assert time.monotonic() - began < 5
    for client in clients:
        client.close()


def test_waiting_for_nudges_lasts_its_time_and_raises_nothing_without_redis(
    own_redis: RedisServer,
) -> None:
    client = connect_redis(own_redis.url, connections=5)
    nudges = RedisNudges(client)
    nudges.wait(0.1)
    own_redis.kill()

    began = time.monotonic()
    came = [nudges.wait(0.3), nudges.wait(0.3)]

    assert came == [False, False]
    assert 0.5 < time.monotonic() - began < 3
    client.close()
