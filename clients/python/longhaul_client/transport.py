"""How requests leave: two thin transports under one core.

The core is written once, as coroutines over this port. `BlockingTransport` answers without ever
suspending, so its coroutines can be run to their end without an event loop (blocking.py).
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
import anyio.to_thread
import httpx

from longhaul_client.errors import AnswerUnreadable, ConnectionLost, NotConnected

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")

CONNECTS_WITHIN_SECONDS = 10.0
# A proxy that the environment names is not for a server on this machine.
_PAST_THE_PROXY: Mapping[str, None] = {
    "all://127.0.0.1": None,
    "all://localhost": None,
    "all://[::1]": None,
}
# As many connections as there are streams, each held for as long as its job runs; an idle one is
# given up before the server's five seconds are over.
_LIMITS = httpx.Limits(keepalive_expiry=4.0)
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_MAYBE_DONE = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)


class Body(Protocol):
    """Bytes that are sent as they are read, from their beginning at each iteration."""

    @property
    def size(self) -> int:
        """How many bytes they are."""

    def __iter__(self) -> Iterator[bytes]:
        """Read them in pieces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request; `silence_seconds` is how long nothing may come before it is given up."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Body | None = None
    silence_seconds: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A whole answer; its headers' names are read in any case of letters."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """An answer that comes bit by bit."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]

    async def read(self) -> bytes:
        """Take all of it."""
        return b"".join([piece async for piece in self.pieces])


class Transport(Protocol):
    """What the core needs from the outside. Failures are NotConnected and ConnectionLost."""

    async def send(self, request: Request) -> Answer:
        """Send a request and read the answer; a redirect is an answer like any other."""

    def open(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Send a request whose answer comes bit by bit."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def apart(self, work: Callable[[], T]) -> T:
        """Do work that takes long without holding up whatever else the program does."""

    async def close(self) -> None:
        """Give the connections back."""


class BlockingTransport:
    """Transport over httpx.Client; none of its coroutines ever suspends."""

    def __init__(self, http: httpx.Client | None = None) -> None:
        self._http = http or httpx.Client(mounts=_PAST_THE_PROXY, limits=_LIMITS)

    async def send(self, request: Request) -> Answer:
        """Send a request and read the answer."""
        content = request.content
        with _failures_translated(request):
            body = content if content is None or isinstance(content, bytes) else iter(content)
            answer = self._http.send(_written(self._http, request, body))
        return _answer(answer)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Stream]:
        """Send a request whose answer comes bit by bit."""
        with _failures_translated(request):
            answer = self._http.send(_written(self._http, request), stream=True)
        try:
            pieces = self._pieces(request, answer)
            yield Stream(status=answer.status_code, headers=answer.headers, pieces=pieces)
        finally:
            answer.close()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)  # noqa: ASYNC251 - nothing else runs here, by design

    async def apart(self, work: Callable[[], T]) -> T:
        """Do it here: nothing else goes on."""
        return work()

    async def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    async def _pieces(self, request: Request, answer: httpx.Response) -> AsyncIterator[bytes]:
        with _failures_translated(request):
            for piece in answer.iter_bytes():
                yield piece


class AsyncTransport:
    """Transport over httpx.AsyncClient, for asyncio and trio."""

    def __init__(self, http: httpx.AsyncClient | None = None) -> None:
        self._http = http or httpx.AsyncClient(mounts=_PAST_THE_PROXY, limits=_LIMITS)

    async def send(self, request: Request) -> Answer:
        """Send a request and read the answer."""
        content = request.content
        with _failures_translated(request):
            body = content if content is None or isinstance(content, bytes) else _each(content)
            answer = await self._http.send(_written(self._http, request, body))
        return _answer(answer)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Stream]:
        """Send a request whose answer comes bit by bit."""
        with _failures_translated(request):
            answer = await self._http.send(_written(self._http, request), stream=True)
        try:
            pieces = self._pieces(request, answer)
            yield Stream(status=answer.status_code, headers=answer.headers, pieces=pieces)
        finally:
            await answer.aclose()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)

    async def apart(self, work: Callable[[], T]) -> T:
        """Do it in a thread."""
        return await anyio.to_thread.run_sync(work)

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def _pieces(self, request: Request, answer: httpx.Response) -> AsyncIterator[bytes]:
        with _failures_translated(request):
            async for piece in answer.aiter_bytes():
                yield piece


def _written(
    http: httpx.Client | httpx.AsyncClient,
    request: Request,
    content: bytes | Iterable[bytes] | AsyncIterable[bytes] | None = None,
) -> httpx.Request:
    return http.build_request(
        request.method,
        request.url,
        params=dict(request.params) or None,
        headers=dict(request.headers),
        content=content,
        timeout=httpx.Timeout(request.silence_seconds, connect=CONNECTS_WITHIN_SECONDS, pool=None),
    )


async def _each(content: Body) -> AsyncIterator[bytes]:
    """Read a file on the event loop: each piece is small, and the sending waits for the network."""
    for piece in content:
        yield piece


def _answer(answer: httpx.Response) -> Answer:
    return Answer(status=answer.status_code, headers=answer.headers, content=answer.content)


@contextmanager
def _failures_translated(request: Request) -> Iterator[None]:
    place = httpx.URL(request.url).copy_with(query=None)  # a signed query is a secret
    try:
        yield
    except _NOTHING_SENT as error:
        raise NotConnected(f"{place} cannot be reached: {_told(error)}") from error
    except _MAYBE_DONE as error:
        raise ConnectionLost(f"the connection to {place} broke: {_told(error)}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise AnswerUnreadable(f"{place} was not understood: {_told(error)}") from error


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
