"""Both clients under one set of tests: what is awaited is made to look like what is waited for."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx
from anyio.from_thread import start_blocking_portal

from longhaul_client import AsyncLonghaul, Longhaul, LonghaulError, Retry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from anyio.from_thread import BlockingPortal

WAYS = ("blocking", "awaited")


class _Awaited:
    """A part of AsyncLonghaul, run on an event loop in a thread."""

    def __init__(self, part: object, portal: BlockingPortal) -> None:
        self._part = part
        self._portal = portal

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._part, name)

        def call(*args: object, **options: object) -> Any:  # noqa: ANN401 - what the method gives
            made = method(*args, **options)
            return self._each(made) if inspect.isasyncgen(made) else self._wait_for(made)

        return call

    def _wait_for(self, made: Any) -> Any:  # noqa: ANN401 - what the method gives
        async def wait() -> Any:  # noqa: ANN401 - the same
            return await made

        return self._portal.call(wait)

    def _each(self, made: AsyncGenerator[Any, Any]) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._wait_for(made.__anext__())
                except StopAsyncIteration:
                    return
        finally:
            self._wait_for(made.aclose())


class _AwaitedClient:
    def __init__(self, client: AsyncLonghaul, portal: BlockingPortal) -> None:
        self.jobs = _Awaited(client.jobs, portal)
        self.uploads = _Awaited(client.uploads, portal)


Handler = Any  # of httpx.MockTransport: plain or awaited


@contextmanager
def client_of(  # noqa: PLR0913 - the constructors' own
    way: str,
    url: str,
    key: str | None = None,
    *,
    retry: Retry | None = None,
    on_retry: Callable[[LonghaulError, float], None] | None = None,
    handler: Handler = None,
) -> Iterator[Longhaul]:
    """Open a client of one kind; `handler` answers instead of a server."""
    mocked = None if handler is None else httpx.MockTransport(handler)
    if way == "blocking":
        http = None if mocked is None else httpx.Client(transport=mocked)
        with Longhaul(url, key, retry=retry, on_retry=on_retry, http=http) as client:
            yield client
        return
    with start_blocking_portal() as portal:
        pool = None if mocked is None else httpx.AsyncClient(transport=mocked)
        awaited = AsyncLonghaul(url, key, retry=retry, on_retry=on_retry, http=pool)
        yield cast("Longhaul", _AwaitedClient(awaited, portal))
        portal.call(awaited.close)
