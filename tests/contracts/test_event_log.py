"""jobs.event_log.EventLog, in memory and on Redis: what was published can be read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from adapters import redis_log
from adapters.memory import MemoryEvents
from adapters.redis_events import RedisEventBus, connect_redis
from adapters.redis_log import RedisEventLog
from jobs import event_log
from jobs.errors import Unavailable
from jobs.event_log import EventLog, read_all
from jobs.events import EventType, message_of
from jobs.ports import EventBus, topic_of_job
from tests.builders import RecordingLog
from tests.contracts.stories import new_id
from tests.contracts.test_events import event
from tests.stack import RedisServer, wait_until
from web.json_text import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobs.job import JobId
    from tests.stack import LocalStack


@dataclass
class Logged:
    bus: EventBus
    log: EventLog

    def tell(self, job_id: JobId, *numbers: int, kind: EventType = EventType.DELTA) -> None:
        for number in numbers:
            self.bus.publish(event(job_id, number, kind))
        self.bus.flush()

    def numbers(self, job_id: JobId, *, start: int = 1) -> list[int]:
        return [heard.seq for heard in read_all(self.log, job_id, start=start)]


@pytest.fixture(params=["memory", "redis"])
def logged(request: pytest.FixtureRequest) -> Iterator[Logged]:
    if request.param == "memory":
        events = MemoryEvents()
        yield Logged(events, events)
        return
    stand_ins: LocalStack = request.getfixturevalue("stand_ins")
    with connect_redis(stand_ins.redis_url, connections=4) as client:
        yield Logged(RedisEventBus(client, RecordingLog()), RedisEventLog(client))


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def test_what_was_told_can_be_read_as_it_was_told(logged: Logged) -> None:
    job_id = new_id()

    logged.tell(job_id, 1, kind=EventType.QUEUED)
    logged.tell(job_id, 1_000_001, kind=EventType.STARTED)
    logged.tell(job_id, 1_000_002)

    events = logged.log.read(job_id, start=1)
    assert [heard.kind for heard in events] == [
        EventType.QUEUED,
        EventType.STARTED,
        EventType.DELTA,
    ]
    assert {(heard.topic, heard.job) for heard in events} == {(topic_of_job(job_id), job_id)}
    assert parse_json(events[2].message.encode()) == message_of(event(job_id, 1_000_002))


def test_it_is_read_from_a_number_on(logged: Logged) -> None:
    job_id = new_id()
    logged.tell(job_id, 1, 2, 3, 4)

    assert logged.numbers(job_id, start=3) == [3, 4]
    assert logged.numbers(job_id, start=5) == []


def test_each_job_has_a_log_of_its_own(logged: Logged) -> None:
    one, other = new_id(), new_id()
    logged.tell(one, 1, 2)
    logged.tell(other, 1)

    assert logged.numbers(one) == [1, 2]
    assert logged.numbers(other) == [1]
    assert logged.numbers(new_id()) == []


def test_duplicates_and_late_words_stay_out(logged: Logged) -> None:
    job_id = new_id()

    logged.tell(job_id, 1, 1_000_001, 1_000_001, 2_000_001, 1_000_002, 2_000_002)

    assert logged.numbers(job_id) == [1, 1_000_001, 2_000_001, 2_000_002]


def test_a_long_log_is_read_in_pages(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (event_log, *_modules_with_page()):
        monkeypatch.setattr(module, "PAGE", 3)
    job_id = new_id()
    logged.tell(job_id, *range(1, 9))

    assert len(logged.log.read(job_id, start=1)) == 3
    assert logged.numbers(job_id) == list(range(1, 9))


def _modules_with_page() -> tuple[object, ...]:
    from adapters import memory, redis_log  # noqa: PLC0415 - whose constant a test changes

    return memory, redis_log


def test_a_log_in_redis_does_not_stay_for_ever(stand_ins: LocalStack) -> None:
    job_id = new_id()
    with connect_redis(stand_ins.redis_url, connections=4) as client:
        logged = Logged(RedisEventBus(client, RecordingLog()), RedisEventLog(client))
        logged.tell(job_id, 1, kind=EventType.STARTED)
        open_for = client.ttl(f"longhaul:log:{job_id}")
        logged.tell(job_id, 2, kind=EventType.COMPLETED)
        ended_for = client.ttl(f"longhaul:log:{job_id}")

    assert open_for > 86_400
    assert 600 < ended_for <= 900


def test_a_late_word_does_not_make_the_log_of_an_ended_job_stay(stand_ins: LocalStack) -> None:
    job_id = new_id()
    with connect_redis(stand_ins.redis_url, connections=4) as client:
        logged = Logged(RedisEventBus(client, RecordingLog()), RedisEventLog(client))
        logged.tell(job_id, 1_000_001, kind=EventType.STARTED)
        logged.tell(job_id, 2_000_001, kind=EventType.CANCELLED)

        logged.tell(job_id, 1_000_002, 1_000_003)  # its worker has not heard of it yet

        assert 600 < client.ttl(f"longhaul:log:{job_id}") <= 900
        logged.tell(job_id, 3_000_001, kind=EventType.QUEUED)  # it is redriven
        assert client.ttl(f"longhaul:log:{job_id}") > 86_400


def test_nothing_is_left_in_redis_of_jobs_that_ended_long_ago(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_log, "ENDED_SECONDS", 1)
    with connect_redis(own_redis.url, connections=4) as client:
        logged = Logged(RedisEventBus(client, RecordingLog()), RedisEventLog(client))
        for _ in range(100):
            job_id = new_id()
            logged.tell(job_id, 1, kind=EventType.QUEUED)
            logged.tell(job_id, *range(1_000_001, 1_000_050))
            logged.tell(job_id, 1_000_050, kind=EventType.COMPLETED)
        assert client.dbsize() > 0

        wait_until(lambda: client.dbsize() == 0, "the logs to go")


def test_a_log_is_bounded_and_keeps_what_came_last(own_redis: RedisServer) -> None:
    job_id = new_id()
    last = 1_000_000 + redis_log.MOST_EVENTS + 2_000
    with connect_redis(own_redis.url, connections=4) as client:
        logged = Logged(RedisEventBus(client, RecordingLog()), RedisEventLog(client))
        for first in range(1_000_001, last, 1_000):
            logged.tell(job_id, *range(first, first + 1_000))
        numbers = logged.numbers(job_id)

    assert redis_log.MOST_EVENTS <= len(numbers) < redis_log.MOST_EVENTS + 1_000
    assert numbers == list(range(last - len(numbers) + 1, last + 1))


def test_what_a_full_redis_refuses_is_logged_once_there_is_room(own_redis: RedisServer) -> None:
    job_id = new_id()
    with connect_redis(own_redis.url, connections=4) as client:
        log = RecordingLog()
        logged = Logged(RedisEventBus(client, log), RedisEventLog(client))
        client.config_set("maxmemory", 1)
        logged.tell(job_id, 1, 2)
        wait_until(lambda: log.lines, "the refusal")
        client.config_set("maxmemory", 0)

        wait_until(lambda: logged.numbers(job_id) == [1, 2], "the events")

    assert [line.event for line in log.lines] == ["publish_waits", "publish_goes_on"]


def test_a_redis_that_is_away_is_unavailable_and_its_events_are_logged_later(
    own_redis: RedisServer,
) -> None:
    server = own_redis
    with connect_redis(server.url, connections=4) as client:
        logged = Logged(RedisEventBus(client, RecordingLog()), RedisEventLog(client))
        job_id = new_id()
        server.kill()
        logged.tell(job_id, 1, 2)
        with pytest.raises(Unavailable):
            logged.log.read(job_id, start=1)
        server.start()
        wait_until(lambda: logged.numbers(job_id) == [1, 2], "the events")


def test_a_log_that_is_forgotten_is_empty_and_others_stay(logged: Logged) -> None:
    job_id, other = new_id(), new_id()
    logged.tell(job_id, 1, 2)
    logged.tell(other, 1)

    logged.log.forget(job_id)
    logged.log.forget(new_id())

    assert logged.numbers(job_id) == []
    assert logged.numbers(other) == [1]
