"""Server-sent events from the real processes, over real connections."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.integration.test_main_path import directive, result_of, submit, text_of
from tests.integration.test_web_process import WebProcess
from tests.stack import wait_until
from tests.web_world import ADA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import System

SIZE = 20_000


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path)
    yield process
    process.stop()


@contextmanager
def events_of(
    url: str, job_id: str, *, after: int | None = None, headers: dict[str, str] | None = None
) -> Iterator[Iterator[dict[str, Any]]]:
    """Read a job's stream as a browser does: `data` lines, and the number that came last."""
    last = {} if after is None else {"Last-Event-ID": str(after)}
    address = f"{url}/v1/jobs/{job_id}/events"
    with (
        httpx.Client(timeout=60, trust_env=False) as client,
        client.stream("GET", address, headers={**(headers or {}), **last}) as response,
    ):
        assert response.status_code == httpx.codes.OK
        yield (json.loads(line[6:]) for line in response.iter_lines() if line[:6] == "data: ")


def test_the_streamed_text_is_the_stored_result(system: System) -> None:
    job_id = submit(system, directive("tokens=40; duration_s=1"))["id"]

    with events_of(system.url, job_id) as events:
        told = list(events)

    assert [told[0]["event"], told[1]["event"], told[-1]["event"]] == [
        "job.queued",
        "job.started",
        "job.completed",
    ]
    assert text_of(told) == result_of(system, job_id)


def test_who_leaves_and_comes_back_gets_every_event_once(system: System) -> None:
    job_id = submit(system, directive("tokens=120; duration_s=4"))["id"]
    told: list[dict[str, Any]] = []
    while not told or told[-1]["event"] != "job.completed":
        with events_of(system.url, job_id, after=told[-1]["seq"] if told else None) as events:
            for event, _ in zip(events, range(15), strict=False):
                told.append(event)

    numbers = [event["seq"] for event in told]
    assert numbers == [1, *range(1_000_001, numbers[-1] + 1)]
    assert text_of(told) == result_of(system, job_id)


def test_the_bytes_are_those_of_the_specification(system: System) -> None:
    job_id = submit(system, directive("tokens=3"))["id"]

    with httpx.stream("GET", f"{system.url}/v1/jobs/{job_id}/events", timeout=60) as response:
        shown = response.read().decode()

    assert shown.startswith("retry: 1000\n\nid: 1\ndata: {")
    assert shown.endswith("}\n\n")


def test_a_reader_that_does_not_read_is_cut_off_and_delays_nobody(web: WebProcess) -> None:
    job_id = web.submit()
    web.publish(job_id, first=1_000_001, count=1, event="job.started")
    slow = socket.create_connection(("127.0.0.1", web.port))
    lines = (
        f"GET /v1/jobs/{job_id}/events HTTP/1.1",
        "Host: longhaul",
        f"Authorization: {ADA['Authorization']}",
    )
    slow.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    with events_of(f"http://127.0.0.1:{web.port}", job_id, headers=ADA) as events:
        assert [next(events)["event"] for _ in range(2)] == ["job.queued", "job.started"]
        wait_until(lambda: web.sockets()["sockets"] == 2, "both are listening")
        for first in range(1_000_002, 1_000_402, 20):
            web.publish(job_id, first=first, count=20, size=SIZE)
            assert [next(events)["seq"] for _ in range(20)] == list(range(first, first + 20))
        wait_until(lambda: web.sockets()["sockets"] == 1, "the slow one is dropped")
    slow.close()


def test_a_client_that_goes_away_is_forgotten(web: WebProcess) -> None:
    job_id = web.submit()
    with events_of(f"http://127.0.0.1:{web.port}", job_id, headers=ADA) as events:
        assert next(events)["event"] == "job.queued"
        assert web.sockets()["sockets"] == 1

    wait_until(lambda: web.sockets() == {"sockets": 0, "topics": 0}, "it to be forgotten")
