"""Watchers over real connections, driven from a thread that plays the rest of the system."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.witness import Witness

T = TypeVar("T")

PAUSE_SECONDS = 0.02  # before a client that was refused comes back
BROKEN = (OSError, TimeoutError, WebSocketException, httpx.HTTPError)


class Loop:
    """An event loop in a thread of its own, for the clients."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@dataclass(kw_only=True)
class Client:
    """Somebody at the other end of a connection, who comes back whenever it breaks."""

    urls: tuple[str, str]
    web: int = 0
    task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.task = asyncio.create_task(self.run())

    async def leave(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None

    @property
    def url(self) -> str:
        return self.urls[self.web]

    @property
    def is_there(self) -> bool:
        return self.task is not None and not self.task.done()

    def check(self) -> None:
        """Raise what the client has met."""
        if self.task is not None and self.task.done() and not self.task.cancelled():
            self.task.result()

    async def run(self) -> None:
        while True:
            try:
                if await self.talk():
                    return
            except BROKEN:
                self.web = 1 - self.web
            await asyncio.sleep(PAUSE_SECONDS)

    async def talk(self) -> bool:
        """Hold one connection to its end, and say whether all is over."""
        raise NotImplementedError

    def socket(self) -> connect:
        address = self.url.replace("http", "ws", 1) + "/v1/ws"
        return connect(address, compression=None, proxy=None, close_timeout=1)


@dataclass(kw_only=True)
class SocketWatcher(Client):
    """Follows one job over a WebSocket; stays after the end, for the job may be redriven."""

    job_id: str
    witness: Witness

    async def talk(self) -> bool:
        async with self.socket() as socket:
            after = self.witness.connect()
            subscription = {"type": "subscribe", "job_id": self.job_id, "after": after}
            await socket.send(json.dumps(subscription))
            while (opening := await _receive(socket))["type"] != "subscribed":
                if opening.get("code") == "unavailable":
                    return False  # a part is away: again
                assert opening["type"] == "event" or opening["code"] == "events_missed", opening
            self.witness.take_opening(opening)
            while True:
                message = await _receive(socket)
                assert message["type"] == "event", message
                self.witness.take(message)


@dataclass(kw_only=True)
class StreamWatcher(Client):
    """Follows one job over server-sent events, as a browser does."""

    job_id: str
    witness: Witness

    async def talk(self) -> bool:
        after = self.witness.connect()
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
        async with (
            httpx.AsyncClient(timeout=60, trust_env=False) as client,
            client.stream("GET", f"{self.url}/v1/jobs/{self.job_id}/events", headers=headers) as (
                answer
            ),
        ):
            if answer.status_code == httpx.codes.NO_CONTENT:
                self.witness.end = self.witness.end or "204"
                return True
            assert answer.status_code == httpx.codes.OK, await answer.aread()
            number = None
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    number = int(value)
                elif name == "data":
                    event = json.loads(value)
                    assert event["seq"] == number
                    self.witness.take(event)
        return self.witness.end is not None


@dataclass(kw_only=True)
class Onlooker(Client):
    """Hears the state events of all its user's jobs; looks at one of them.

    `since` is the last number that was told when it began to hear.
    """

    job_id: str
    since: int = 0
    is_in: bool = False
    states: list[int] = field(default_factory=list)
    was_told_of_loss: bool = False

    async def talk(self) -> bool:
        async with self.socket() as socket:
            for _ in range(2):  # by the second pong it hears of all
                await socket.send('{"type":"ping"}')
                while (await _receive(socket))["type"] != "pong":
                    pass
            self.is_in = True
            while True:
                self._take(await _receive(socket))

    async def run(self) -> None:
        """Stay for one connection: what is said between two is not for its ears."""
        with suppress(*BROKEN):
            await self.talk()
        self.was_told_of_loss = True

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "error":
            assert message["code"] == "events_missed", message
            self.was_told_of_loss = True
        elif message["job_id"] == self.job_id:
            assert message["event"] != "job.delta"
            assert message["seq"] > (self.states[-1] if self.states else 0)
            self.states.append(message["seq"])


async def _receive(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.recv())
    return message
