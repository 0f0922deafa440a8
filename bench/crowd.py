"""Crowd: thousands of WebSocket clients in one process that does as little as it can.

The handshake is written by hand and frames are read only as far as their head, a marker in them
and the answer to a ping, so that the clients do not take the processor that is measured.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

HOST = "127.0.0.1"
HANDSHAKES_AT_ONCE = 64
_ANSWERS_WITHIN = 120.0
_READ_BYTES = 64 * 1024
_KEY = "bG9uZ2hhdWwgc29ja2V0cw=="  # any 16 bytes: nobody here checks what the server makes of them
_END_OF_HEAD = b"\r\n\r\n"
_ERROR = b'"type":"error"'
_ACCEPTED = b"HTTP/1.1 101"
_CLOSE, _PING = 0x8, 0x9
_MASKED_TEXT, _MASKED_PONG = 0x81, 0x8A
_MEDIUM, _LARGE = 126, 127


class CrowdFailed(Exception):
    """A client was refused, was closed, or did not get what it waits for."""


@dataclass(frozen=True, kw_only=True)
class Open:
    """Open one socket for each of `requests`, the heads that the clients send."""

    requests: Sequence[bytes]


@dataclass(frozen=True, kw_only=True)
class Say:
    """Send a text from some of the clients, in the order they were opened."""

    text: str
    clients: range


@dataclass(frozen=True, kw_only=True)
class Expect:
    """Answer once the marker has come so often; one message may have several."""

    marker: bytes
    messages: int


@dataclass(frozen=True, kw_only=True)
class TellCounted:
    """Answer how often the marker has come."""


@dataclass(frozen=True, kw_only=True)
class TellCost:
    """Answer with the processor time of this process, in seconds."""


class Command(Protocol):
    """Something the crowd is asked to do."""


class Crowd:
    """The clients, seen from the benchmark; raises CrowdFailed where one of them fares ill.

    Times are CLOCK_MONOTONIC's, in seconds: one clock for every process of a machine.
    """

    def __init__(self, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_run, args=(theirs, port), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.cpu_seconds()  # it is up once it answers
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def open(self, requests: Sequence[bytes]) -> float:
        """Open a socket for each request, and give the seconds it took."""
        began = time.monotonic()
        return self._ask(Open(requests=requests)) - began

    def say(self, text: str, *, clients: range) -> None:
        """Send a text from some of the clients, in the order they were opened."""
        self._ask(Say(text=text, clients=clients))

    def expect(self, marker: bytes, *, messages: int) -> None:
        """Begin to count this marker in messages; `wait_for_last` gives the last one's time."""
        self._ask(Expect(marker=marker, messages=messages))

    def wait_for_last(self) -> float:
        """Give the time at which the last expected message was read."""
        return self._answer()

    def counted(self) -> int:
        """Give how often the marker has come since `expect`, by now."""
        return int(self._ask(TellCounted()))

    def cpu_seconds(self) -> float:
        """Give the processor time that the clients have cost so far."""
        return self._ask(TellCost())

    def _ask(self, command: Command) -> float:
        self._pipe.send(command)
        return self._answer()

    def _answer(self) -> float:
        if not self._pipe.poll(_ANSWERS_WITHIN):
            raise CrowdFailed(f"no answer within {_ANSWERS_WITHIN:g} s")
        answer: float | str = self._pipe.recv()
        if isinstance(answer, str):
            raise CrowdFailed(answer)
        return answer


def handshake(path: str, *, port: int, token: str | None = None) -> bytes:
    """Write the head of a client's request."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {HOST}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {_KEY}",
        "Sec-WebSocket-Version: 13",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return "\r\n".join(lines).encode() + _END_OF_HEAD


def _run(pipe: Connection, port: int) -> None:
    try:
        _Clients(pipe, port).serve()
    except (CrowdFailed, OSError) as error:
        pipe.send(str(error))


class _Clients:
    """The sockets, in the crowd's own process."""

    def __init__(self, pipe: Connection, port: int) -> None:
        self._pipe = pipe
        self._port = port
        self._poll = select.epoll()
        self._poll.register(pipe.fileno(), select.EPOLLIN)
        self._sockets: dict[int, socket.socket] = {}
        self._unread: dict[int, bytes] = {}  # half a head or half a frame
        self._to_open: list[bytes] = []
        self._greeting: set[int] = set()  # their handshake is not answered yet
        self._marker = b""
        self._expected = 0
        self._counted = 0

    def serve(self) -> None:
        """Do what the benchmark asks, until it ends this process."""
        commands = self._pipe.fileno()
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor == commands:
                    self._obey(self._pipe.recv())
                else:
                    self._read(descriptor)

    def _obey(self, command: object) -> None:
        match command:
            case Open(requests=requests):
                self._to_open = list(reversed(requests))
                for _ in range(HANDSHAKES_AT_ONCE):
                    self._open_next()
                return  # the answer comes with the last handshake's
            case Say(text=text, clients=clients):
                frame = _masked(_MASKED_TEXT, text.encode())
                for client in list(self._sockets.values())[clients.start : clients.stop]:
                    client.sendall(frame)
            case Expect(marker=marker, messages=messages):
                self._marker, self._expected, self._counted = marker, messages, 0
            case TellCounted():
                self._pipe.send(float(self._counted))
                return
            case _:
                self._pipe.send(time.process_time())
                return
        self._pipe.send(time.monotonic())

    def _open_next(self) -> None:
        if not self._to_open:
            return
        client = socket.create_connection((HOST, self._port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sockets[client.fileno()] = client
        self._greeting.add(client.fileno())
        self._poll.register(client.fileno(), select.EPOLLIN)
        client.sendall(self._to_open.pop())

    def _read(self, descriptor: int) -> None:
        data = self._sockets[descriptor].recv(_READ_BYTES)
        if not data:
            raise CrowdFailed("the server has closed a connection")
        data = self._unread.pop(descriptor, b"") + data
        if descriptor in self._greeting:
            head, end, data = data.partition(_END_OF_HEAD)
            if not end:
                self._unread[descriptor] = head
                return
            self._take_in(descriptor, head)
        if rest := self._read_frames(descriptor, data):
            self._unread[descriptor] = rest

    def _take_in(self, descriptor: int, head: bytes) -> None:
        if not head.startswith(_ACCEPTED):
            raise CrowdFailed(f"refused: {head.splitlines()[0].decode(errors='replace')}")
        self._greeting.discard(descriptor)
        self._open_next()
        if not self._greeting:
            self._pipe.send(time.monotonic())

    def _read_frames(self, descriptor: int, data: bytes) -> bytes:
        """Read whole frames; give what is left of `data`."""
        while (bounds := _bounds(data)) is not None:
            start, end = bounds
            opcode = data[0] & 0x0F
            if opcode == _PING:
                self._sockets[descriptor].sendall(_masked(_MASKED_PONG, data[start:end]))
            elif opcode == _CLOSE:
                raise CrowdFailed(f"closed: {data[start + 2 : end].decode(errors='replace')}")
            elif _ERROR in data[start:end]:
                raise CrowdFailed(f"told: {data[start:end].decode(errors='replace')}")
            elif self._expected:
                self._count(data[start:end].count(self._marker))
            data = data[end:]
        return data

    def _count(self, found: int) -> None:
        was_missing = self._counted < self._expected
        self._counted += found
        if was_missing and self._counted >= self._expected:
            self._pipe.send(time.monotonic())


def _bounds(data: bytes) -> tuple[int, int] | None:
    """Give where the payload of the first frame begins and ends, None while it is not whole."""
    if len(data) < 2:  # noqa: PLR2004 - the shortest head there is
        return None
    start, size = 2, data[1]
    if size == _MEDIUM:
        start, size = 4, int.from_bytes(data[2:4])
    elif size == _LARGE:
        start, size = 10, int.from_bytes(data[2:10])
    return (start, start + size) if len(data) >= start + size else None


def _masked(kind: int, payload: bytes) -> bytes:
    """Write a client's frame; a mask of zeros leaves the payload as it is."""
    size = len(payload)
    head = (
        struct.pack("!BB", kind, 0x80 | size)
        if size < _MEDIUM
        else struct.pack("!BBH", kind, 0x80 | _MEDIUM, size)
    )
    return head + bytes(4) + payload
