"""A connection's socket, as simple-websocket 1.1.0 should have it.

simple-websocket takes its socket out of the WSGI environ and trusts it with four things that go
wrong under gevent (its issues #34 and #45, and its source, ws.py):

- it calls `send`, which writes a part of a frame when the peer is slow, and forgets the rest;
- two threads call it, the reader for pings and whoever has something to say;
- it reads without bound into a list, whether or not anyone takes messages out;
- it closes with bytes unread, which resets the connection and loses the close frame's code.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from simple_websocket import ConnectionClosed

from web.background import spawn, wait_until_readable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from web.background import Running

WRITE_SECONDS = 10.0  # for one call of `send`: some frames, 64 KiB or one larger message
# Linux doubles it. Left to itself it grows to 4 MB a slow reader, and says that there is room again
# only when a third is: a peer that reads 100 KB a second would break WRITE_SECONDS.
KERNEL_BYTES = 128 * 1024
LINGER_SECONDS = 2.0  # for the peer to read our last words and to hang up
_READ_BYTES = 64 * 1024
_PAUSE_SECONDS = 0.02
_END_OF_HEAD = b"\r\n\r\n"


class WireSocket:
    """What simple-websocket sees; whole frames in the order of the calls, or an OSError for good.

    `headers` go into the handshake's answer, the first thing that is sent.
    """

    def __init__(self, sock: socket.socket, *, headers: Mapping[str, str]) -> None:
        self._sock = sock
        self._headers = headers
        self._lock = threading.Lock()
        self._has_greeted = False
        self._is_broken = False
        self._rest = b""  # of what `send_now` could write in part only
        self._is_plain = not isinstance(sock, ssl.SSLSocket)
        self._has_room: Callable[[], bool] = lambda: True
        self._on_end: Callable[[], object] = lambda: None
        self.ended = threading.Event()

    def attend(self, *, has_room: Callable[[], bool], on_end: Callable[[], object]) -> None:
        """Read only while `has_room`, and call `on_end` once nothing will be read any more."""
        self._has_room, self._on_end = has_room, on_end
        if self.ended.is_set():
            on_end()

    def send(self, data: bytes) -> int:
        """Write all of `data` within WRITE_SECONDS; after a failure nothing is written again."""
        size = len(data)
        with self._lock:
            if self._is_broken:
                raise BrokenPipeError(errno.EPIPE, "an earlier write has failed")
            data, self._rest = self._rest + data, b""
            if not self._has_greeted:
                data, self._has_greeted = self._with_headers(data), True
                self._sock.settimeout(WRITE_SECONDS)
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
            try:
                self._sock.sendall(data)
            except BaseException:  # a time-out, a kill: half a frame may be out
                self.abort()
                raise
        return size

    def send_now(self, data: bytes) -> bool:
        """Write `data` if that takes no waiting, and say whether it did.

        Where the kernel takes only a part, the rest is on its way and goes before all else.
        """
        if not (self._is_plain and self._has_greeted and self._lock.acquire(blocking=False)):
            return False
        try:
            if self._is_broken or self._rest:
                return False
            # The descriptor waits for nothing: `send` has set a time-out. The socket's own `send`
            # would wait, gevent's as well as a thread's.
            written = os.write(self._sock.fileno(), data)
            if written < len(data):
                self._rest = data[written:]
                spawn(self._send_rest)
        except OSError:  # no room, or the end; the next `send` meets it again
            return False
        finally:
            self._lock.release()
        return True

    def _send_rest(self) -> None:
        with suppress(OSError):  # which ends the connection, and is met by the next `send`
            self.send(b"")

    def recv(self, size: int) -> bytes:
        """Read; a peer that sends faster than it is answered waits here, and then TCP makes it."""
        while not self._has_room() and not self._is_broken:
            time.sleep(_PAUSE_SECONDS)
        return self._sock.recv(size)

    def fileno(self) -> int:
        """Give the descriptor that selectors wait on."""
        return self._sock.fileno()

    def close(self) -> None:
        """End reading: say that no more comes, then let the peer hang up first.

        The descriptor itself belongs to the server, which closes it. May be called twice.
        """
        if self.ended.is_set():
            return
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(LINGER_SECONDS)
            deadline = time.monotonic() + LINGER_SECONDS
            while time.monotonic() < deadline and self._sock.recv(_READ_BYTES):
                pass
        self.ended.set()
        self._on_end()

    def abort(self) -> None:
        """Cut the connection: every call that waits on it returns."""
        self._is_broken = True
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _with_headers(self, data: bytes) -> bytes:
        lines = "".join(f"\r\n{name}: {value}" for name, value in self._headers.items())
        return data.replace(_END_OF_HEAD, lines.encode("latin-1") + _END_OF_HEAD, 1)


class Readiness:
    """What simple-websocket wants of a selector: to wait for its one socket.

    A real one is several dictionaries and, under gevent, more frames on the reader's stack.
    """

    def __init__(self) -> None:
        self._descriptor = -1

    def register(self, sock: WireSocket, _events: int, _data: object) -> None:
        """Remember the socket. Raises ValueError where it is closed."""
        self._descriptor = sock.fileno()
        if self._descriptor < 0:
            raise ValueError("the socket is closed")

    def select(self, timeout: float) -> list[int]:
        """Wait `timeout` seconds at most; empty when nothing came."""
        return [self._descriptor] if wait_until_readable(self._descriptor, timeout) else []

    def close(self) -> None:
        """Forget nothing: the descriptor is the server's."""


class Reader:
    """simple-websocket's reader; however it ends, its server learns that it has ended.

    Left to itself it dies without a word where its ping's time-out meets our own close.
    """

    name = "reader"  # simple-websocket gives it another

    def __init__(self, target: Callable[[], object]) -> None:
        self._target = target
        self._running: Running | None = None

    def start(self) -> None:
        """Begin to read."""
        self._running = spawn(self._read)

    def join(self) -> None:
        """Wait until nothing is read any more."""
        if self._running is not None:
            self._running.join()

    def _read(self) -> None:
        server: Any = self._target.__self__  # type: ignore[attr-defined] # Server._thread, a bound method
        try:
            with suppress(ConnectionClosed):
                self._target()
        finally:
            server.connected = False
            server.sock.close()
