"""Life, readiness, and which pages may open a WebSocket."""

from __future__ import annotations

import threading

import pytest
from werkzeug.datastructures import Headers

from jobs.errors import Misconfigured, Unavailable
from tests.stack import wait_until
from tests.web_world import ADA, WebRecordingLog, World
from web.caller import is_own_origin
from web.readiness import PartState, Readiness, tell_what_is_away


def _away() -> None:
    raise Unavailable("store", "no route to 10.0.0.7 with password hunter2")


def _missing() -> None:
    raise Misconfigured("there is no table Jobs: bootstrap")


def _broken() -> None:
    raise RuntimeError("hunter2")


def test_a_process_is_alive_whatever_its_parts_do() -> None:
    world = World(readiness={"store": _away})

    response = world.client.get("/healthz")

    assert (response.status_code, response.get_json()) == (200, {"status": "alive"})
    assert world.log.count("request_answered") == 1
    assert world.log.lines[-1].level == "debug"


def test_ready_means_every_part_is() -> None:
    world = World(readiness={"store": lambda: None, "events": lambda: None})

    response = world.client.get("/readyz")

    assert response.status_code == 200
    assert response.get_json() == {
        "status": "ready",
        "parts": {"store": "ready", "events": "ready"},
    }


def test_a_part_that_is_away_is_named_without_its_secrets() -> None:
    world = World(readiness={"store": _away, "objects": _broken, "events": lambda: None})

    response = world.client.get("/readyz")

    assert response.status_code == 503
    assert response.get_json() == {
        "status": "not_ready",
        "parts": {"store": "unavailable", "objects": "unavailable", "events": "ready"},
    }
    assert "hunter2" not in response.text


@pytest.mark.parametrize("part", ["objects", "events"])
def test_a_part_that_only_some_requests_need_is_told_and_takes_nobody_out_of_service(
    part: str,
) -> None:
    checks = dict.fromkeys(("store", "objects", "events"), lambda: None)
    world = World(readiness={**checks, part: _away})

    response = world.client.get("/readyz")

    assert response.status_code == 200
    assert response.get_json() == {
        "status": "degraded",
        "parts": {**dict.fromkeys(checks, "ready"), part: "unavailable"},
    }


def test_a_part_that_does_not_answer_holds_up_neither_the_answer_nor_the_others() -> None:
    release, calls = threading.Event(), []

    def hang() -> None:
        calls.append(1)
        release.wait(60)

    readiness = Readiness(
        {"store": hang, "events": lambda: None}, WebRecordingLog(), check_seconds=0.05
    )
    states = [readiness.states() for _ in range(3)]
    release.set()

    assert states == [{"store": PartState.SILENT, "events": PartState.READY}] * 3
    assert len(calls) == 1


def test_what_is_away_at_the_start_is_told_by_its_part_and_holds_up_nothing() -> None:
    release, log = threading.Event(), WebRecordingLog()
    checks = {"store": _missing, "objects": lambda: release.wait(60), "events": _away}

    tell_what_is_away(checks, log)  # type: ignore[arg-type] # what wait gives is dropped
    wait_until(lambda: len(log.lines) == 2, "both are told")
    release.set()

    assert {(line.level, line.event, line.keys["role"]) for line in log.lines} == {
        ("warning", "started_without", "web")
    }
    told = {line.keys["part"]: line.keys["reason"] for line in log.lines}
    assert set(told) == {"store", "events"}
    assert told["store"] == "there is no table Jobs: bootstrap"


def test_parts_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=30)

    states = Readiness(
        dict.fromkeys(("a", "b", "c"), together.wait),  # type: ignore[arg-type] # its number is dropped
        WebRecordingLog(),
        check_seconds=30,
    ).states()

    assert set(states.values()) == {PartState.READY}


def test_a_process_that_drains_is_not_ready() -> None:
    world = World()
    world.hub.drain()

    response = world.client.get("/readyz")

    assert (response.status_code, response.get_json()["status"]) == (503, "draining")


@pytest.mark.parametrize(
    ("origin", "host", "is_own"),
    [
        (None, "api.example", True),
        ("https://api.example", "api.example", True),
        ("https://API.example", "api.example:443", True),
        ("http://api.example", "api.example", True),
        ("http://127.0.0.1:5000", "127.0.0.1:5000", True),
        ("http://[::1]:5000", "[::1]:5000", True),
        ("https://friend.example", "api.example", True),
        ("http://friend.example", "api.example", False),
        ("https://api.example:444", "api.example", False),
        ("https://evil.example", "api.example", False),
        ("https://api.example.evil.example", "api.example", False),
        ("null", "api.example", False),
        ("", "api.example", False),
        ("https://", "", False),
        ("https://[", "api.example", False),
        ("https://api.example:x", "api.example", False),
        ("file://", "api.example", False),
    ],
)
def test_only_our_own_pages_and_listed_ones_may_connect(
    origin: str | None, host: str, *, is_own: bool
) -> None:
    headers = Headers({"Host": host} | ({} if origin is None else {"Origin": origin}))

    assert is_own_origin(headers, frozenset({"https://friend.example"})) is is_own


def test_the_sockets_address_without_a_handshake_is_426() -> None:
    response = World().client.get("/v1/ws", headers=ADA)

    assert (response.status_code, response.headers["Upgrade"]) == (426, "websocket")
    assert response.get_json()["code"] == "upgrade_required"
