"""Timers: call something at a time, from one thread. A hint: what is here dies with the process.

They go by elapsed time: a clock that is set back while they wait holds up none of them.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.sketch import sketch

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from jobs.ports import Clock, Log


_LONGEST_WAIT = timedelta(hours=1)  # a condition refuses to wait for centuries


class Timers:
    """Calls must be quick; a call that raises is logged and forgotten."""

    def __init__(self, *, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._heap: list[tuple[timedelta, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def call_at(self, at: datetime, call: Callable[[], object]) -> None:
        """Call `call` at `at` by the clock as it goes now, or at once where that has passed."""
        self.call_after(at - self._clock.now(), call)

    def call_after(self, delay: timedelta, call: Callable[[], object]) -> None:
        """Call `call` after `delay`, whatever becomes of the clock."""
        at = self._clock.elapsed() + delay
        number = next(self._order)
        with self._changed:
            heapq.heappush(self._heap, (at, number, call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
                self._thread.start()
            if self._heap[0][1] == number:  # else the thread waits for another call rightly
                self._changed.notify()

    def _run(self) -> None:
        while True:
            call = self._wait_for_next()
            try:
                call()
            except Exception as error:  # noqa: BLE001 - one bad call must not end the others
                self._log.warning("timer_call_failed", error=sketch(error))

    def _wait_for_next(self) -> Callable[[], object]:
        with self._changed:
            while True:
                if not self._heap:
                    self._changed.wait()
                    continue
                wait = self._heap[0][0] - self._clock.elapsed()
                if wait <= timedelta(0):
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(min(wait, _LONGEST_WAIT).total_seconds())
