"""Timers: call something at a time, from one thread. A hint: what is here dies with the process."""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from jobs.ports import Clock, Log

_LONGEST_WAIT_SECONDS = 1.0  # so that a clock that is set forward is noticed


class Timers:
    """Calls must be quick; a call that raises is logged and forgotten."""

    def __init__(self, *, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._heap: list[tuple[datetime, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def call_at(self, at: datetime, call: Callable[[], object]) -> None:
        """Call `call` at `at`, or at once where that has passed."""
        with self._changed:
            heapq.heappush(self._heap, (at, next(self._order), call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            call = self._wait_for_next()
            try:
                call()
            except Exception as error:  # noqa: BLE001 - one bad call must not end the others
                self._log.warning("timer_call_failed", error=repr(error))

    def _wait_for_next(self) -> Callable[[], object]:
        with self._changed:
            while True:
                now = self._clock.now()
                if self._heap and self._heap[0][0] <= now:
                    return heapq.heappop(self._heap)[2]
                wait = _LONGEST_WAIT_SECONDS
                if self._heap:
                    wait = min(wait, (self._heap[0][0] - now).total_seconds())
                self._changed.wait(wait if self._heap else None)
