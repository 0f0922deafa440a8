"""Outbox: what one socket still has to be sent, bounded, written by nobody who must not wait."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from web.close_codes import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from web.wire import Wire

MAX_BYTES = 1024 * 1024
MAX_FRAMES = 2_000
BATCH_BYTES = 64 * 1024
CLOSE_SECONDS = 2.0  # for the peer's own close frame, after ours


@dataclass(frozen=True, slots=True)
class Ending:
    """How the connection is to be closed."""

    code: CloseCode
    reason: str


class Outbox:
    """A socket's frames on their way out.

    `offer` and `end` never wait. A frame that the connection takes at once is written at once: one
    event for a thousand sockets need not start a thousand writers. A writer runs only while
    something waits, so an idle socket costs no greenlet. A socket that is offered more than
    MAX_BYTES or MAX_FRAMES ahead of its peer loses what waits and is closed with 4408.
    """

    def __init__(self, wire: Wire, spawn: Callable[[Callable[[], object]], object]) -> None:
        self._wire = wire
        self._spawn = spawn
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._is_writing = False
        self._has_ended = False
        self.ending: Ending | None = None

    def offer(self, frame: bytes, *, more: bool = False) -> None:
        """Send a frame as soon as those before it are out; after an ending, never.

        `more` says that others follow: they are written together.
        """
        with self._changed:
            if self.ending is not None or self._has_ended:
                return
            if not more and not self._is_writing and self._wire.send_now(frame):
                return
            if self._waiting and self._would_overflow(frame):
                self._waiting.clear()
                self._bytes = 0
                self.ending = Ending(CloseCode.TOO_SLOW, "reads too slowly")
            else:
                self._waiting.append(frame)
                self._bytes += len(frame)
            self._wake()

    def end(self, code: CloseCode, reason: str) -> None:
        """Close the connection once what waits is out; the first ending counts."""
        with self._changed:
            if self.ending is None and not self._has_ended:
                self.ending = Ending(code, reason)
                self._wake()

    def wait_for_room(self) -> None:
        """Wait until half of the bounds is free, or the connection has ended.

        For answers to what the peer asks: whoever does not read need not be answered faster.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._has_ended
                    or self.ending is not None
                    or (self._bytes <= MAX_BYTES // 2 and len(self._waiting) <= MAX_FRAMES // 2)
                )
            )

    def wait_until_ended(self) -> None:
        """Wait until the ending that was asked for has taken place."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended)

    def abandon(self) -> None:
        """Drop what waits: the connection has ended by itself."""
        with self._changed:
            self._waiting.clear()
            self._bytes = 0
            self._has_ended = True
            self._changed.notify_all()

    def _would_overflow(self, frame: bytes) -> bool:
        return self._bytes + len(frame) > MAX_BYTES or len(self._waiting) >= MAX_FRAMES

    def _wake(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            self._spawn(self._write)

    def _write(self) -> None:
        try:
            while batch := self._take():
                self._wire.send(batch)
            if self.ending is not None:
                self._close(self.ending)
        except OSError:
            self._wire.abort()
            self.abandon()

    def _take(self) -> bytes:
        """Take frames for one write; b"" when there are none, which ends the writer."""
        with self._changed:
            batch: list[bytes] = []
            size = 0
            while self._waiting and (not batch or size + len(self._waiting[0]) <= BATCH_BYTES):
                batch.append(self._waiting.popleft())
                size += len(batch[-1])
            self._bytes -= size
            # With an ending the last writer stays on, so that no second one starts beside it.
            self._is_writing = bool(batch) or self.ending is not None
            self._changed.notify_all()
        return b"".join(batch)

    def _close(self, ending: Ending) -> None:
        self._wire.close(ending.code, ending.reason)
        if not self._wire.wait_until_ended(CLOSE_SECONDS):
            self._wire.abort()
        self.abandon()
