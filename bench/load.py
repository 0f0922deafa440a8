"""Load: many keep-alive HTTP clients in one process that does as little as it can.

Requests are bytes made once and answers are read only as far as their status and length, so that
the clients do not take the processor that is measured; what they take is told with each load.
"""

from __future__ import annotations

import multiprocessing
import random
import re
import select
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bench.crowd import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_ANSWERS_WITHIN = 30.0  # after a load's own time
_READ_BYTES = 64 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_ACCEPTED = b"202"
_LOOK_SECONDS = 1.0
_SEED = 7  # both sides are asked at the same moments


class LoadFailed(Exception):
    """A request was not accepted, or a connection ended."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What came of a load: seconds each, and the clients' own processor time.

    `late` is how long after its moment each request left although a connection was free: what the
    clients' process waited for a core, which is in the request's time as well.
    """

    seconds: float
    latencies: list[float]
    late: list[float]
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


@dataclass(frozen=True, kw_only=True)
class _Order:
    """What the process is asked for; without a rate each client asks again once it is answered."""

    seconds: float
    rate: float | None


class LoadGenerator:
    """The clients of one server, seen from the benchmark. Raises LoadFailed where one fares ill."""

    def __init__(self, port: int, request: bytes, *, connections: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_run, args=(theirs, port, request, connections), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def saturate(self, seconds: float) -> Load:
        """Ask on every connection again and again: what the server can take."""
        return self._ask(_Order(seconds=seconds, rate=None))

    def offer(self, rate: float, *, seconds: float) -> Load:
        """Ask so many times a second, at random moments, whether answers have come or not.

        A request that finds no connection free waits for one, and its time counts from when it was
        due: a server that stalls is not asked less.
        """
        return self._ask(_Order(seconds=seconds, rate=rate))

    def _ask(self, order: _Order) -> Load:
        self._pipe.send(order)
        if not self._pipe.poll(order.seconds + _ANSWERS_WITHIN):
            raise LoadFailed(f"no answers within {_ANSWERS_WITHIN:g} s")
        answer: Load | str = self._pipe.recv()
        if isinstance(answer, str):
            raise LoadFailed(answer)
        return answer


def post(path: str, body: bytes, *, port: int, token: str | None = None) -> bytes:
    """Write a request that posts JSON."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {HOST}:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return "\r\n".join(lines).encode() + _END_OF_HEAD + body


def _run(pipe: Connection, port: int, request: bytes, connections: int) -> None:
    try:
        clients = None
        while True:
            order: _Order = pipe.recv()
            # Not before: a server may close a connection on which nothing is asked at first.
            clients = clients or _Clients(port, request, connections)
            pipe.send(clients.carry_out(order))
    except (LoadFailed, OSError) as error:
        pipe.send(str(error))
    except EOFError:
        return


class _Clients:
    """The connections, in the generator's own process."""

    def __init__(self, port: int, request: bytes, connections: int) -> None:
        self._request = request
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(connections):
            client = socket.create_connection((HOST, port))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets[client.fileno()] = client
            self._poll.register(client.fileno(), select.EPOLLIN)
        self._free = deque(self._sockets)
        self._free_since = dict.fromkeys(self._sockets, 0.0)
        self._late: list[float] = []
        self._asked_at: dict[int, float] = {}
        self._unread: dict[int, bytes] = {}

    def carry_out(self, order: _Order) -> Load:
        """Ask for as long as the order says, then wait for what is still to come."""
        cpu_before, began = time.process_time(), time.monotonic()
        ends = began + order.seconds
        latencies: list[float] = []
        self._late = []
        moments = _moments(order, began)
        due = next(moments)
        while due < ends or self._asked_at:
            while self._free and due < ends and due <= time.monotonic():
                self._ask(due)
                due = next(moments)
            is_waiting = bool(self._free) and due < ends
            wait = max(0.0, due - time.monotonic()) if is_waiting else _LOOK_SECONDS
            latencies += self._read_answers(wait)
        return Load(
            seconds=time.monotonic() - began,
            latencies=latencies,
            late=self._late,
            cpu_seconds=time.process_time() - cpu_before,
        )

    def _ask(self, at: float) -> None:
        descriptor = self._free.popleft()
        self._asked_at[descriptor] = at
        self._late.append(time.monotonic() - max(at, self._free_since[descriptor]))
        self._sockets[descriptor].sendall(self._request)

    def _read_answers(self, seconds: float) -> list[float]:
        """Wait for answers, `seconds` at most; give how long each of those that came has taken."""
        took = []
        for descriptor, _ in self._poll.poll(seconds):
            data = self._sockets[descriptor].recv(_READ_BYTES)
            if not data:
                raise LoadFailed("the server has closed a connection")
            data = self._unread.pop(descriptor, b"") + data
            if not _is_whole(data):
                self._unread[descriptor] = data
                continue
            now = time.monotonic()
            took.append(now - self._asked_at.pop(descriptor))
            self._free.append(descriptor)
            self._free_since[descriptor] = now
        return took


def _moments(order: _Order, began: float) -> Iterator[float]:
    """Give when to ask: at random, as many independent callers do, or whenever one can."""
    if order.rate is None:
        while True:
            yield time.monotonic()
    chance = random.Random(_SEED)  # noqa: S311 - moments, no secret
    at = began
    while True:
        at += chance.expovariate(order.rate)
        yield at


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(_END_OF_HEAD)
    if not end:
        return False
    length = _LENGTH.search(head)
    if head[9:12] != _ACCEPTED or length is None:
        raise LoadFailed(f"answered: {head.splitlines()[0].decode(errors='replace')}")
    return len(body) >= int(length[1])
