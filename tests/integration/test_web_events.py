"""Server-sent events from the real processes, over real connections."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from contextlib import contextmanager, suppress
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


def test_a_browser_that_is_sent_away_never_meets_an_error_of_the_old_process(
    web: WebProcess,
) -> None:
    job_id = web.submit()
    address = f"http://127.0.0.1:{web.port}/v1/jobs/{job_id}/events"
    statuses = set()
    with httpx.Client(timeout=60, trust_env=False, headers=ADA) as browser:
        with browser.stream("GET", address) as response:
            lines = response.iter_lines()
            assert next(lines) == "retry: 1000"
            web.program.process.send_signal(signal.SIGTERM)
            assert list(lines)[-1] == ""  # a clean end: the last chunk has come

        while web.program.is_running:
            with suppress(httpx.TransportError):  # at which a browser comes back
                statuses.add(browser.get(address).status_code)

    assert statuses <= {200}  # EventSource gives up for good at a 503
    assert web.program.process.wait(30) == 0
    assert "Traceback" not in web.program.output


def test_a_reader_that_stops_is_dropped_though_nothing_more_happens(tmp_path: Path) -> None:
    web = WebProcess(tmp_path, write_seconds=1)
    try:
        job_id = web.submit()
        web.publish(job_id, first=1_000_001, count=1, event="job.started")
        web.publish(job_id, first=1_000_002, count=400, size=SIZE)
        with socket.create_connection(("127.0.0.1", web.port)) as slow:
            slow.sendall(_request(job_id))
            wait_until(lambda: web.sockets()["sockets"] == 1, "it to listen")
            wait_until(lambda: web.sockets()["sockets"] == 0, "it to be dropped")
        assert "Traceback" not in web.program.output
    finally:
        web.stop()


def test_a_long_log_is_told_whole(web: WebProcess) -> None:
    job_id = web.submit()
    web.publish(job_id, first=1_000_001, count=1, event="job.started")
    web.publish(job_id, first=1_000_002, count=400, size=SIZE)

    with events_of(f"http://127.0.0.1:{web.port}", job_id, headers=ADA) as events:
        numbers = [next(events)["seq"] for _ in range(402)]

    assert numbers == [1, *range(1_000_001, 1_000_402)]


def test_curl_shows_each_event_at_once(web: WebProcess) -> None:
    curl = shutil.which("curl")
    assert curl, "curl is not installed"
    job_id = web.submit()
    address = f"http://127.0.0.1:{web.port}/v1/jobs/{job_id}/events"
    command = [curl, "-sSN", "-H", f"Authorization: {ADA['Authorization']}", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as shown:  # noqa: S603 - our own command
        assert shown.stdout is not None
        assert [shown.stdout.readline() for _ in range(3)] == [b"retry: 1000\n", b"\n", b"id: 1\n"]
        seq = web.command("complete", job_id=job_id)["seq"]
        web.publish(job_id, first=seq, count=1, event="job.completed")
        rest = shown.stdout.read()

        assert shown.wait(30) == 0
    assert f"id: {seq}\n".encode() in rest


def _request(job_id: str) -> bytes:
    lines = (
        f"GET /v1/jobs/{job_id}/events HTTP/1.1",
        "Host: longhaul",
        f"Authorization: {ADA['Authorization']}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
