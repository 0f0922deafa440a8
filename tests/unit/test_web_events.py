"""GET /v1/jobs/{id}/events on a world in memory."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from adapters.keys import SettingsAuthenticator
from jobs.errors import Unavailable
from jobs.events import EventType
from tests.web_world import ADA, BOB, World, event_of
from web import event_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from werkzeug.wrappers import Response

    from jobs.caller import Caller
    from jobs.ports import Topic


class Reader:
    """A client of one stream, chunk by chunk."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self._chunks = iter(response.iter_encoded())

    def next(self) -> str:
        return next(self._chunks).decode()

    def rest(self) -> list[dict[str, Any]]:
        return messages("".join(chunk.decode() for chunk in self._chunks))


def messages(text: str) -> list[dict[str, Any]]:
    """Read a stream as the specification says: blocks of lines, `id` and `data`."""
    read = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "data" in fields:
            message = json.loads(fields["data"])
            assert fields["id"] == str(message["seq"])
            read.append(message)
    return read


@contextmanager
def reading(world: World, job_id: str, **options: Any) -> Iterator[Reader]:  # noqa: ANN401 - the client's
    world.events.close()  # so that listening only names the listener, and returns
    world.events.listen(world.hub)
    headers = {**ADA, **options.pop("headers", {})}
    with world.client.get(f"/v1/jobs/{job_id}/events", headers=headers, **options) as response:
        yield Reader(response)


def kinds(read: list[dict[str, Any]]) -> list[str]:
    return [message["event"] for message in read]


def test_a_job_is_told_from_its_first_event_to_its_last() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])

    with reading(world, job.id) as reader:
        assert reader.response.status_code == 200
        assert reader.response.content_type == "text/event-stream; charset=utf-8"
        assert reader.response.headers["Cache-Control"] == "no-store"
        opening = reader.next()
        assert opening.startswith("retry: 1000\n\n")
        assert kinds(messages(opening)) == ["job.queued"]
        world.events.publish(event_of(job, 1_000_001, EventType.STARTED))
        assert kinds(messages(reader.next())) == ["job.started"]
        world.events.publish(event_of(job, 1_000_002, text="Hel\nlo"))
        assert messages(reader.next())[0]["text"] == "Hel\nlo"
        world.events.publish(event_of(job, 1_000_003, EventType.COMPLETED))
        assert kinds(reader.rest()) == ["job.completed"]

    assert not world.events.topics
    assert not world.hub._watchers  # noqa: SLF001 - that nothing is left is the promise


def test_an_ended_job_is_told_whole_and_the_stream_ends() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.complete(job_id)

    with reading(world, job_id) as reader:
        read = reader.rest()

    assert kinds(read) == ["job.queued", "job.started", "job.delta", "job.completed"]


@pytest.mark.parametrize("by", ["header", "address", "both"])
def test_who_comes_back_gets_what_is_new(by: str) -> None:
    world = World()
    job = world.store.get(world.submit()["id"])
    for number in (1_000_001, 1_000_002, 1_000_003):
        kind = EventType.STARTED if number == 1_000_001 else EventType.DELTA
        world.events.publish(event_of(job, number, kind, text="x"))
    world.complete(job.id, seq=4)
    headers = {} if by == "address" else {"Last-Event-ID": "1000002"}
    after = {"address": "?after=1000002", "both": "?after=1", "header": ""}[by]

    with reading(world, job.id, headers=headers, query_string=after.removeprefix("?")) as reader:
        assert [message["seq"] for message in reader.rest()] == [1_000_003, 1_000_004]


def test_who_has_seen_the_end_is_told_to_stop() -> None:
    world = World()
    job_id = world.submit()["id"]
    end = world.complete(job_id).seq

    with reading(world, job_id, headers={"Last-Event-ID": str(end)}) as reader:
        assert reader.response.status_code == 204
        assert reader.response.data == b""


@pytest.mark.parametrize("known", [{}, {"Last-Event-ID": "1"}])
@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "1.5", "9007199254740992", "9" * 40, "１"],  # noqa: RUF001 - a wide digit
)
def test_a_number_that_is_none_is_named(text: str, known: dict[str, str]) -> None:
    world = World()
    job_id = world.submit()["id"]

    with reading(world, job_id, query_string={"after": text}, headers=known) as reader:
        assert reader.response.status_code == 422
        problem = reader.response.get_json()
    assert (problem["code"], problem["errors"][0]["field"]) == ("invalid_request", "after")


@pytest.mark.parametrize("name", ["x", "job_00000000000000000000000000"])
def test_a_job_that_is_not_there_is_not_found(name: str) -> None:
    with reading(World(), name) as reader:
        assert reader.response.status_code == 404


def test_another_users_job_is_not_found() -> None:
    world = World()
    job_id = world.submit(BOB)["id"]

    with reading(world, job_id) as reader:
        assert reader.response.status_code == 404
        assert reader.response.get_json()["code"] == "job_not_found"


def test_a_quiet_stream_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert event_stream.COMMENT_SECONDS == 15  # what docs/api.md says
    monkeypatch.setattr(event_stream, "COMMENT_SECONDS", 0.001)
    world = World()
    job_id = world.submit()["id"]

    with reading(world, job_id) as reader:
        reader.next()
        assert reader.next() == ": keep-alive\n\n"


def test_a_drain_ends_the_stream_and_the_next_ones_at_once() -> None:
    world = World()
    job_id = world.submit()["id"]

    with reading(world, job_id) as reader:
        reader.next()
        world.hub.drain()
        assert reader.rest() == []
    with reading(world, job_id) as reader:
        assert reader.response.status_code == 200
        assert reader.next() == "retry: 1000\n\n"
        assert reader.rest() == []


@pytest.mark.parametrize(("accept", "status"), [("text/event-stream", 200), ("*/*", 503)])
def test_only_who_is_an_event_source_is_let_back_without_an_error_while_the_bus_is_away(
    monkeypatch: pytest.MonkeyPatch, accept: str, status: int
) -> None:
    world = World()
    job_id = world.submit()["id"]

    def refuse(topic: Topic) -> None:
        raise Unavailable("events", f"no {topic} (test)")

    monkeypatch.setattr(world.events, "add", refuse)

    with reading(world, job_id, headers={"Accept": accept}) as reader:
        assert reader.response.status_code == status
    assert not world.hub._watchers  # noqa: SLF001 - that nothing is left is the promise


class Away:
    """jobs.ports.Authenticator that cannot look anybody up."""

    def identify(self, token: str | None) -> Caller:
        raise Unavailable("store", f"cannot look {token!r} up (test)")

    def still_knows(self, caller: Caller) -> bool:
        return bool(caller)


@pytest.mark.parametrize(("accept", "status"), [("text/event-stream", 200), ("*/*", 503)])
def test_an_event_source_whose_credential_cannot_be_looked_up_comes_back(
    accept: str, status: int
) -> None:
    world = World(authenticator=Away())

    answer = world.client.get("/v1/jobs/job_x/events", headers=ADA | {"Accept": accept})

    assert answer.status_code == status
    assert (answer.text == "retry: 1000\n\n") is (status == 200)
    assert world.client.get("/v1/jobs", headers=ADA | {"Accept": accept}).status_code == 503


def test_a_stream_ends_soon_after_its_credential_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "COMMENT_SECONDS", 0.01)
    world = World()
    job_id = world.submit()["id"]
    answers = [True, False]

    def still_knows(_: object, caller: Caller) -> bool:
        return caller.user == "ada" and answers.pop(0)

    monkeypatch.setattr(SettingsAuthenticator, "still_knows", still_knows)

    with reading(world, job_id) as reader:
        reader.next()
        assert reader.rest() == []

    assert answers == []


def test_a_head_request_gets_the_headers_and_holds_nothing() -> None:
    world = World()
    job_id = world.submit()["id"]

    answer = world.client.head(f"/v1/jobs/{job_id}/events", headers=ADA)

    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert not world.hub._watchers  # noqa: SLF001 - that nothing is left is the promise


def test_a_long_log_is_told_whole_to_who_comes_late() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])
    world.events.publish(event_of(job, 1_000_001, EventType.STARTED))
    for number in range(1_000_002, 1_006_000):
        world.events.publish(event_of(job, number, text="x" * 200))
    world.complete(job.id, seq=6_000)

    with reading(world, job.id) as reader:
        numbers = [message["seq"] for message in reader.rest()]

    assert numbers == [1, *range(1_000_001, 1_006_001)]


def test_what_is_missed_while_the_log_is_told_is_read_as_well() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])

    with reading(world, job.id) as reader:
        reader.next()
        topics, world.events.topics = world.events.topics, set()
        world.events.publish(event_of(job, 1_000_001, EventType.STARTED))
        world.events.lose_touch()
        started = reader.next()  # the log has been read, and what it said is on its way
        world.complete(job.id, seq=2)
        world.events.lose_touch()
        world.events.topics = topics
        end = reader.rest()

    assert kinds(messages(started)) == ["job.started"]
    assert kinds(end) == ["job.completed"]


def test_a_redriven_job_is_told_past_its_first_end() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])
    world.events.publish(event_of(job, 1_000_001, EventType.STARTED))
    failed = world.fail(job.id)
    world.events.publish(event_of(job, failed.seq, EventType.FAILED))
    world.client.post(f"/v1/jobs/{job.id}/redrive", headers=ADA)

    with reading(world, job.id) as reader:
        told = messages(reader.next())
        world.hub.drain()

    assert kinds(told) == ["job.queued", "job.started", "job.failed", "job.queued"]


def test_what_was_missed_is_read_from_the_log() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])

    with reading(world, job.id) as reader:
        reader.next()
        topics, world.events.topics = world.events.topics, set()
        world.events.publish(event_of(job, 1_000_001, EventType.STARTED))
        world.events.topics = topics
        world.events.publish(event_of(job, 1_000_002, text="x"))
        read = messages(reader.next())

    assert kinds(read) == ["job.started", "job.delta"]


def test_what_was_told_while_the_bus_was_away_is_read_from_the_log() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])

    with reading(world, job.id) as reader:
        reader.next()
        world.complete(job.id)
        world.events.lose_touch()
        assert kinds(reader.rest()) == ["job.started", "job.delta", "job.completed"]


def test_the_stream_of_a_job_that_is_gone_ends_and_is_not_found_again() -> None:
    world = World()
    job = world.store.get(world.submit()["id"])

    with reading(world, job.id) as reader:
        reader.next()
        world.complete(job.id)
        world.client.delete(f"/v1/jobs/{job.id}", headers=ADA)
        world.events.lose_touch()
        assert reader.rest() == []
    with reading(world, job.id) as reader:
        assert reader.response.status_code == 404

    assert not world.hub._watchers  # noqa: SLF001 - that nothing is left is the promise


def test_who_reads_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "MAX_BYTES", 1_000)
    world = World()
    job = world.store.get(world.submit()["id"])

    with reading(world, job.id) as reader:
        reader.next()
        world.events.publish(event_of(job, 1_000_001, EventType.STARTED))
        for number in range(1_000_002, 1_000_010):
            world.events.publish(event_of(job, number, text="x" * 100))
        assert reader.rest() == []
