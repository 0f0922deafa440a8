"""Pace: how fast a client may speak. A token bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

MESSAGES_PER_SECOND = 50.0
BURST = 200.0


class Pace:
    """Counts one client's messages."""

    def __init__(self, now: datetime) -> None:
        self._tokens = BURST
        self._at = now

    def is_kept(self, now: datetime) -> bool:
        """Count a message; whether it still keeps to the pace."""
        passed = max(0.0, (now - self._at).total_seconds())
        self._tokens = min(BURST, self._tokens + passed * MESSAGES_PER_SECOND)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
