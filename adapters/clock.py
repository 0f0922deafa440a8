"""Time and chance, as the operating system gives them."""

from __future__ import annotations

import os
import secrets
import time
from datetime import UTC, datetime, timedelta

_RESOLUTION = 2**53


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the time, aware, in UTC, to the millisecond: what is written is what was meant."""
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def elapsed(self) -> timedelta:
        """Give the time of the monotonic clock."""
        return timedelta(seconds=time.monotonic())

    def sleep(self, duration: timedelta) -> None:
        """Wait."""
        time.sleep(max(0.0, duration.total_seconds()))


class SystemChance:
    """The machine's randomness."""

    def entropy(self, size: int) -> bytes:
        """Give `size` random bytes that nobody can guess."""
        return os.urandom(size)

    def jitter(self) -> float:
        """Give a number in [0, 1)."""
        return secrets.randbelow(_RESOLUTION) / _RESOLUTION
