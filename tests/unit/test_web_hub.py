"""The hub: one subscription a topic, for as long as somebody listens."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.memory import ManualClock, MemoryEvents
from jobs.errors import Unavailable
from jobs.events import EventType
from jobs.ports import Heard, Topic
from tests.builders import JOB_ID
from tests.web_world import WebRecordingLog
from web.hub import REREADERS, Hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from web.close_codes import CloseCode
    from web.measures import Kind

TOPIC = Topic("longhaul:job:x")


@dataclass(eq=False)
class Ear:
    """web.hub.Watcher that keeps what it hears."""

    kind: Kind = "websocket"
    heard: list[bytes] = field(default_factory=list)
    rereads: int = 0
    missed: int = 0
    on_reread: Callable[[], object] = lambda: None
    ended: list[CloseCode] = field(default_factory=list)

    def hear(self, heard: Heard, frame: bytes) -> None:
        assert heard.message.encode() in frame
        self.heard.append(frame)

    def miss(self) -> None:
        self.missed += 1

    def reread(self) -> None:
        self.rereads += 1
        self.on_reread()

    def end(self, code: CloseCode, reason: str) -> None:
        assert reason
        self.ended.append(code)


class StrictEvents(MemoryEvents):
    """A source that fails a test which adds a topic twice, or removes one that was not added."""

    def __init__(self) -> None:
        super().__init__()
        self.topics: set[Topic] = set()
        self.calls: Counter[str] = Counter()
        self.is_away = False
        self._guard = threading.Lock()

    def add(self, topic: Topic) -> None:
        with self._guard:
            self.calls["add"] += 1
            if self.is_away:
                raise Unavailable("events", "away (test)")
            assert topic not in self.topics
            self.topics.add(topic)

    def remove(self, topic: Topic) -> None:
        with self._guard:
            self.calls["remove"] += 1
            self.topics.discard(topic)


def a_hub(events: MemoryEvents | None = None) -> Hub:
    return Hub(source=events or StrictEvents(), clock=ManualClock(), log=WebRecordingLog())


def heard(topic: Topic = TOPIC) -> Heard:
    return Heard(topic=topic, job=JOB_ID, seq=2, kind=EventType.DELTA, message='{"seq":2}')


def test_a_topic_is_subscribed_from_its_first_watcher_to_its_last() -> None:
    events = StrictEvents()
    hub, one, two = a_hub(events), Ear(), Ear()

    hub.join(TOPIC, one)
    hub.join(TOPIC, two)
    hub.leave(TOPIC, one)
    assert events.topics == {TOPIC}
    hub.leave(TOPIC, one)
    hub.leave(TOPIC, two)

    assert events.topics == set()
    assert events.calls == {"add": 1, "remove": 1}


def test_an_event_is_framed_once_for_all_its_watchers() -> None:
    hub, ears = a_hub(), [Ear() for _ in range(3)]
    for ear in ears:
        hub.join(TOPIC, ear)

    hub.hear(heard())
    hub.hear(heard(Topic("longhaul:job:other")))

    assert [len(ear.heard) for ear in ears] == [1, 1, 1]
    assert ears[0].heard[0] is ears[1].heard[0] is ears[2].heard[0]


def test_a_topic_that_cannot_be_subscribed_to_is_not_wanted_any_more() -> None:
    events = StrictEvents()
    events.is_away = True
    hub, ear = a_hub(events), Ear()

    with pytest.raises(Unavailable):
        hub.join(TOPIC, ear)

    assert events.calls == {"add": 1, "remove": 1}
    events.is_away = False
    hub.join(TOPIC, ear)
    assert events.topics == {TOPIC}


def test_joins_and_leaves_that_race_leave_the_source_right() -> None:
    events = StrictEvents()
    hub = a_hub(events)
    faults: list[BaseException] = []

    def come_and_go(ear: Ear) -> None:
        try:
            for _ in range(300):
                hub.join(TOPIC, ear)
                assert TOPIC in events.topics
                hub.leave(TOPIC, ear)
            hub.join(TOPIC, ear)
        except BaseException as fault:  # noqa: BLE001 - a thread's assertion is the test's
            faults.append(fault)

    ears = [Ear() for _ in range(8)]
    threads = [threading.Thread(target=come_and_go, args=(ear,)) for ear in ears]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not faults
    assert events.topics == {TOPIC}
    for ear in ears:
        hub.leave(TOPIC, ear)
    assert events.topics == set()


def test_after_a_loss_every_socket_rereads_and_only_some_at_a_time() -> None:
    hub = a_hub()
    lock, gate = threading.Lock(), threading.Event()
    busy, most, done = 0, 0, threading.Semaphore(0)

    def reread() -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            if busy == REREADERS:
                gate.set()
        assert gate.wait(30)
        with lock:
            busy -= 1
        done.release()

    ears = [Ear(on_reread=reread) for _ in range(REREADERS * 5)]
    for ear in ears:
        hub.enter(ear)

    hub.lose_touch()

    for _ in ears:
        assert done.acquire(timeout=30)
    assert [ear.rereads for ear in ears] == [1] * len(ears)
    assert most == REREADERS


def test_a_reread_that_fails_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.hub.spawn", lambda reread: reread())
    clock = ManualClock()
    began = clock.now()
    hub = Hub(source=StrictEvents(), clock=clock, log=WebRecordingLog())
    failures = [Unavailable("store", "away (test)")] * 2

    def reread() -> None:
        if failures:
            raise failures.pop()

    ear = Ear(on_reread=reread)
    hub.enter(ear)

    hub.lose_touch()

    assert ear.rereads == 3
    assert clock.now() - began == timedelta(seconds=2)


def test_sockets_whose_reread_fails_keep_no_other_waiting() -> None:
    class StoppedClock(ManualClock):
        def sleep(self, duration: timedelta) -> None:
            assert duration > timedelta(0)
            assert may_go_on.wait(30)
            super().sleep(duration)

    def fail() -> None:
        if not may_go_on.is_set():
            failed.release()
            raise Unavailable("store", "away (test)")
        done.release()

    may_go_on, failed, done = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)
    hub = Hub(source=StrictEvents(), clock=StoppedClock(), log=WebRecordingLog())
    failing = [Ear(on_reread=fail) for _ in range(REREADERS * 5)]
    other = Ear(on_reread=done.release)
    for ear in (*failing, other):
        hub.enter(ear)

    for ear in failing:
        hub.let_reread(ear)
    for _ in failing:
        assert failed.acquire(timeout=30)
    hub.let_reread(other)

    assert done.acquire(timeout=30)
    may_go_on.set()
    for _ in failing:
        assert done.acquire(timeout=30)
    assert {ear.rereads for ear in failing} == {2}


def test_who_has_gone_is_not_reread_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.hub.spawn", lambda reread: reread())
    hub = a_hub()

    def leave() -> None:
        hub.exit(ear)
        raise Unavailable("store", "away (test)")

    ear = Ear(on_reread=leave)
    hub.enter(ear)

    hub.lose_touch()

    assert ear.rereads == 1


def test_a_fault_while_rereading_ends_that_socket_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.hub.spawn", lambda reread: reread())
    log = WebRecordingLog()
    hub = Hub(source=StrictEvents(), clock=ManualClock(), log=log)

    def fail() -> None:
        raise RuntimeError("a fault")

    faulty, other = Ear(on_reread=fail), Ear()
    for ear in (faulty, other):
        hub.enter(ear)

    hub.lose_touch()

    assert (faulty.ended, other.ended) == ([1011], [])
    assert (faulty.rereads, other.rereads) == (1, 1)
    assert log.count("reread_broken_off") == 1


def test_listening_begins_again_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.hub.spawn", lambda function: function())

    class FaultyEvents(StrictEvents):
        faults = 2

        def listen(self, listener: object) -> None:  # noqa: ARG002 - the port's
            if self.faults:
                self.faults -= 1
                raise RuntimeError("a fault")

    log, ear = WebRecordingLog(), Ear()
    hub = Hub(source=FaultyEvents(), clock=ManualClock(), log=log)
    hub.enter(ear)

    hub.start()

    assert log.count("listening_failed") == 2
    assert ear.rereads == 2


def test_a_drain_ends_everyone_and_everyone_who_comes_later() -> None:
    hub, early, late = a_hub(), Ear(), Ear()
    hub.enter(early)

    hub.drain()
    hub.enter(late)

    assert early.ended == late.ended == [1012]
