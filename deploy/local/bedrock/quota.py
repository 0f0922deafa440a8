"""A quota of calls per second, as an account has one: a token bucket."""


class Quota:
    """Admits `calls_per_second` calls, with a burst of one second's worth; None admits all."""

    def __init__(self, calls_per_second: float | None = None) -> None:
        self.change(calls_per_second)

    @property
    def calls_per_second(self) -> float | None:
        """The quota in force."""
        return self._rate

    def change(self, calls_per_second: float | None) -> None:
        """Put another quota in force, with a full bucket."""
        self._rate = calls_per_second
        self._burst = max(1.0, calls_per_second or 0.0)
        self._left = self._burst
        self._seen_at: float | None = None

    def admits(self, *, now: float) -> bool:
        """Tell whether a call at `now` (seconds, a steady clock) is within the quota; count it."""
        if self._rate is None:
            return True
        elapsed = 0.0 if self._seen_at is None else max(0.0, now - self._seen_at)
        self._seen_at = now
        self._left = min(self._burst, self._left + elapsed * self._rate)
        if self._left < 1:
            return False
        self._left -= 1
        return True
