"""A web process that goes answers whoever the kernel has let in, on its real gunicorn."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_web_process import WebProcess
from tests.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
# More than gevent accepts at one look at its listener.
_CROWD = 300
_CALLERS = 12
# Seconds between a worker's looks at whether it is to go: the one at which it would close the door.
_LOOKS_EVERY = 1.1


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path)
    yield process
    process.stop()


def answer_on(line: socket.socket) -> HTTPResponse:
    answer = HTTPResponse(line)
    answer.begin()
    answer.read()
    return answer


def test_who_stands_in_the_backlog_is_answered_before_the_door_closes(web: WebProcess) -> None:
    [worker] = web.program.children()
    os.kill(worker, signal.SIGSTOP)
    frozen_at = time.monotonic()
    with ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=30))
            for _ in range(_CROWD)
        ]
        for line in lines:
            line.sendall(_REQUEST)

        web.program.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "Handling signal: term" in web.program.output, "gunicorn ends")
        wait_until(lambda: time.monotonic() > frozen_at + _LOOKS_EVERY, "its look is due")
        os.kill(worker, signal.SIGCONT)

        answers = [answer_on(line) for line in lines]
    assert {answer.status for answer in answers} == {200}
    assert answers[-1].getheader("Connection") == "close"
    assert web.program.process.wait(30) == 0


def call_on_and_on(port: int, told: Counter[str], ended: threading.Event) -> None:
    """Open one connection after the other, and count how each went, until one is refused."""
    while not ended.is_set():
        try:
            line = socket.create_connection(("127.0.0.1", port), timeout=30)
        except ConnectionRefusedError:
            return
        with line:
            try:
                line.sendall(_REQUEST)
                told[f"answered {answer_on(line).status}"] += 1
            except (OSError, HTTPException) as error:
                told[f"broken: {error!r}"] += 1


def test_no_connection_is_reset_while_the_process_goes_under_load(web: WebProcess) -> None:
    told: Counter[str] = Counter()
    ended = threading.Event()
    callers = [
        threading.Thread(target=call_on_and_on, args=(web.port, told, ended), daemon=True)
        for _ in range(_CALLERS)
    ]
    for caller in callers:
        caller.start()
    wait_until(lambda: told.total() > _CALLERS, "they are answered")

    web.program.process.send_signal(signal.SIGTERM)

    assert web.program.process.wait(30) == 0
    for caller in callers:
        caller.join(30)
    ended.set()
    assert set(told) == {"answered 200"}
