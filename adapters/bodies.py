"""Reading the bodies of many answers that come slowly, all of them in one thread.

A thread for each would wake, poll, read and wait for the interpreter's lock at every token: most of
what a token cost (decision 57). Here one thread waits for all sockets at once, and whoever wants a
body sleeps until its end.
"""

from __future__ import annotations

import asyncio
import operator
import selectors
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import httptools
from urllib3.exceptions import ProtocolError, ReadTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import HTTPResponse

_PIECE = 65_536  # bytes at most that one body gives before the next has its turn
_BREATH_SECONDS = 0.01
_MANY = 16  # bodies; of fewer none waits for another
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_BROKEN = (OSError, ValueError, AttributeError)  # of sockets and files that another thread has shut


class BodyReader(Protocol):
    """Reads bodies as they come."""

    def read(self, response: HTTPResponse, take: Callable[[bytes], object]) -> None:
        """Hand a body to `take`, and return at its end. Raises urllib3's HTTPError."""


class Bodies:
    """BodyReader of all bodies at once, in a thread that begins with the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def read(self, response: HTTPResponse, take: Callable[[bytes], object]) -> None:
        """Hand a body to `take` piece by piece, and return at its end.

        `take` runs in the reading thread, where all other bodies wait for it; what it raises ends
        the reading, and is raised here. Raises urllib3's ReadTimeoutError where nothing comes for
        as long as the connection's own time-out says, and its ProtocolError where the body breaks
        off. A connection that has more to give goes back to its pool.
        """
        try:
            under = socket_under(response)
        except AttributeError as error:
            raise ProtocolError("the body has gone", error) from error
        if not isinstance(under, socket.socket):
            # TLS within a proxy's TLS cannot be watched: read it here.
            for piece in response.stream():
                take(piece)
            return
        body = _Body(response, take)
        loop = self._running()
        loop.call_soon_threadsafe(body.begin, loop)
        body.wait()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.SelectorEventLoop(_BreathingSelector())
                run = self._loop.run_forever
                threading.Thread(target=run, name="bodies", daemon=True).start()
            return self._loop


def socket_under(response: object) -> Any:  # noqa: ANN401 - a socket, or what stands in for one
    """Find the socket that a response comes from. Raises AttributeError where it has gone.

    urllib3 has no call for it, and http.client lets go of one that will be closed; a test holds
    these names to what they are.
    """
    return operator.attrgetter("_fp.fp.raw._sock")(response)


class _BreathingSelector(selectors.DefaultSelector):
    """Lets what comes within a breath come together: to be woken costs more than to read a token.

    That is 10 ms that a token may wait, where many bodies are read; see decision 57.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for sockets that can be read."""
        if timeout != 0 and len(self.get_map()) > _MANY:
            time.sleep(_BREATH_SECONDS)
        return super().select(timeout)


class _Body:
    """One body: watched in the reading thread, waited for in another."""

    def __init__(self, response: HTTPResponse, take: Callable[[bytes], object]) -> None:
        self._response = response
        self._take = take
        self._socket = socket_under(response)
        self._silence: float | None = self._socket.gettimeout()
        self._heard_at = time.monotonic()
        self._pieces: list[bytes] = []
        self._is_whole = False
        self._error: BaseException | None = None
        self._ended = threading.Event()
        framing = _framing(response)
        self._ends_with_its_connection = not framing
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(b"HTTP/1.1 200 OK\r\n%b\r\n" % framing)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch the socket, from what came along with the head on."""
        self._loop = loop
        self._number = self._socket.fileno()
        try:
            self._socket.setblocking(False)
            loop.add_reader(self._number, self._read)
            came = _left_over(self._response)
        except _BROKEN as error:
            self._break_off(error)
            return
        self._hear(came)
        self._read()  # TLS may have read on by itself

    def wait(self) -> None:
        """Sleep until the body has ended; raise what ended it."""
        is_silent = False
        while not self._ended.wait(None if is_silent else self._patience()):
            if self._patience() == 0:
                is_silent = True
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)  # which ends it over there
        if is_silent and not self._is_whole:
            pool: Any = self._response._pool  # noqa: SLF001 - an error's own field
            raise ReadTimeoutError(pool, "", "the body has stopped coming")
        if self._error is not None:
            raise self._error
        self._give_back()

    def on_body(self, piece: bytes) -> None:
        """Take in what httptools finds in a chunk."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Learn from httptools that this was all."""
        self._is_whole = True

    def _read(self) -> None:
        """Read once: who has more to say is asked again after all others."""
        if self._ended.is_set():
            return
        try:
            data = self._socket.recv(_PIECE)
        except _NOTHING_YET:
            return
        except _BROKEN as error:
            self._break_off(error)
            return
        if data:
            self._hear(data)
        elif self._ends_with_its_connection:
            self._is_whole = True
            self._end()
        else:
            self._break_off(EOFError("its connection ended first"))
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            self._loop.call_soon(self._read)

    def _hear(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        try:
            try:
                self._parser.feed_data(data)
            finally:
                self._hand_on()
        except httptools.HttpParserError as error:
            self._break_off(error)
        except BaseException as error:  # noqa: BLE001 - it is raised where the body is waited for
            self._end(error)
        else:
            if self._is_whole:
                self._end()

    def _hand_on(self) -> None:
        if self._pieces:
            came, self._pieces = b"".join(self._pieces), []
            self._take(came)

    def _break_off(self, error: Exception) -> None:
        broken = ProtocolError(f"the body broke off: {error}", error)
        broken.__cause__ = error
        self._end(broken)

    def _end(self, error: BaseException | None = None) -> None:
        if self._ended.is_set():
            return
        self._loop.remove_reader(self._number)
        self._error = error
        del self._parser  # it knows this body, which would keep both
        self._ended.set()

    def _patience(self) -> float | None:
        """Give how many seconds it may still be silent."""
        if self._silence is None:
            return None
        return max(0.0, self._heard_at + self._silence - time.monotonic())

    def _give_back(self) -> None:
        self._socket.settimeout(self._silence)
        self._response._fp.close()  # type: ignore[union-attr] # noqa: SLF001 - as at its end
        self._response.release_conn()


def _framing(response: HTTPResponse) -> bytes:
    """Write the header by which a body's end is known, if there is one."""
    for name in ("transfer-encoding", "content-length"):
        if (value := response.headers.get(name)) is not None:
            return f"{name}: {value}\r\n".encode()
    return b""


def _left_over(response: HTTPResponse) -> bytes:
    """Give what was read of a body together with its head."""
    try:
        left: bytes = operator.attrgetter("_fp.fp")(response).peek()
    except _NOTHING_YET:
        return b""
    return left
