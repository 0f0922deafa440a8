"""A turn: so many jobs through one side, a window of them at a time, until all have ended.

The clients are threads of this process that do little: who posts keeps its connection, and one
thread hears the ends.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import redis
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POSTERS = 8  # connections
_PATIENCE = 60.0  # seconds in which some job must end
_LOOK = 0.5
_KEPT_SECONDS = 1.0  # gunicorn closes a connection that is idle for two


class Ends(Protocol):
    """Where a side tells of its jobs' ends."""

    def next_end(self) -> str | None:
        """Give the id of a job that has ended; None where none has for a while."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one turn took; `answers` are the answers that the jobs must have, by their ids."""

    seconds: float
    answers: dict[str, str]


class TurnFailed(Exception):
    """A side refused a job, or ended too few."""


def prompt_for(number: int) -> tuple[str, str]:
    """Write a prompt whose answer is known, and that answer."""
    answer = f"This is the answer to question {number}, and to no other."
    words = " ".join(f"word{(number * 7 + place) % 1000}" for place in range(40))
    return f"<<stand-in: echo={answer}>> Question {number}: {words}?", answer


def run_turn(address: str, ends: Ends, *, numbers: range, window: int) -> Turn:
    """Post a job for each number and wait for its end. Raises TurnFailed."""
    return _Turn(address, ends, numbers=numbers, window=window).run()


class _Turn:
    def __init__(self, address: str, ends: Ends, *, numbers: range, window: int) -> None:
        self._address = urlsplit(address)
        self._ends = ends
        self._numbers = numbers
        self._left = iter(numbers)
        self._lock = threading.Lock()
        self._room = threading.Semaphore(window)
        self._answers: dict[str, str] = {}
        self._failed = threading.Event()

    def run(self) -> Turn:
        began = time.monotonic()
        with ThreadPoolExecutor(_POSTERS, thread_name_prefix="poster") as pool:
            posting = [pool.submit(self._post) for _ in range(_POSTERS)]
            try:
                ended = self._hear()
                seconds = time.monotonic() - began
            except BaseException:
                self._failed.set()
                self._room.release(_POSTERS)
                for posted in posting:
                    posted.result()  # what a poster met says more
                raise
            for posted in posting:
                posted.result()
        if ended != self._answers.keys():
            raise TurnFailed("jobs ended that were not posted")
        return Turn(seconds=seconds, answers=self._answers)

    def _hear(self) -> set[str]:
        ended: set[str] = set()
        deadline = time.monotonic() + _PATIENCE
        while len(ended) < len(self._numbers):
            job_id = self._ends.next_end()
            if job_id is not None and job_id not in ended:
                ended.add(job_id)
                self._room.release()
                deadline = time.monotonic() + _PATIENCE
            elif self._failed.is_set() or time.monotonic() > deadline:
                raise TurnFailed(f"{len(ended)} of {len(self._numbers)} jobs ended")
        return ended

    def _post(self) -> None:
        try:
            self._post_all()
        except BaseException:
            self._failed.set()
            raise

    def _post_all(self) -> None:
        connection = HTTPConnection(self._address.netloc, timeout=_PATIENCE)
        used_at = time.monotonic()
        while (number := self._next()) is not None:
            self._room.acquire()
            if self._failed.is_set():
                return
            if time.monotonic() - used_at > _KEPT_SECONDS:
                connection.close()  # the next request opens it anew
            prompt, answer = prompt_for(number)
            connection.request(
                "POST",
                self._address.path,
                json.dumps({"prompt": prompt}),
                {"Content-Type": "application/json"},
            )
            response = connection.getresponse()
            said = response.read()
            used_at = time.monotonic()
            if response.status != 202:  # noqa: PLR2004 - HTTP's own
                raise TurnFailed(f"refused with {response.status}: {said!r}")
            with self._lock:
                self._answers[json.loads(said)["id"]] = answer
        connection.close()

    def _next(self) -> int | None:
        with self._lock:
            return next(self._left, None)


@dataclass(kw_only=True)
class SocketEnds:
    """The ends as Longhaul pushes them: to a WebSocket that hears all of its user's jobs."""

    receive: Callable[[], str | None]

    def next_end(self) -> str | None:
        """Read a message."""
        said = self.receive()
        if said is None:
            return None
        message = json.loads(said)
        return message["job_id"] if message.get("event") == "job.completed" else None


@dataclass(kw_only=True)
class ChannelEnds:
    """The ends as the peers publish them: on a channel of Redis."""

    receive: Callable[[], str | None]

    def next_end(self) -> str | None:
        """Read a message."""
        said = self.receive()
        return None if said is None else str(json.loads(said)["job_id"])


@contextmanager
def socket_ends(url: str) -> Iterator[SocketEnds]:
    """Open a WebSocket."""
    with connect(url.replace("http", "ws", 1) + "/v1/ws", compression=None) as socket:

        def receive() -> str | None:
            try:
                return str(socket.recv(_LOOK, decode=True))
            except TimeoutError:
                return None

        yield SocketEnds(receive=receive)


@contextmanager
def channel_ends(url: str, channel: str) -> Iterator[ChannelEnds]:
    """Subscribe to a channel."""
    with redis.Redis.from_url(url) as client:
        pubsub = client.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe(channel)
        pubsub.get_message(timeout=5)  # the subscription's own confirmation

        def receive() -> str | None:
            message = pubsub.get_message(timeout=_LOOK)
            return None if message is None else message["data"].decode()

        yield ChannelEnds(receive=receive)
