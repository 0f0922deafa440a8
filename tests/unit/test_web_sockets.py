"""The protocol of one WebSocket, on a wire that is a list."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.memory import MemoryEvents, MemoryJobStore
from jobs.caller import ALL_SCOPES, Caller, Scope
from jobs.errors import RecordUnreadable, Unavailable
from jobs.events import EventType
from jobs.job import JobStatus, UserId
from jobs.ports import topic_of_user
from tests.asyncapi import Contract
from tests.builders import a_job, a_trace
from tests.web_world import ADA, BOB, World, event_of
from web.asyncapi import describe_events
from web.job_json import JobWriter
from web.job_reader import JobReaders
from web.outbox import Outbox
from web.sockets import LOOK_SECONDS, MAX_SUBSCRIPTIONS, SUBSCRIBE_SECONDS, Conversation
from web.turns import Turns
from web.wire import WireClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.job import Job, JobId
    from jobs.ports import Topic

CONTRACT = Contract(describe_events(host="longhaul.example", is_secure=True))
TOKEN = ADA["Authorization"].removeprefix("Bearer ")


@dataclass
class ScriptedWire:
    """web.wire.Wire: says and does what the script says, then hangs up; keeps what it is sent."""

    script: deque[Any]
    sent: list[dict[str, Any]] = field(default_factory=list)
    code: int | None = None
    timeouts: list[float | None] = field(default_factory=list)

    def receive(self, timeout_seconds: float | None = None) -> str | bytes | None:
        self.timeouts.append(timeout_seconds)
        if timeout_seconds == SUBSCRIBE_SECONDS and (not self.script or callable(self.script[0])):
            return None  # that time passes
        while self.script:
            step = self.script.popleft()
            if not callable(step):
                return json.dumps(step) if isinstance(step, dict) else step
            step()
        raise WireClosed

    def send(self, frames: bytes) -> None:
        while frames:
            size, head = frames[1], 2
            if size == 126:
                size, head = int.from_bytes(frames[2:4]), 4
            self.sent.append(json.loads(frames[head : head + size]))
            if self.sent[-1]["type"] != "event":  # the tests' events are thinner than a worker's
                CONTRACT.take("socket", self.sent[-1])
            frames = frames[head + size :]

    def send_now(self, frames: bytes) -> bool:
        return not frames

    def close(self, code: int, reason: str) -> None:
        assert reason
        self.code = code

    def wait_until_ended(self, timeout_seconds: float) -> bool:
        return timeout_seconds > 0

    def abort(self) -> None:
        raise AssertionError("nothing breaks here")


def talk(
    world: World,
    *script: Any,  # noqa: ANN401 - what ScriptedWire takes
    user: str | None = "ada",
    scopes: frozenset[Scope] = ALL_SCOPES,
    is_named: bool = True,
    caller: Caller | None = None,
) -> ScriptedWire:
    """Hold one conversation from its beginning to its end."""
    world.events.close()  # so that listening only names the listener, and returns
    world.events.listen(world.hub)
    wire = ScriptedWire(deque(script))
    Conversation(
        wire=wire,
        outbox=Outbox(wire, lambda write: write()),
        hub=world.hub,
        parts=world.parts,
        readers=JobReaders(
            store=world.store,
            log=world.events,
            writer=JobWriter(
                objects=world.objects, clock=world.clock, url_lifetime=world.parts.url_lifetime
            ),
            turns=Turns(),
            measures=world.parts.measures,
        ),
        caller=caller or (None if user is None else Caller(user=UserId(user), scopes=scopes)),
        is_named=is_named,
        trace=a_trace(),
    ).hold()
    return wire


def subscribe(job_id: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"type": "subscribe", "job_id": job_id, **more}


def test_a_subscriber_gets_the_job_and_then_its_events() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])

    wire = talk(world, subscribe(job.id), lambda: world.events.publish(event_of(job, 2, text="a")))

    opening, queued, delta = wire.sent
    rest = world.client.get(f"/v1/jobs/{job.id}", headers=ADA).get_json()
    assert opening == {
        "type": "subscribed",
        "job_id": job.id,
        "seq": 1,
        "recovered": True,
        "job": rest,
    }
    assert (queued["event"], queued["seq"]) == ("job.queued", 1)
    assert (delta["type"], delta["event"], delta["seq"]) == ("event", "job.delta", 2)
    assert (delta["text"], delta["trace_id"]) == ("a", job.trace.id)


def test_what_is_heard_while_the_row_is_read_comes_after_it_in_order() -> None:
    store = InterruptedStore()
    world = World(store=store)
    job = world.store.get(world.submit()["id"])

    def publish() -> None:
        for number in (2, 3, 4):
            world.events.publish(event_of(job, number))

    store.on_get = publish

    wire = talk(world, subscribe(job.id), lambda: world.events.publish(event_of(job, 5)))

    assert [message["type"] for message in wire.sent] == ["subscribed", *["event"] * 5]
    assert [message["seq"] for message in wire.sent] == [1, 1, 2, 3, 4, 5]


def test_a_job_that_ends_while_the_row_is_read_is_told_to_have_ended_once() -> None:
    store = InterruptedStore()
    world = World(store=store)
    job = world.store.get(world.submit()["id"])

    def end() -> None:
        ended = world.complete(job.id)
        world.events.publish(event_of(job, ended.seq, EventType.COMPLETED))

    store.on_get = end
    wire = talk(world, subscribe(job.id))

    assert [message.get("event") for message in wire.sent] == [
        None,
        "job.queued",
        "job.started",
        "job.delta",
        "job.completed",
    ]
    assert wire.sent[0]["job"]["status"] == "COMPLETED"
    assert wire.sent[-1]["seq"] == 1_000_003


def test_a_job_that_has_ended_long_ago_is_told_from_its_row() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.fail(job_id)

    wire = talk(world, subscribe(job_id))

    assert [message["seq"] for message in wire.sent] == [1_000_002, 1, 1_000_001, 1_000_002]
    assert [message["event"] for message in wire.sent[1:]] == [
        "job.queued",
        "stream.gap",
        "job.failed",
    ]
    assert wire.sent[0]["recovered"] is False
    assert wire.sent[-1]["error"]["code"] == "model_rejected_request"


def test_who_has_seen_the_end_is_not_told_again() -> None:
    world = World()
    job_id = world.submit()["id"]
    seq = world.complete(job_id).seq

    wire = talk(world, subscribe(job_id, after=seq))

    assert [message["type"] for message in wire.sent] == ["subscribed"]
    assert wire.sent[0]["recovered"] is True


def test_after_names_what_of_the_events_is_new() -> None:
    store = InterruptedStore()
    world = World(store=store)
    job_id = world.submit()["id"]
    claim = world.claim(job_id)

    def publish() -> None:
        for number in range(1_000_001, 1_000_006):
            world.events.publish(event_of(claim.job, number))

    store.on_get = publish

    wire = talk(world, subscribe(job_id, after=1_000_003))

    assert [message["seq"] for message in wire.sent] == [1_000_001, 1_000_004, 1_000_005]
    assert wire.sent[0]["recovered"] is True


def test_duplicates_and_late_words_of_a_fenced_worker_vanish() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])

    def publish() -> None:
        for number in (1_000_001, 1_000_002, 1_000_002, 2_000_001, 1_000_003, 2_000_002):
            world.events.publish(event_of(job, number))

    wire = talk(world, subscribe(job.id), publish)

    assert [message["seq"] for message in wire.sent[1:]] == [
        1,
        1_000_001,
        1_000_002,
        2_000_001,
        2_000_002,
    ]


def test_a_mistaken_after_does_not_silence_the_job() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])

    wire = talk(
        world,
        subscribe(job.id, after=10**12),
        lambda: world.events.publish(event_of(job, 1_000_001, EventType.STARTED)),
    )

    assert [message["seq"] for message in wire.sent] == [1, 1_000_001]


def test_without_a_subscription_the_state_events_of_the_users_jobs_come_once_and_no_others() -> (
    None
):
    world = World()
    job = world.store.get(world.submit(ADA)["id"])
    other = world.store.get(world.submit(BOB)["id"])

    def publish() -> None:
        for number, kind in ((2, EventType.STARTED), (3, EventType.DELTA), (2, EventType.STARTED)):
            world.events.publish(event_of(job, number, kind))
            world.events.publish(event_of(other, number, kind))

    wire = talk(world, publish)

    assert [(message["job_id"], message["event"]) for message in wire.sent] == [
        (job.id, "job.started")
    ]


def test_with_a_subscription_only_that_job_is_heard_until_it_is_taken_back() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])
    other = world.store.get(world.submit()["id"])

    def publish() -> None:
        world.events.publish(event_of(other, 2, EventType.STARTED))

    wire = talk(
        world,
        subscribe(job.id),
        publish,
        {"type": "unsubscribe", "job_id": job.id},
        publish,
        lambda: world.events.publish(event_of(job, 3)),
    )

    kinds = [message["type"] for message in wire.sent]
    assert kinds == ["subscribed", "event", "unsubscribed", "event"]
    assert wire.sent[3]["job_id"] == other.id


def test_another_users_job_is_not_found_and_stays_silent() -> None:
    world = World()
    job = world.store.get(world.submit(BOB)["id"])
    unknown = a_job().id

    wire = talk(
        world,
        *(subscribe(name) for name in (job.id, unknown, "x")),
        lambda: world.events.publish(event_of(job, 2, EventType.STARTED)),
    )

    assert [message["code"] for message in wire.sent] == ["job_not_found"] * 3
    assert [message["job_id"] for message in wire.sent] == [job.id, unknown, "x"]
    assert len({message["detail"] for message in wire.sent}) == 1


def test_after_a_loss_of_touch_what_was_missed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.hub.spawn", lambda reread: reread())
    world = World()
    job_id = world.submit()["id"]

    def miss_the_end() -> None:
        world.complete(job_id)
        world.events.lose_touch()

    wire = talk(world, subscribe(job_id), miss_the_end)

    assert [message.get("event") for message in wire.sent] == [
        None,
        "job.queued",
        "job.started",
        "job.delta",
        "job.completed",
    ]
    assert wire.sent[3]["text"] == "Hello"


def test_a_job_that_is_gone_silences_none_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.hub.spawn", lambda reread: reread())
    world = World()
    gone, live = world.submit()["id"], world.store.get(world.submit()["id"])
    world.complete(gone)

    def lose_touch() -> None:
        world.client.delete(f"/v1/jobs/{gone}", headers=ADA)
        world.events.lose_touch()

    wire = talk(
        world,
        subscribe(gone, after=1_000_003),
        subscribe(live.id, after=1),
        lose_touch,
        lambda: world.events.publish(event_of(live, 1_000_001, EventType.STARTED)),
        world.events.lose_touch,  # of the one that is gone, nothing is told again
    )

    _, _, refusal, started = wire.sent
    assert (refusal["code"], refusal["job_id"]) == ("job_not_found", gone)
    assert (started["job_id"], started["event"]) == (live.id, "job.started")
    assert not world.log.count("reread_failed")


def test_a_job_whose_row_cannot_be_read_silences_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.hub.spawn", lambda reread: reread())
    store = InterruptedStore()
    world = World(store=store)
    broken, live = world.submit()["id"], world.store.get(world.submit()["id"])

    def fail() -> None:
        raise RecordUnreadable("no row of ours (test)")

    def lose_touch() -> None:
        store.on_get = fail
        world.events.lose_touch()

    wire = talk(
        world,
        subscribe(broken, after=1),
        subscribe(live.id, after=1),
        lose_touch,
        lambda: world.events.publish(event_of(live, 1_000_001, EventType.STARTED)),
    )

    _, _, refusal, started = wire.sent
    assert (refusal["code"], refusal["job_id"]) == ("record_unreadable", broken)
    assert "test" not in refusal["detail"]
    assert started["job_id"] == live.id


def test_who_watches_only_a_job_that_is_gone_hears_of_all_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.hub.spawn", lambda reread: reread())
    world = World()
    gone, other = world.submit()["id"], world.store.get(world.submit()["id"])
    world.complete(gone)

    def lose_touch() -> None:
        world.client.delete(f"/v1/jobs/{gone}", headers=ADA)
        world.events.lose_touch()

    wire = talk(
        world,
        subscribe(gone, after=1_000_003),
        lose_touch,
        lambda: world.events.publish(event_of(other, 1_000_001, EventType.STARTED)),
    )

    _, refusal, started = wire.sent
    assert (refusal["code"], refusal["job_id"]) == ("job_not_found", gone)
    assert started["job_id"] == other.id


def test_a_second_subscription_to_a_job_that_is_gone_leaves_a_socket_that_hears_of_all() -> None:
    world = World()
    gone, other = world.submit()["id"], world.store.get(world.submit()["id"])
    world.complete(gone)

    wire = talk(
        world,
        subscribe(gone, after=1_000_003),
        lambda: world.client.delete(f"/v1/jobs/{gone}", headers=ADA),
        subscribe(gone),
        lambda: world.events.publish(event_of(other, 1_000_001, EventType.STARTED)),
    )

    _, refusal, started = wire.sent
    assert (refusal["code"], refusal["job_id"]) == ("job_not_found", gone)
    assert started["job_id"] == other.id


def test_a_second_subscription_that_cannot_be_now_leaves_the_first_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rereads: list[Callable[[], object]] = []
    monkeypatch.setattr("web.hub.spawn", rereads.append)
    store = InterruptedStore()
    world = World(store=store)
    job = world.store.get(world.submit()["id"])

    def publish(number: int) -> None:
        kind = EventType.STARTED if number == 1_000_001 else EventType.DELTA
        world.events.publish(event_of(job, number, kind))

    def be_away() -> None:
        publish(1_000_002)
        raise Unavailable("store", "away (test)")

    def go_away() -> None:
        publish(1_000_001)
        store.on_get = be_away

    def reread() -> None:
        rereads.pop()()

    wire = talk(
        world,
        subscribe(job.id, after=1),
        go_away,
        subscribe(job.id),
        reread,
        lambda: publish(1_000_003),
    )

    assert [message.get("code", message.get("seq")) for message in wire.sent] == [
        1,
        1_000_001,
        "unavailable",
        1_000_002,
        1_000_003,
    ]


def test_who_cannot_hear_of_all_again_does_so_once_the_bus_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rereads: list[Callable[[], object]] = []
    monkeypatch.setattr("web.hub.spawn", rereads.append)
    events = CountingEvents(set())
    world = World(events=events)
    watched, other = world.submit()["id"], world.store.get(world.submit()["id"])

    def be_back() -> None:
        events.is_away = False
        rereads.pop()()

    wire = talk(
        world,
        subscribe(watched, after=1),
        lambda: setattr(events, "is_away", True),
        {"type": "unsubscribe", "job_id": watched},
        be_back,
        lambda: world.events.publish(event_of(other, 1_000_001, EventType.STARTED)),
    )

    assert [message.get("code", message["type"]) for message in wire.sent] == [
        "subscribed",
        "unavailable",
        "events_missed",
        "event",
    ]
    assert not events.topics


def test_after_a_loss_of_touch_who_watches_no_job_is_told_of_the_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("web.hub.spawn", lambda reread: reread())
    world = World()

    wire = talk(world, world.events.lose_touch)

    assert [message["code"] for message in wire.sent] == ["events_missed"]


def test_a_socket_watches_a_bounded_number_of_jobs() -> None:
    world = World()
    job_ids = [world.submit()["id"] for _ in range(MAX_SUBSCRIPTIONS + 1)]

    wire = talk(world, *(subscribe(name) for name in job_ids), subscribe(job_ids[0]))

    kinds = [message["type"] for message in wire.sent]
    opened = ["subscribed", "event"]
    assert kinds == opened * MAX_SUBSCRIPTIONS + ["error", *opened]


def test_nothing_is_left_at_the_hub_when_the_peer_hangs_up() -> None:
    topics: set[Topic] = set()
    events = CountingEvents(topics)
    world = World(events=events)
    job_id = world.submit()["id"]

    talk(world, subscribe(job_id), lambda: None)

    assert events.added
    assert not topics


def test_an_auth_message_names_the_user_where_no_header_did() -> None:
    world = World()
    job_id = world.submit()["id"]

    wire = talk(
        world,
        {"type": "auth", "token": TOKEN},
        subscribe(job_id),
        {"type": "ping"},
        user=None,
        is_named=False,
    )

    assert [message["type"] for message in wire.sent] == [
        "authenticated",
        "subscribed",
        "event",
        "pong",
    ]
    assert wire.timeouts[:3] == [10.0, 0.3, None]


@pytest.mark.parametrize(
    "first",
    [
        None,
        "nonsense",
        b"\x00",
        {"type": "ping"},
        {"type": "subscribe", "job_id": "x"},
        {"type": "auth", "token": "nobody"},
        {"type": "auth", "token": "\u00e9"},
        {"type": "auth", "token": 5},
    ],
)
def test_anything_but_a_good_auth_message_first_ends_with_4401(first: Any) -> None:  # noqa: ANN401 - JSON
    wire = talk(World(), first, {"type": "ping"}, user=None, is_named=False)

    assert [message["code"] for message in wire.sent] == ["unauthenticated"]
    assert wire.code == 4401


def test_an_anonymous_socket_may_still_say_whose_it_is() -> None:
    world = World(allow_anonymous=True)
    job_id = world.submit(ADA)["id"]

    wire = talk(
        world,
        subscribe(job_id),
        {"type": "auth", "token": TOKEN},
        subscribe(job_id),
        user="local",
        is_named=False,
    )

    kinds = [message["type"] for message in wire.sent]
    assert kinds == ["error", "authenticated", "subscribed", "event"]


def test_a_named_socket_keeps_its_user() -> None:
    bob = BOB["Authorization"].removeprefix("Bearer ")

    wire = talk(World(), {"type": "auth", "token": bob}, {"type": "auth", "token": TOKEN})

    assert [message["type"] for message in wire.sent] == ["error", "authenticated"]


def test_too_many_messages_end_with_4429() -> None:
    wire = talk(World(), *[{"type": "ping"}] * 300)

    assert [message["type"] for message in wire.sent] == ["pong"] * 200 + ["error"]
    assert wire.code == 4429


def test_a_bus_that_is_away_refuses_the_subscription_and_keeps_the_socket() -> None:
    events = CountingEvents(set())
    world = World(events=events)
    job_id = world.submit()["id"]

    def go_away() -> None:
        events.is_away = True

    def come_back() -> None:
        events.is_away = False

    wire = talk(world, go_away, subscribe(job_id), come_back, subscribe(job_id))

    assert [message.get("code") for message in wire.sent] == [
        "unavailable",
        None,
        None,
    ]
    [refused] = [line for line in world.log.lines if line.event == "socket_refused"]
    assert (refused.level, refused.keys["code"]) == ("warning", "unavailable")


def test_a_bus_that_is_away_at_the_opening_ends_with_1011() -> None:
    events = CountingEvents(set())
    events.is_away = True

    wire = talk(World(events=events))

    assert [message["code"] for message in wire.sent] == ["unavailable"]
    assert wire.code == 1011


def test_a_fault_of_ours_is_logged_and_ends_with_1011() -> None:
    store = InterruptedStore()
    world = World(store=store)
    job_id = world.submit()["id"]

    def fail() -> None:
        raise RuntimeError("inner workings")

    store.on_get = fail
    wire = talk(world, subscribe(job_id))

    assert [message["code"] for message in wire.sent] == ["internal_error"]
    assert "inner workings" not in json.dumps(wire.sent)
    assert wire.code == 1011
    assert [line.event for line in world.log.faults] == ["socket_failed"]


def test_a_drain_ends_with_1012_and_so_does_whoever_comes_later() -> None:
    world = World()

    wire = talk(world, world.hub.drain, {"type": "ping"}, {"type": "ping"})
    late = talk(world, {"type": "ping"})

    assert (wire.code, late.code) == (1012, 1012)


class InterruptedStore(MemoryJobStore):
    """A store where something happens right before a row is read, once."""

    def __init__(self) -> None:
        super().__init__()
        self.on_get: Callable[[], object] | None = None

    def get(self, job_id: JobId) -> Job:
        happen, self.on_get = self.on_get, None
        if happen is not None:
            happen()
        return super().get(job_id)


class CountingEvents(MemoryEvents):
    """A bus that can be away, and tells what is subscribed to."""

    def __init__(self, topics: set[Topic]) -> None:
        super().__init__()
        self.topics = topics
        self.added: list[Topic] = []
        self.is_away = False

    def add(self, topic: Topic) -> None:
        if self.is_away:
            raise Unavailable("events", "away (test)")
        self.added.append(topic)
        self.topics.add(topic)
        super().add(topic)

    def remove(self, topic: Topic) -> None:
        self.topics.discard(topic)
        super().remove(topic)


def test_a_job_can_be_cancelled_over_the_socket_and_watchers_are_told() -> None:
    world = World()
    job_id = world.submit()["id"]

    wire = talk(world, subscribe(job_id, after=1), {"type": "cancel", "job_id": job_id})

    assert [message["type"] for message in wire.sent] == ["subscribed", "event", "cancelled"]
    assert wire.sent[1]["event"] == "job.cancelled"
    assert wire.sent[2]["job"]["status"] == "CANCELLED"


def test_another_users_job_cannot_be_cancelled_over_the_socket() -> None:
    world = World()
    job_id = world.submit(BOB)["id"]

    wire = talk(world, {"type": "cancel", "job_id": job_id})

    assert [message["code"] for message in wire.sent] == ["job_not_found"]
    assert world.store.get(job_id).status is JobStatus.PENDING


def test_leaving_a_socket_cancels_nothing() -> None:
    world = World()
    job_id = world.submit()["id"]

    talk(world, subscribe(job_id))

    assert world.store.get(job_id).status is JobStatus.PENDING


def test_who_subscribes_to_a_job_it_has_heard_of_is_told_from_the_first_event() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])

    def publish() -> None:
        for number, kind in (
            (1, EventType.QUEUED),
            (1_000_001, EventType.STARTED),
            (1_000_002, EventType.DELTA),
            (1_000_003, EventType.COMPLETED),
        ):
            world.events.publish(event_of(job, number, kind, text="Hello"))
        world.complete(job.id)

    wire = talk(world, publish, subscribe(job.id), subscribe(job.id, after=1_000_001))

    subscriptions = [at for at, told in enumerate(wire.sent) if told["type"] == "subscribed"]
    first, second = subscriptions
    numbers = [message["seq"] for message in wire.sent]
    assert numbers[:first] == [1, 1_000_001, 1_000_003]
    assert numbers[first + 1 : second] == [1, 1_000_001, 1_000_002, 1_000_003]
    assert numbers[second + 1 :] == [1_000_002, 1_000_003]
    assert wire.sent[first]["recovered"] is True


def test_who_subscribes_in_time_hears_nothing_twice() -> None:
    store = InterruptedStore()
    world = World(store=store)
    job = world.store.get(world.submit()["id"])
    store.on_get = lambda: world.events.publish(event_of(job, 1_000_001, EventType.STARTED))

    wire = talk(world, subscribe(job.id))

    assert [message["seq"] for message in wire.sent[1:]] == [1, 1_000_001]


def test_who_may_only_read_cannot_cancel_over_a_socket() -> None:
    world = World()
    job_id = world.submit()["id"]

    wire = talk(world, {"type": "cancel", "job_id": job_id}, scopes=frozenset({Scope.READ}))

    [refusal] = [message for message in wire.sent if message["type"] == "error"]
    assert (refusal["code"], refusal["job_id"], wire.code) == ("forbidden", job_id, None)
    assert world.client.get(f"/v1/jobs/{job_id}", headers=ADA).get_json()["status"] == "PENDING"


def test_a_token_that_may_not_read_closes_the_socket_as_forbidden() -> None:
    world = World(authenticator=WriteOnly())

    wire = talk(world, {"type": "auth", "token": TOKEN}, user=None, is_named=False)

    assert wire.sent[-1]["code"] == "forbidden"
    assert wire.code == 4403


class WriteOnly:
    """jobs.ports.Authenticator whose callers may submit and no more."""

    def identify(self, token: str | None) -> Caller:
        assert token
        return Caller(user=UserId("ada"), scopes=frozenset({Scope.WRITE}))

    def still_knows(self, caller: Caller) -> bool:
        return caller.user == "ada"


class Ending:
    """jobs.ports.Authenticator whose credentials are over when the test says so."""

    is_over = False
    is_away = False

    def identify(self, token: str | None) -> Caller:
        if self.is_away:
            raise Unavailable("store", f"cannot look {token!r} up (test)")
        return Caller(user=UserId("ada"), key="lh_aaaaaaaa")

    def still_knows(self, caller: Caller) -> bool:
        return caller.key is not None and not self.is_over


def passing(world: World, seconds: float) -> Callable[[], None]:
    return lambda: world.clock.advance(timedelta(seconds=seconds))


def test_a_socket_ends_when_its_token_is_over() -> None:
    world = World()
    over = world.clock.now() + timedelta(seconds=90)
    caller = Caller(user=UserId("ada"), expires_at=over)

    wire = talk(
        world,
        {"type": "ping"},
        passing(world, 89),
        {"type": "ping"},
        passing(world, 1),
        {"type": "ping"},
        caller=caller,
    )

    assert [message["type"] for message in wire.sent] == ["pong", "pong", "error"]
    assert wire.code == 4401
    assert wire.timeouts[-1] == 1.0


def test_a_newer_token_lets_a_socket_go_on() -> None:
    world = World()
    over = world.clock.now() + timedelta(seconds=90)

    wire = talk(
        world,
        {"type": "ping"},
        {"type": "auth", "token": TOKEN},
        passing(world, 100),
        {"type": "ping"},
        caller=Caller(user=UserId("ada"), expires_at=over),
    )

    assert [message["type"] for message in wire.sent] == ["pong", "authenticated", "pong"]
    assert wire.code is None


def test_a_socket_ends_soon_after_its_key_was_revoked() -> None:
    door = Ending()
    world = World(authenticator=door)

    def revoke() -> None:
        door.is_over = True

    wire = talk(
        world,
        {"type": "ping"},
        revoke,
        {"type": "ping"},  # nobody has looked yet
        passing(world, LOOK_SECONDS),
        {"type": "ping"},
        caller=door.identify(TOKEN),
    )

    assert [message["type"] for message in wire.sent] == ["pong", "pong", "error"]
    assert wire.code == 4401
    assert LOOK_SECONDS in wire.timeouts


def test_who_cannot_be_looked_up_is_told_1011_and_may_come_back() -> None:
    door = Ending()
    door.is_away = True

    wire = talk(World(authenticator=door), {"type": "auth", "token": TOKEN}, user=None)

    assert wire.sent[0]["code"] == "unavailable"
    assert wire.code == 1011


def test_who_subscribes_while_a_gap_is_told_of_hears_of_it_before_and_not_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    job_id = world.submit()["id"]
    is_telling, may_go_on = threading.Event(), threading.Event()
    rereads: list[threading.Thread] = []

    def confirm(topic: Topic) -> None:
        if topic == topic_of_user(UserId("ada")):
            is_telling.set()
            assert may_go_on.wait(10)

    def lose_touch() -> None:
        world.events.lose_touch()
        rereads[0].start()
        assert is_telling.wait(10)
        # The subscription comes first where it may; where it may not, it waits for its turn.
        threading.Timer(0.1, may_go_on.set).start()

    def wait_for_the_reread() -> None:
        rereads[0].join(10)

    monkeypatch.setattr(
        "web.hub.spawn", lambda reread: rereads.append(threading.Thread(target=reread))
    )
    monkeypatch.setattr(world.hub, "confirm", confirm)

    wire = talk(world, lose_touch, subscribe(job_id), wait_for_the_reread)

    assert [message.get("code", message["type"]) for message in wire.sent] == [
        "events_missed",
        "subscribed",
        "event",
    ]
