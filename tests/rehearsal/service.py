"""A Service as kube-proxy makes one: each connection goes to one of the endpoints, by chance."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Self

from tests.free_ports import free_base

if TYPE_CHECKING:
    from types import TracebackType

HOST = "127.0.0.1"
_PIECE = 2**16


class Service:
    """Listens on a port of its own; connections that are there stay where they are."""

    def __init__(self) -> None:
        self.port = free_base(1)
        self.endpoints: set[int] = set()
        self.refused = 0
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._connect(reader, writer)
        except asyncio.CancelledError:
            pass  # the Service is closed; asyncio would print each connection's cancellation
        finally:
            self._open.discard(task)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            port = random.choice(sorted(self.endpoints))  # noqa: S311 - spreads load
            theirs, ours = await asyncio.open_connection(HOST, port)
        except (IndexError, OSError):
            self.refused += 1
            return
        try:
            await asyncio.gather(_pipe(reader, ours), _pipe(theirs, writer))
        finally:
            ours.close()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(_PIECE):
            sink.write(piece)
            await sink.drain()
    with contextlib.suppress(OSError, RuntimeError):
        sink.write_eof()
