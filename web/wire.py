"""One WebSocket's wire: messages in, frames out."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from simple_websocket import ConnectionClosed
from wsproto.utilities import LocalProtocolError

from web.wire_socket import LINGER_SECONDS

if TYPE_CHECKING:
    from simple_websocket import Server

    from web.wire_socket import Reader, WireSocket

MAX_MESSAGE_CHARACTERS = 64 * 1024
PING_SECONDS = 25
UNREAD_MESSAGES = 16  # more than these wait in TCP's buffers, not in ours
_FINAL_TEXT = 0x81
_SHORT, _MEDIUM = 126, 1 << 16


class WireClosed(Exception):
    """The connection has ended, from either side."""


class Wire(Protocol):
    """What the socket's protocol needs from a connection."""

    def receive(self, timeout_seconds: float | None = None) -> str | bytes | None:
        """Wait for a message; None when none came in time. Raises WireClosed."""

    def send(self, frames: bytes) -> None:
        """Write whole frames, one caller at a time. Raises OSError, and then always."""

    def send_now(self, frames: bytes) -> bool:
        """Write whole frames if that takes no waiting, and say whether they were taken."""

    def close(self, code: int, reason: str) -> None:
        """Say why we close, if it can still be said. Raises OSError."""

    def wait_until_ended(self, timeout_seconds: float) -> bool:
        """Whether the connection has ended, after waiting for that."""

    def abort(self) -> None:
        """Cut the connection."""


def text_frame(text: str) -> bytes:
    """Write a text message as one frame from a server (RFC 6455, 5.2), for any number of sockets.

    wsproto would do it anew for each socket.
    """
    data = text.encode()
    size = len(data)
    if size < _SHORT:
        head = struct.pack("!BB", _FINAL_TEXT, size)
    elif size < _MEDIUM:
        head = struct.pack("!BBH", _FINAL_TEXT, 126, size)
    else:
        head = struct.pack("!BBQ", _FINAL_TEXT, 127, size)
    return head + data


class ServerWire:
    """A Wire on simple-websocket's server and the socket that was put under it."""

    def __init__(self, server: Server, sock: WireSocket) -> None:
        self._server = server
        self._sock = sock
        self._is_closing = False

    def attend(self) -> None:
        """Bound what is read ahead, and wake `receive` at the end.

        simple-websocket sets its event before it notes that it is no longer connected (ws.py,
        "Message is too big"), and so could leave a reader waiting for ever.
        """
        # What parsed the handshake is not needed again, and holds 4 KB.
        self._server.ws = self._server.ws.connection
        self._sock.attend(
            has_room=self._has_room,
            on_end=self._server.event.set,
        )

    def receive(self, timeout_seconds: float | None = None) -> str | bytes | None:
        """Wait for a message."""
        if self._sock.ended.is_set() and not self._server.input_buffer:
            raise WireClosed
        try:
            message: str | bytes | None = self._server.receive(timeout=timeout_seconds)
        except ConnectionClosed as error:
            raise WireClosed from error
        if message is None and self._sock.ended.is_set():
            raise WireClosed
        return message

    def send(self, frames: bytes) -> None:
        """Write whole frames."""
        if not self._server.connected:
            raise BrokenPipeError("the connection has ended")
        self._sock.send(frames)

    def send_now(self, frames: bytes) -> bool:
        """Write whole frames if that takes no waiting."""
        return bool(self._server.connected) and self._sock.send_now(frames)

    def close(self, code: int, reason: str) -> None:
        """Say why we close."""
        self._is_closing = True
        with suppress(ConnectionClosed, LocalProtocolError):  # the peer was faster
            self._server.close(code, reason)

    def wait_until_ended(self, timeout_seconds: float) -> bool:
        """Wait until nothing will be read any more."""
        return self._sock.ended.wait(timeout_seconds)

    def abort(self) -> None:
        """Cut the connection."""
        self._sock.abort()

    def finish(self) -> None:
        """Leave nothing behind that still waits on the connection's descriptor.

        The server closes it next, and its number soon belongs to another connection. A reader
        that still lets the peer read our last words is given the time it takes for that.
        """
        if not self._sock.ended.wait(LINGER_SECONDS):
            self._sock.abort()
        reader: Reader = self._server.thread
        reader.join()

    def _has_room(self) -> bool:
        if self._is_closing:  # what still comes is read for the peer's close frame only
            self._server.input_buffer.clear()
        return len(self._server.input_buffer) < UNREAD_MESSAGES

    @property
    def peer_close_code(self) -> int:
        """The code that the peer closed with; 1005 where it gave none."""
        return int(self._server.close_reason)
