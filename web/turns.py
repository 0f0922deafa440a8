"""Turns: how many of a process's watchers read rows and logs at once; the others wait in line.

Who subscribes does so with everyone else: after a restart, or at a word that a page sends to all.
A thousand reads in one moment would want a thousand connections to the store, which answers none
of them in time. Requests do not stand in this line, so they never wait behind it.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobs.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 16  # a process reads no faster with more: its one processor makes the requests
PATIENCE_SECONDS = 30.0


class Turns:
    """A bound on what goes on at once; who came first goes first, and none overtakes."""

    def __init__(
        self, *, at_once: int = AT_ONCE, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()  # held for a few instructions only
        self._free = at_once
        self._line: deque[threading.Event] = deque()

    def __len__(self) -> int:
        """Count who stands in line."""
        return len(self._line)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have one turn, waited for if need be. Raises Unavailable where the wait is too long."""
        self._take()
        try:
            yield
        finally:
            self._hand_on()

    def _take(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Event()
            self._line.append(turn)
        if turn.wait(self._patience_seconds):
            return
        with self._lock:
            if turn.is_set():
                return  # at the last moment
            self._line.remove(turn)
        raise Unavailable("store", f"no turn to read within {self._patience_seconds:g} s")

    def _hand_on(self) -> None:
        with self._lock:
            if self._line:
                self._line.popleft().set()
            else:
                self._free += 1
