"""A store that keeps nothing: it answers PutItem as DynamoDB does, for next to no processor time.

With it the web process is measured by itself. `python -m bench.peers.stub_store PORT`.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import cast

from bench.crowd import HOST

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
    b"x-amzn-RequestId: 0\r\nx-amz-crc32: 2745614147\r\nContent-Length: 2\r\n\r\n{}"
)


class _Connection(asyncio.Protocol):
    """One keep-alive connection: each whole request gets the same answer."""

    def __init__(self) -> None:
        self._unread = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, end, body = self._unread.partition(_END_OF_HEAD)
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if end and len(body) >= length and self._transport is not None:
            self._unread = body[length:]
            self._transport.write(_ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
