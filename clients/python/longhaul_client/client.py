"""The two clients: one core, with a transport that waits or one that is awaited."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from longhaul_client.api import Api
from longhaul_client.blocking import Blocking, blocking, blocking_each, run
from longhaul_client.endpoint import Endpoint
from longhaul_client.jobs import AsyncJobs
from longhaul_client.retry import Retry
from longhaul_client.transport import AsyncTransport, BlockingTransport
from longhaul_client.uploads import AsyncUploads

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from longhaul_client.errors import LonghaulError


class AsyncLonghaul:
    """A client for `async with`.

    The address and the key are those of `LONGHAUL_URL` and `LONGHAUL_API_KEY` where they are not
    given. `on_retry` is told of each failure that is not raised, with the seconds until the next
    try. `http` is an httpx client of your own, with its proxies and certificates.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        retry: Retry | None = None,
        on_retry: Callable[[LonghaulError, float], None] | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._api = Api(
            endpoint=Endpoint.named(base_url, api_key, os.environ),
            transport=AsyncTransport(http),
            retry=retry or Retry(),
            on_retry=on_retry,
        )
        self.jobs = AsyncJobs(self._api)
        self.uploads = AsyncUploads(self._api)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._api.transport.close()


class Jobs(Blocking[AsyncJobs]):
    """`client.jobs` of Longhaul: the calls of AsyncJobs, waited for."""

    create = blocking(AsyncJobs.create)
    get = blocking(AsyncJobs.get)
    list = blocking_each(AsyncJobs.list)
    wait = blocking(AsyncJobs.wait)
    stream = blocking_each(AsyncJobs.stream)
    text_stream = blocking_each(AsyncJobs.text_stream)
    take = blocking(AsyncJobs.take)
    result = blocking(AsyncJobs.result)
    cancel = blocking(AsyncJobs.cancel)
    redrive = blocking(AsyncJobs.redrive)
    delete = blocking(AsyncJobs.delete)
    timeline = blocking(AsyncJobs.timeline)
    deliveries = blocking(AsyncJobs.deliveries)
    replay_delivery = blocking(AsyncJobs.replay_delivery)


class Uploads(Blocking[AsyncUploads]):
    """`client.uploads` of Longhaul: the calls of AsyncUploads, waited for."""

    create = blocking(AsyncUploads.create)


class Longhaul:
    """A client for `with`, and for threads; everything is as with AsyncLonghaul."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        retry: Retry | None = None,
        on_retry: Callable[[LonghaulError, float], None] | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._api = Api(
            endpoint=Endpoint.named(base_url, api_key, os.environ),
            transport=BlockingTransport(http),
            retry=retry or Retry(),
            on_retry=on_retry,
        )
        self.jobs = Jobs(AsyncJobs(self._api))
        self.uploads = Uploads(AsyncUploads(self._api))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        run(self._api.transport.close())
