"""Who comes late, or after Redis has forgotten: what is left is told, and what is not is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.sync.client import connect

from adapters.redis_log import MOST_EVENTS
from tests.stack import http, wait_until
from tests.watcher_stage import open_stage
from tests.watchers_life import WatchersLife
from tests.watching import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack import Clients, LocalStack
    from tests.watcher_stage import Stage

IN_ROW, IN_OBJECTS = 64 * 1024, 0


@pytest.fixture(scope="module")
def stage(
    stand_ins: LocalStack, clients: Clients, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    with open_stage(stand_ins, clients, tmp_path_factory.mktemp("late")) as opened:
        yield opened


@pytest.fixture
def life(stage: Stage) -> Iterator[WatchersLife]:
    """Give a story that is told by hand; whoever watches it is checked as in the random ones."""

    class Life(WatchersLife):
        pass

    Life.stage = stage
    story = Life()
    yield story
    story.teardown()


def begin(life: WatchersLife, *, inline_bytes: int = IN_ROW) -> None:
    life.submit(inline_bytes)
    life.claim(0)


def events_of(life: WatchersLife, after: int = 0) -> list[dict[str, Any]]:
    """Read an ended job's stream to its end."""
    address = f"{life.stage.webs[1].url}/v1/jobs/{life.job_id}/events"
    answer = http.get(address, params={"after": after}).raise_for_status()
    assert answer.headers["Connection"] == "close"  # the server takes no request after a stream
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line[:6] == "data: "]


def told(events: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    return [(event["event"], event.get("seq_from", event["seq"]), event["seq"]) for event in events]


def test_who_begins_where_a_bounded_log_does_not_gets_a_gap_and_then_the_result(
    life: WatchersLife,
) -> None:
    begin(life)
    life.tell_text(["x"] * (MOST_EVENTS + 500), at_once=False)
    life.wait_until_said()
    life.record.losses += 1  # the beginning is gone
    life.watch(web=0, share=None, by_stream=True)
    life.watch(web=1, share=None, by_stream=False)
    wait_until(lambda: all(watcher.witness.is_void for watcher in life.watchers), "the gap")

    life.complete()

    life.wait_for_ends()
    for watcher in life.watchers:
        assert watcher.witness.text == "x" * (MOST_EVENTS + 500)
        assert [line.split()[0] for line in watcher.witness.story][-2:] == [
            "stream.gap",
            "job.completed",
        ]


@pytest.mark.parametrize("inline_bytes", [IN_ROW, IN_OBJECTS])
@pytest.mark.parametrize("piece", ["short ", "long " * 2_000])
def test_whose_log_is_lost_in_mid_job_is_told_so_and_gets_the_whole_text(
    life: WatchersLife, inline_bytes: int, piece: str
) -> None:
    begin(life, inline_bytes=inline_bytes)
    life.tell_text([piece] * 3, at_once=False)
    life.watch(web=0, share=0.7, by_stream=True)
    life.watch(web=1, share=0.7, by_stream=False)
    for watcher in life.watchers:
        life.stage.loop.do(watcher.leave())
    life.redis_is_wiped()
    life.tell_text([piece] * 3, at_once=False)
    for watcher in life.watchers:
        life.restart(watcher, web=0)
    life.complete()

    life.wait_for_ends()

    for watcher in life.watchers:
        assert watcher.witness.text == piece * 6
        assert any(line.startswith("stream.gap") for line in watcher.witness.story)


def test_every_number_of_an_ended_job_can_be_gone_on_from_without_its_log(
    life: WatchersLife,
) -> None:
    begin(life)
    life.tell_text(["a", "b", "c", "d"], at_once=False)
    life.retry("throttled")
    life.claim(1)
    life.tell_text(["e", "f", "g", "h"], at_once=False)
    life.complete()
    life.wait_until_said()
    numbers = list(life.record.numbers)
    life.redis_loses_the_log()

    first, end = 2_000_001, numbers[-1]
    whole = [
        ("job.started", first, first),
        ("job.delta", first + 1, end - 1),
        ("job.completed", end, end),
    ]
    assert told(events_of(life)) == [("stream.gap", 1, first - 1), *whole]
    for after in numbers[1:6]:  # in the attempt that came to nothing
        gap = [("stream.gap", after + 1, first - 1)] if after < first - 1 else []
        assert told(events_of(life, after)) == [*gap, *whole]
    for after in range(first, end - 1):  # in mid-text
        missing, completed = events_of(life, after)
        assert told([missing]) == [("stream.gap", after + 1, end - 1)]
        assert completed["result"] == {"text": "efgh", "bytes": 4}
    [completed] = events_of(life, end - 1)
    assert completed["result"]["text"] == "efgh"
    address = f"{life.stage.webs[0].url}/v1/jobs/{life.job_id}/events"
    assert http.get(address, params={"after": end}).status_code == httpx.codes.NO_CONTENT


def test_a_big_result_is_told_by_its_address_and_never_rides_in_an_event(
    life: WatchersLife,
) -> None:
    begin(life, inline_bytes=IN_OBJECTS)
    life.tell_text(["big " * 1_000] * 100, at_once=False)
    life.complete()
    life.wait_until_said()
    life.redis_loses_the_log()

    events = events_of(life)

    assert [event["event"] for event in events] == [
        "job.queued",
        "job.started",
        "stream.gap",
        "job.completed",
    ]
    assert all(len(json.dumps(event)) < 65_536 for event in events)
    assert fetch(events[-1]["result"]["url"]) == "big " * 100_000


def test_a_deleted_job_on_a_socket_silences_no_other_when_redis_is_away(
    life: WatchersLife,
) -> None:
    url = life.stage.webs[0].url
    gone = http.post(f"{url}/v1/jobs", json={"prompt": "x"}).raise_for_status().json()["id"]
    http.post(f"{url}/v1/jobs/{gone}/cancel").raise_for_status()
    begin(life)
    address = url.replace("http", "ws", 1) + "/v1/ws"
    with connect(address, compression=None, proxy=None, close_timeout=1) as watching:
        said: list[dict[str, Any]] = []

        def hear(kind: str, job_id: str) -> dict[str, Any]:
            while True:
                message: dict[str, Any] = json.loads(watching.recv(timeout=30))
                said.append(message)
                if message.get("event", message["type"]) == kind and message["job_id"] == job_id:
                    return message

        watching.send(json.dumps({"type": "subscribe", "job_id": gone}))
        hear("job.cancelled", gone)
        watching.send(json.dumps({"type": "subscribe", "job_id": life.job_id}))
        hear("job.started", life.job_id)
        http.delete(f"{url}/v1/jobs/{gone}").raise_for_status()

        life.subscriptions_are_cut()

        assert hear("error", gone)["code"] == "job_not_found"
        life.tell_text(["Hello"], at_once=False)
        life.complete()
        assert hear("job.completed", life.job_id)
    numbers = [message["seq"] for message in said if message.get("job_id") == life.job_id][1:]
    assert numbers == sorted(set(numbers))
