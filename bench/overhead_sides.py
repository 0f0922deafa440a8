"""The sides of overhead: who asks for one answer of the model, and when they learn of it.

Times are seconds since the epoch, of one machine: the clients', and the model's own ledger.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from websockets.sync.client import connect

from bench.crowd import HOST
from bench.peers.bare_celery import TASK, make_app
from tests.stack import Program, clean_environ

if TYPE_CHECKING:
    from collections.abc import Iterator

    from celery import Celery
    from websockets.sync.client import ClientConnection

    from tests.stack import LocalStack

MODEL = "amazon.nova-lite-v1:0"
POLL_SECONDS = 3.0  # of the pattern's AWS form
_TOKENS = 40
_SHORTEST = 0.25  # a chunk is one token, so the last one leaves as the answer ends
_WITHIN = 60.0
_ENDS = frozenset({"job.completed", "job.failed", "job.expired", "job.cancelled"})


@dataclass(frozen=True, kw_only=True)
class Overhead:
    """What is not the model: seconds until it was called, and from its end until one knew."""

    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A job from outside: when it was asked for, and when its end was known."""

    job_id: str
    at: float
    known_at: float


class Ledger:
    """The model's own account of its calls."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack

    def overhead(self, asked: _Asked) -> Overhead:
        """Say what a job took beside its one call. Raises ValueError: it was not one."""
        [call] = self._stack.model_calls(asked.job_id)
        if call["outcome"] != "completed":
            raise ValueError(f"the model's call ended as {call['outcome']}")
        return Overhead(
            before=call["started_at"] - asked.at, after=asked.known_at - call["ended_at"]
        )


class Side(Protocol):
    """Who asks."""

    def ask(self, jobs: int) -> list[Overhead]:
        """Ask for so many jobs, and say what was added to each."""


@dataclass(frozen=True, kw_only=True)
class Watching:
    """Longhaul, watched on a WebSocket that is open before the job is posted."""

    port: int
    ledger: Ledger

    def ask(self, jobs: int) -> list[Overhead]:
        """Ask for one job after the other."""
        posts = http.client.HTTPConnection(HOST, self.port, timeout=_WITHIN)
        with connect(f"ws://{HOST}:{self.port}/v1/ws", proxy=None) as socket:
            asked = [_watch_one(posts, socket) for _ in range(jobs)]
        posts.close()
        return [self.ledger.overhead(one) for one in asked]


@dataclass(frozen=True, kw_only=True)
class Polling:
    """The AWS form's client: it posts and then looks every three seconds."""

    port: int
    ledger: Ledger

    def ask(self, jobs: int) -> list[Overhead]:
        """Ask for all jobs at once, whose calls end at any moment between two looks."""
        seconds = [_SHORTEST + POLL_SECONDS * number / jobs for number in range(jobs)]
        with ThreadPoolExecutor(jobs) as clients:
            asked = list(clients.map(self._poll_one, seconds))
        return [self.ledger.overhead(one) for one in asked]

    def _poll_one(self, seconds: float) -> _Asked:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_WITHIN)
        at = time.time()
        job = _post(connection, seconds)
        deadline = time.monotonic() + _WITHIN
        while job["status"] != "COMPLETED":
            if time.monotonic() > deadline:
                raise TimeoutError(f"{job['id']} is {job['status']}")
            time.sleep(POLL_SECONDS)
            connection.request("GET", job["links"]["self"])
            job = json.loads(connection.getresponse().read())
        known_at = time.time()
        connection.close()
        return _Asked(job_id=job["id"], at=at, known_at=known_at)


@dataclass(frozen=True, kw_only=True)
class Bare:
    """Bare Celery, whose result is waited for."""

    celery: Celery
    ledger: Ledger

    def ask(self, jobs: int) -> list[Overhead]:
        """Ask for one call after the other."""
        task = self.celery.tasks[TASK]
        asked = []
        for _ in range(jobs):
            job_id = f"bare-{time.time_ns()}"
            at = time.time()
            task.delay(job_id, MODEL, _prompt(_SHORTEST)).get(timeout=_WITHIN)
            asked.append(_Asked(job_id=job_id, at=at, known_at=time.time()))
        return [self.ledger.overhead(one) for one in asked]


@contextmanager
def bare_celery(stack: LocalStack) -> Iterator[Celery]:
    """Run bare Celery's worker, and give its client."""
    program = Program(
        (sys.executable, "-m", "bench.peers.bare_celery"),
        environ={**clean_environ(), **stack.environ},
        log=stack.folder / "bare_celery.log",
    )
    try:
        program.wait_for(lambda: "ready." in program.output, "bare Celery is ready")
        yield make_app(stack.redis_url)
    finally:
        program.kill()


def _prompt(seconds: float) -> str:
    return f"<<stand-in: tokens={_TOKENS}; first_token_s=0.05; duration_s={seconds:g}>> Go on."


def _post(connection: http.client.HTTPConnection, seconds: float) -> dict[str, Any]:
    body = json.dumps({"model": MODEL, "prompt": _prompt(seconds)})
    connection.request("POST", "/v1/jobs", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    job: dict[str, Any] = json.loads(answer.read())
    if answer.status != http.HTTPStatus.ACCEPTED:
        raise ValueError(f"POST was answered with {answer.status}")
    return job


def _watch_one(posts: http.client.HTTPConnection, socket: ClientConnection) -> _Asked:
    at = time.time()
    job_id = _post(posts, _SHORTEST)["id"]
    socket.send(json.dumps({"type": "subscribe", "job_id": job_id}))
    while True:
        said = json.loads(socket.recv(timeout=_WITHIN))
        if said.get("job_id") == job_id and said.get("event") in _ENDS:
            return _Asked(job_id=job_id, at=at, known_at=time.time())
