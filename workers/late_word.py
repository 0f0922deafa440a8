"""The late word: tells watchers from the row how a job ended, in case its worker never did.

A worker writes the terminal row and then tells of it; if it dies in between, the feed has seen the
row all the same. It waits a moment, because the worker's own last words may still be on their way,
and the end must not overtake them. Who has heard it from the worker drops it by its number.
What waits here dies with the feed: a watcher loses the word only where both die within a moment,
and reads the row again at its next connection.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs.dispatch import Image
    from jobs.events import Event
    from jobs.ports import EventBus
    from workers.timers import Timers

GRACE = timedelta(seconds=3)  # far above what a worker's outbox holds while Redis listens


class LateWord:
    """Used by the feed's thread; speaks from the timers'."""

    def __init__(self, *, events: EventBus, timers: Timers) -> None:
        self._events = events
        self._timers = timers
        self._lock = threading.Lock()
        self._waiting: set[Event] = set()

    def tell(self, ended: Iterable[Image]) -> None:
        """Tell of these ends in a moment; never raises, never waits."""
        for image in ended:
            if image.end is not None:
                self._tell_later(image.end)

    def tell_all_now(self) -> None:
        """Tell what waits: this process ends, and an end too soon is better than none."""
        with self._lock:
            waiting = list(self._waiting)
        for event in sorted(waiting, key=lambda event: event.at):
            self._tell(event)

    def _tell_later(self, event: Event) -> None:
        with self._lock:
            self._waiting.add(event)
        self._timers.call_after(GRACE, lambda: self._tell(event))

    def _tell(self, event: Event) -> None:
        with self._lock:
            if event not in self._waiting:
                return
            self._waiting.discard(event)
        self._events.publish(event)
