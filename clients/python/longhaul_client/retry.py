"""When a failed call is made again: a decision, and nobody here acts on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from longhaul_client.errors import Problem, RateLimited, Unavailable, Unreachable

TRANSIENT = (Unreachable, RateLimited, Unavailable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """How a call that met a transient failure is made again.

    At most `tries` calls, the first included. The wait between two doubles from `base_seconds` to
    `longest_seconds`, and half of it is chance. A server that asks for more with `Retry-After`
    gets it, up to `longest_asked_seconds`. Who follows a job, or waits for its end, on a server
    that has answered once comes back until nothing was heard for `patience_seconds`.
    """

    tries: int = 8
    base_seconds: float = 0.5
    longest_seconds: float = 10.0
    longest_asked_seconds: float = 60.0
    patience_seconds: float = 300.0

    def patient(self) -> Retry:
        """Give the same with about as many calls as the patience has room for."""
        calls = math.ceil(self.patience_seconds / max(self.longest_seconds, 1))
        return replace(self, tries=max(self.tries, calls))

    def after(self, failure: Exception, *, tries: int, jitter: float) -> float | None:
        """Give the seconds to wait after the call number `tries` failed; None is to give up."""
        if tries >= self.tries or not isinstance(failure, TRANSIENT):
            return None
        return self.wait(failure, tries=tries, jitter=jitter)

    def wait(self, failure: Exception | None, *, tries: int, jitter: float) -> float:
        """Give the seconds between the call number `tries` and the next; `jitter` is in [0, 1)."""
        doubled = self.base_seconds * 2.0 ** min(tries - 1, 30)
        wait = min(doubled, self.longest_seconds) * (1 + jitter) / 2
        asked = failure.retry_after if isinstance(failure, Problem) else None
        return max(wait, min(asked or 0.0, self.longest_asked_seconds))
