"""What the bus says to Redis, and that it never holds up who speaks."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any, Self, cast

import pytest
import redis

from adapters import redis_events
from adapters.redis_events import NUDGE_CHANNEL, RedisEventBus
from jobs.events import Event, EventType, message_of
from jobs.job import JobId, UserId
from jobs.ports import topic_of_job, topic_of_user
from tests.builders import JOB_ID, NOW, RecordingLog, a_trace
from tests.stack import wait_until

DEADLINE = 10.0  # seconds until a test gives up on a condition
ADA = UserId("ada")


@dataclass
class Pipe:
    """One round trip: what is published in it goes out at `execute`."""

    client: Client
    said: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def publish(self, topic: str, message: str) -> None:
        message.encode()  # as redis-py does
        self.said.append((topic, message))

    def eval(self, *_: object) -> None:
        pass

    def execute(self, *, raise_on_error: bool) -> list[object]:
        assert not raise_on_error
        self.client.execute(self.said)
        return []


class Client:
    """A Redis that first raises what `failures` holds, one a round trip, and can be held up."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.trips: list[list[tuple[str, str]]] = []
        self.threads: set[int] = set()
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()

    def pipeline(self, *, transaction: bool) -> Pipe:
        assert not transaction
        return Pipe(self)

    def execute(self, said: list[tuple[str, str]]) -> None:
        self.threads.add(threading.get_ident())
        self.asked.set()
        assert self.open.wait(DEADLINE)
        if self.failures:
            raise self.failures.pop(0)
        self.trips.append(said)

    @property
    def said(self) -> list[tuple[str, str]]:
        return [one for trip in self.trips for one in trip]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_events, "_FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(redis_events, "_HELD_UP_SECONDS", 0.0)


@pytest.fixture
def small_outbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_events, "_OUTBOX", 10)


class Bus:
    """A bus on a scripted Redis."""

    def __init__(self, *failures: Exception) -> None:
        self.client = Client(*failures)
        self.log = RecordingLog()
        self.bus = RedisEventBus(cast("Any", self.client), self.log)

    def flush(self) -> None:
        wait_until(lambda: self.bus.wait_until_said(DEADLINE), "all to be said")

    @property
    def texts(self) -> list[str]:
        return [json.loads(message)["text"] for _, message in self.client.said]


def an_event(**changes: Any) -> Event:  # noqa: ANN401 - an Event's own fields
    fields: dict[str, Any] = {
        "job": JOB_ID,
        "user": ADA,
        "seq": 2,
        "type": EventType.DELTA,
        "at": NOW,
        "trace": a_trace(),
        "attempt": 1,
    }
    return Event(**(fields | changes))


def a_delta(text: str) -> Event:
    return an_event(text=text)


def hold_up(bus: Bus) -> None:
    """Let Redis freeze in the middle of a round trip."""
    bus.client.open.clear()
    bus.bus.publish(a_delta("held up"))
    assert bus.client.asked.wait(DEADLINE)


def test_a_delta_goes_to_its_jobs_watchers_only() -> None:
    bus = Bus()

    bus.bus.publish(a_delta("Hël😀"))
    bus.flush()

    ((topic, message),) = bus.client.said
    assert topic == topic_of_job(JOB_ID)
    assert json.loads(message) == message_of(a_delta("Hël😀"))
    assert "Hël😀" in message


def test_a_state_event_goes_to_its_users_watchers_too() -> None:
    bus = Bus()

    bus.bus.publish(an_event(type=EventType.STARTED))
    bus.flush()

    assert [topic for topic, _ in bus.client.said] == [topic_of_job(JOB_ID), topic_of_user(ADA)]


def test_a_nudge_says_nothing_but_that() -> None:
    bus = Bus()

    bus.bus.nudge()
    bus.flush()

    assert bus.client.said == [(NUDGE_CHANNEL, "")]


def test_building_a_bus_starts_nothing() -> None:
    before = threading.active_count()

    bus = Bus()
    bus.flush()

    assert threading.active_count() == before


def test_order_is_kept_and_another_thread_does_the_talking() -> None:
    bus = Bus()

    for n in range(2_000):
        bus.bus.publish(a_delta(str(n)))
    bus.flush()

    assert bus.texts == [str(n) for n in range(2_000)]
    assert len(bus.client.threads) == 1
    assert threading.get_ident() not in bus.client.threads


def test_what_many_threads_say_all_goes_out_in_each_ones_order() -> None:
    bus = Bus()
    jobs = [JobId(f"job_{n:026d}") for n in range(8)]

    def speak(job: JobId) -> None:
        for n in range(200):
            bus.bus.publish(an_event(job=job, text=str(n)))

    speakers = [threading.Thread(target=speak, args=(job,)) for job in jobs]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join(DEADLINE)
    bus.flush()

    for job in jobs:
        heard = [json.loads(m)["text"] for topic, m in bus.client.said if topic.endswith(job)]
        assert heard == [str(n) for n in range(200)]
    assert len(bus.client.threads) == 1


def test_what_is_said_in_one_moment_goes_in_one_round_trip() -> None:
    bus = Bus()
    hold_up(bus)

    for n in range(300):
        bus.bus.publish(a_delta(str(n)))
    bus.client.open.set()
    bus.flush()

    assert [len(trip) for trip in bus.client.trips] == [1, 300]


def test_a_round_trip_is_bounded() -> None:
    bus = Bus()
    hold_up(bus)

    for n in range(1_200):
        bus.bus.publish(a_delta(str(n)))
    bus.client.open.set()
    bus.flush()

    assert [len(trip) for trip in bus.client.trips] == [1, 500, 500, 200]


@pytest.mark.usefixtures("small_outbox")
def test_the_outbox_is_bounded_but_for_changes_of_state() -> None:
    bus = Bus()
    hold_up(bus)

    for n in range(50):
        bus.bus.publish(a_delta(str(n)))
    bus.bus.publish(an_event(type=EventType.COMPLETED, text="the end"))
    bus.client.open.set()
    bus.flush()

    assert bus.texts == ["held up", *(str(n) for n in range(10)), "the end", "the end"]


@pytest.mark.usefixtures("small_outbox")
def test_whoever_talks_faster_than_redis_listens_is_held_up_until_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_events, "_HELD_UP_SECONDS", DEADLINE)
    bus = Bus()
    hold_up(bus)
    for n in range(10):
        bus.bus.publish(a_delta(str(n)))

    speaker = threading.Thread(target=bus.bus.publish, args=(a_delta("10"),))
    speaker.start()
    bus.client.open.set()
    speaker.join(DEADLINE)
    bus.flush()

    assert bus.texts == ["held up", *(str(n) for n in range(11))]


@pytest.mark.parametrize("error", [redis.ConnectionError("away"), redis.TimeoutError("slow")])
def test_what_is_said_while_redis_is_away_is_said_in_order_once_it_is_back(
    error: Exception,
) -> None:
    bus = Bus(error, error)

    for n in range(20):
        bus.bus.publish(a_delta(str(n)))
    bus.flush()

    assert bus.texts == [str(n) for n in range(20)]
    assert [line.event for line in bus.log.lines] == ["publish_waits", "publish_goes_on"]
    assert bus.log.lines[0].keys == {"reason": type(error).__name__}


@pytest.mark.usefixtures("small_outbox")
def test_what_did_not_fit_while_redis_was_away_is_counted() -> None:
    bus = Bus(redis.ConnectionError("away"))
    hold_up(bus)
    bus.bus._is_away = True  # noqa: SLF001 - it has been away for a while

    for n in range(15):
        bus.bus.publish(a_delta(str(n)))
    bus.client.open.set()
    bus.flush()

    assert bus.texts == ["held up", *(str(n) for n in range(10))]
    (line,) = [line for line in bus.log.lines if line.event == "publish_goes_on"]
    assert line.keys == {"dropped": 5}


@pytest.mark.parametrize("text", ["\ud83d", "Hel\udfff"])
def test_text_that_cannot_be_written_does_not_silence_the_bus_for_good(text: str) -> None:
    bus = Bus()

    bus.bus.publish(a_delta(text))
    bus.flush()
    bus.bus.publish(a_delta("heard"))
    bus.flush()

    assert bus.texts == ["heard"]
    assert [line.event for line in bus.log.lines] == ["publish_broke"]


def test_a_redis_that_stays_away_never_reaches_who_speaks() -> None:
    bus = Bus(*[redis.ConnectionError("away")] * 10_000)

    for n in range(100):
        bus.bus.publish(a_delta(str(n)))

    assert bus.bus.wait_until_said(0.001) is False
    assert bus.client.trips == []
    bus.client.failures.clear()


def test_flushing_waits_for_what_is_under_way_and_not_longer_than_it_may() -> None:
    bus = Bus()
    hold_up(bus)

    assert not bus.bus.wait_until_said(0.001)
    assert bus.client.trips == []
    bus.client.open.set()
    bus.flush()

    assert bus.texts == ["held up"]
