"""One server's API: who asks, what is made again after a failure, and errors for problems."""

from __future__ import annotations

import json
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeVar

from longhaul_client.errors import (
    AnswerUnreadable,
    ConnectionLost,
    LonghaulError,
    Problem,
    problem_of,
)
from longhaul_client.retry import TRANSIENT, Retry
from longhaul_client.transport import Answer, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from longhaul_client.endpoint import Endpoint
    from longhaul_client.transport import Stream, Transport

T = TypeVar("T")

NOTHING_TO_READ = Answer(status=204, headers={}, content=b"")
_FIRST_ERROR = 400
_OF_GATEWAYS = frozenset({502, 504})  # a proxy that did not hear the server's answer
_REDIRECTS = frozenset({301, 302, 307, 308})  # 303 is how the API leads to a result


@dataclass(frozen=True, kw_only=True)
class Api:
    """Speaks to one server. `on_retry` is told of each failure, and of the wait that follows."""

    endpoint: Endpoint
    transport: Transport
    retry: Retry = field(default_factory=Retry)
    on_retry: Callable[[LonghaulError, float], None] | None = None
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    async def call(  # noqa: PLR0913 - the members of a request
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        silence_seconds: float = 60.0,
        done_by: str | None = None,
    ) -> Answer:
        """Make a call until it is answered. Raises the Problem, or what kept it from being made.

        A call that was made again because nobody heard the first answer may meet the first one's
        effect: a problem with the code `done_by` then means that it is done, and NOTHING_TO_READ
        is given.
        """
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        kind = {} if content is None else {"Content-Type": "application/json"}
        request = replace(
            self._request(method, path, {**kind, **(headers or {})}),
            params=params or {},
            content=content,
            silence_seconds=silence_seconds,
        )
        may_be_done = False
        tries = 0
        while True:
            tries += 1
            try:
                return _checked(await self.transport.send(request))
            except TRANSIENT as failure:
                may_be_done = may_be_done or _may_be_done(failure)
                await self.wait_after(failure, tries=tries)
            except Problem as problem:
                if may_be_done and problem.code == done_by:
                    return NOTHING_TO_READ
                raise

    async def ask(self, read: Callable[[Any], T], method: str, path: str, **options: Any) -> T:  # noqa: ANN401 - those of `call`
        """Make a call and read the JSON of its answer."""
        answer = await self.call(method, path, **options)
        return read_json(read, answer.content)

    async def send_elsewhere(self, request: Request, *, what: str) -> Answer:
        """Send a request to an address that the server gave: it is the permission by itself.

        The key stays here: whoever stores the bytes must not see it. Problems are raised.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return _checked(await self.transport.send(request), what=what)
            except TRANSIENT as failure:
                await self.wait_after(failure, tries=tries)

    @asynccontextmanager
    async def open(
        self, path: str, *, headers: Mapping[str, str], silence_seconds: float
    ) -> AsyncIterator[Stream]:
        """Open an answer that comes bit by bit, once. Raises the Problem."""
        request = replace(self._request("GET", path, headers), silence_seconds=silence_seconds)
        async with self.transport.open(request) as stream:
            if stream.status >= _FIRST_ERROR:
                raise problem_of(stream.status, stream.headers, await stream.read())
            yield stream

    async def wait_after(self, failure: LonghaulError, *, tries: int) -> None:
        """Wait before the next try, or raise the failure where there is to be none."""
        seconds = self.retry.after(failure, tries=tries, jitter=self.jitter())
        if seconds is None:
            raise failure
        await self.pause(failure, seconds)

    async def pause(self, failure: LonghaulError, seconds: float) -> None:
        """Tell of a failure, and wait."""
        if self.on_retry is not None:
            self.on_retry(failure, seconds)
        await self.transport.sleep(seconds)

    def _request(self, method: str, path: str, headers: Mapping[str, str]) -> Request:
        return Request(
            method=method,
            url=f"{self.endpoint.url}{path}",
            headers={
                "User-Agent": f"longhaul-client/{client_version()}",
                **self.endpoint.headers,
                **headers,
            },
        )


def client_version() -> str:
    """Give the version that is installed."""
    try:
        return version("longhaul-client")
    except PackageNotFoundError:  # run from its folder
        return "0"


def read_json(read: Callable[[Any], T], content: bytes | str) -> T:
    """Read JSON into a value. Raises AnswerUnreadable where it is another one."""
    try:
        return read(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnswerUnreadable(f"this is not an answer of Longhaul's API: {error!r}") from error


def _may_be_done(failure: LonghaulError) -> bool:
    """Whether the server may have done what was asked for, and only its answer was lost."""
    if isinstance(failure, Problem):
        return failure.status in _OF_GATEWAYS
    return isinstance(failure, ConnectionLost)


def _checked(answer: Answer, *, what: str = "the server") -> Answer:
    if answer.status >= _FIRST_ERROR:
        raise problem_of(answer.status, answer.headers, answer.content)
    if answer.status in _REDIRECTS:
        place = answer.headers.get("Location", "elsewhere")
        raise AnswerUnreadable(f"{what} leads to {place}: use that address")
    return answer
