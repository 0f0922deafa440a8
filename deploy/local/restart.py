"""When a server that died is started again: a rule, not a loop."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

PAUSE: Final = timedelta(seconds=10)
MAX_RESTARTS: Final = 5
WINDOW: Final = timedelta(minutes=5)


def next_start(starts: Sequence[float], *, now: float) -> float | None:
    """Return when a dead server starts again, or None: it has died too often.

    `starts` are the times of its starts, oldest first, on the same monotonic clock in seconds as
    `now`. At most one start in PAUSE, so a server that ran longer comes back at once, and at most
    MAX_RESTARTS in WINDOW, so one that cannot run ends the whole stack instead of looping.
    """
    restarts = [start for start in starts[1:] if now - start < WINDOW.total_seconds()]
    if len(restarts) >= MAX_RESTARTS:
        return None
    return max(now, starts[-1] + PAUSE.total_seconds())
