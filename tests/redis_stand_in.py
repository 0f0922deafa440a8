"""A Redis that is not as it should be: it says of itself, and of the time, what a test wants."""

from __future__ import annotations

import socketserver
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

_UNKNOWN = b"-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n"


@dataclass
class RedisStandIn:
    """Knows PING, INFO and TIME alone; with `hello`, also the word that no Redis before 6 knows."""

    now: datetime
    info: Mapping[str, str] = field(default_factory=dict)
    hello: bool = True
    password: bool = False

    @contextmanager
    def running(self) -> Iterator[str]:
        """Give its URL."""
        stand_in = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while words := self._read():
                    self.wfile.write(stand_in.answer(words))

            def _read(self) -> list[str]:
                head = self.rfile.readline()
                if not head:
                    return []
                return [self._word() for _ in range(int(head[1:]))]

            def _word(self) -> str:
                size = int(self.rfile.readline()[1:])
                return self.rfile.read(size + 2)[:-2].decode()

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            yield f"redis://127.0.0.1:{server.server_address[1]}/0"
            server.shutdown()
            thread.join(5)

    def answer(self, words: list[str]) -> bytes:
        command = words[0].upper()
        if command == "PING":
            return b"+PONG\r\n"
        if command == "HELLO":
            return (
                b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n"
                if self.hello
                else _UNKNOWN
            )
        if self.password:
            return b"-NOAUTH Authentication required.\r\n"
        if command == "INFO":
            text = "\r\n".join(f"{name}:{value}" for name, value in self.info.items()).encode()
            return b"$%d\r\n%s\r\n" % (len(text), text)
        if command == "TIME":
            seconds = b"%d" % self.now.timestamp()
            return b"*2\r\n$%d\r\n%s\r\n$1\r\n0\r\n" % (len(seconds), seconds)
        return b"+OK\r\n"
