"""Clients of a rehearsal: they submit through the Service, and watch by WebSocket and by SSE."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.watching import Follower

if TYPE_CHECKING:
    from longhaul_client import AsyncLonghaul

PAUSE = 0.2


@dataclass(frozen=True, kw_only=True)
class Work:
    """A job that answers with `text` in `seconds`, `at` seconds after the begin."""

    number: int
    at: float
    seconds: float

    @property
    def text(self) -> str:
        return " ".join(f"{self.number:04d}.{word:03d}" for word in range(40))

    @property
    def prompt(self) -> str:
        faults = f"duration_s={self.seconds:.1f}; first_token_s=0.2; echo={self.text}"
        return f"Say it. <<stand-in: {faults}>>"


async def watch_by_socket(url: str, job_id: str) -> str:
    """Follow a job to its end over WebSockets, coming back whenever one closes."""
    follower = Follower()
    while follower.end is None:
        try:
            async with connect(
                url.replace("http", "ws", 1) + "/v1/ws", compression=None, proxy=None
            ) as socket:
                await socket.send(follower.subscription(job_id))
                while json.loads(await socket.recv())["type"] != "subscribed":
                    pass
                while follower.end is None:
                    follower.take(json.loads(await socket.recv()))
        except (OSError, WebSocketException):
            await asyncio.sleep(PAUSE)
    return follower.text


async def watch_by_stream(client: AsyncLonghaul, job_id: str) -> str:
    """Follow a job to its end over SSE, as the Python client does."""
    text = ""
    async for change in client.jobs.text_stream(job_id):
        text = change.added if change.anew else text + change.added
    return text
