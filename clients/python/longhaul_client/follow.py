"""Following a job: one stream of events over as many connections as it takes."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from longhaul_client.api import read_json
from longhaul_client.errors import ConnectionLost, Problem
from longhaul_client.events import read_event
from longhaul_client.retry import TRANSIENT
from longhaul_client.sse import SentEvents

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from longhaul_client.api import Api
    from longhaul_client.errors import LonghaulError
    from longhaul_client.events import Event
    from longhaul_client.transport import Stream

# A comment comes every 15 seconds; a connection that misses three is dead, whatever TCP believes.
_SILENCE_SECONDS = 45.0
_NO_CONTENT = 204


class Follower:
    """Where a watcher is in a job's events, and when something was heard last."""

    def __init__(self, api: Api, path: str, after: int) -> None:
        self._api = api
        self._path = path
        self._after = after
        self._tries = 0  # since something was heard
        self._heard_at: float | None = None  # None while no server has answered
        self.has_ended = False

    async def events(self) -> AsyncGenerator[Event, None]:
        """Give each event once and in order, to the job's last one.

        Comes back by itself where it was. Raises what keeps a server from being reached at all,
        and a failure that outlasts the patience. A server that is there and cannot tell events
        now, because a part of it is away, is one to be patient with from the beginning.
        """
        while not self.has_ended:
            failure: LonghaulError = ConnectionLost("the stream ended before the job did")
            try:
                # Without `Accept: text/event-stream` a part that is away is a 503 that says so,
                # and not an empty stream: that is for browsers, which give up at a 503.
                async with (
                    self._api.open(
                        self._path,
                        headers={"Last-Event-ID": str(self._after)},
                        silence_seconds=_SILENCE_SECONDS,
                    ) as stream,
                    aclosing(self._read(stream)) as events,
                ):
                    self._reach()
                    async for event in events:
                        yield event
            except TRANSIENT as met:
                failure = met
                if isinstance(met, Problem):
                    self._reach()
            if not self.has_ended:
                await self._wait_after(failure)

    async def _read(self, stream: Stream) -> AsyncGenerator[Event, None]:
        if stream.status == _NO_CONTENT:
            self.has_ended = True
            return
        sent = SentEvents()
        async for piece in stream.pieces:
            for data in sent.feed(piece):
                event = read_json(read_event, data)
                if event.seq > self._after:
                    self._after = event.seq
                    self.has_ended = event.is_terminal
                    yield event
                if self.has_ended:
                    return
            if sent.heard:
                sent.heard = 0
                self._tries = 0
                self._heard_at = self._api.clock()

    def _reach(self) -> None:
        """Begin to be patient; what only answers is no sign of life of the job's events."""
        if self._heard_at is None:
            self._heard_at = self._api.clock()

    async def _wait_after(self, failure: LonghaulError) -> None:
        self._tries += 1
        if self._heard_at is None:
            await self._api.wait_after(failure, tries=self._tries)
            return
        retry = self._api.retry
        if self._api.clock() - self._heard_at > retry.patience_seconds:
            raise failure
        seconds = retry.wait(failure, tries=self._tries, jitter=self._api.jitter())
        await self._api.pause(failure, seconds)
