"""Pace: how fast a model that throttles may be called, found by trying.

Bedrock's quotas are calls and tokens a minute, not calls in flight, so what is steered is the rate
at which calls begin; how many are in flight follows from how long they take. As in TCP the rate
falls by a factor when a call is throttled and rises by a constant step otherwise (additive
increase, multiplicative decrease). The rate that was really admitted in the last seconds says
where the quota is, so one throttle is enough to come near it, from however far above.
adapters/slots.lua is the same in Redis, for all workers together.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

CUT = 0.85  # what a throttle leaves of the rate
RISE_SECONDS = 2.5  # in which the rate comes back, at the soonest, to where it was cut
RISE_CALLS = 5, 50  # and the calls that takes: those of STEADY_SECONDS, within these bounds
STEADY_SECONDS = 20.0
PROBE = 0.3  # how fast the rate grows beyond what has been tried, against the way back
BOLD_SECONDS = 10.0  # for each of these without a throttle it grows as fast once more
BOLDEST = 0.25  # of itself, in one call
CALM_SECONDS = 1.0  # after a cut the rate stands still: what is under way must come back first
FIRST = 10.0  # calls a second that a model is thought to bear, at least, until its first throttle
LEAST = 1 / 30  # calls a second
BURST_SECONDS = 0.1  # how much of a second's calls may begin at one moment
WINDOW_SECONDS = 2.0  # in which admitted calls are counted
FORGET_SECONDS = 600.0  # after the last throttle the model is called without a limit again


@dataclass(kw_only=True)
class Pace:
    """One model's pace; times are in seconds, by any steady clock. Without a throttle no limit."""

    rate: float | None = None
    _top: float = 0.0
    _tokens: float = 0.0
    _filled_at: float = 0.0
    _taken_at: float = 0.0
    _cut_at: float = -math.inf
    _begun: deque[float] = field(default_factory=deque)
    _throttled: deque[float] = field(default_factory=deque)

    def take(self, now: float, *, waited: bool) -> bool:
        """Begin a call, if the pace allows one now; it quickens only where calls wait for it."""
        if self.rate is not None and now - self._cut_at > FORGET_SECONDS:
            self.rate = None
        if self.rate is not None:
            self._fill(self.rate, now)
            if self._tokens < 1:
                return False
            self._tokens -= 1
            if waited and now - self._cut_at >= CALM_SECONDS:
                self._quicken(self.rate, now)
        self._taken_at = now
        self._begun.append(now)
        return True

    def put_back(self) -> None:
        """Take back a call that was not begun after all."""
        self._tokens += 1
        if self._begun:
            self._begun.pop()

    def next_in(self, now: float) -> float:
        """Tell in how many seconds a call may begin."""
        if self.rate is None:
            return 0.0
        self._fill(self.rate, now)
        return max(0.0, (1 - self._tokens) / self.rate)

    def slow_down(self, now: float, *, begun_at: float) -> None:
        """Learn that a call was throttled; those begun before the last cut say nothing new."""
        self._throttled.append(now)
        if begun_at <= self._cut_at:
            return
        begun = _within_window(self._begun, now)
        admitted = max(0, begun - _within_window(self._throttled, now)) / WINDOW_SECONDS
        before = max(FIRST, begun / WINDOW_SECONDS) if self.rate is None else self.rate
        self._top = max(min(before, admitted), before / 2)
        if self.rate is None:
            self._tokens, self._filled_at = 0.0, now
        self.rate = max(LEAST, self._top * CUT)
        self._cut_at = now

    def learn(self, rate: float, now: float) -> None:
        """Take over a pace that somebody else has found."""
        self.rate = self._top = rate
        self._cut_at = self._filled_at = now

    def _fill(self, rate: float, now: float) -> None:
        passed = max(0.0, now - self._filled_at)
        self._tokens = min(max(1.0, rate * BURST_SECONDS), self._tokens + passed * rate)
        self._filled_at = now

    def _quicken(self, rate: float, now: float) -> None:
        fewest, most = RISE_CALLS
        calls = min(most, max(fewest, rate * STEADY_SECONDS))
        share = min(1 / calls, max(0.0, now - self._taken_at) / RISE_SECONDS)
        if rate < self._top * (2 - CUT):
            self.rate = rate + self._top * (1 - CUT) * share
        else:
            boldness = 1 + (now - self._cut_at) / BOLD_SECONDS
            self.rate = rate * (1 + min(BOLDEST, PROBE * share * boldness))


def _within_window(times: deque[float], now: float) -> int:
    """Forget what is older than the window, and count the rest."""
    while times and now - times[0] >= WINDOW_SECONDS:
        times.popleft()
    return len(times)
