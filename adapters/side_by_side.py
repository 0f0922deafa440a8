"""Checks side by side: each in a thread, each within its bound, told in the order of their list.

A part that hangs may not be waited for, and a call to it cannot be broken off; so the threads are
daemons, which the process leaves behind.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from jobs.checkup import cause_against, fail, look_at, skip

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from jobs.checkup import Check, Finding


def examine(checks: Sequence[Check], *, within: timedelta) -> Iterator[Finding]:
    """Make all checks, and give what they find: the first one's first, whenever it ends.

    A check begins once those that it rests on, which stand before it, have ended, and is not made
    where one of them fails. What has not ended within its bound, or `within` since all began,
    fails.
    """
    yield from _Round(checks, within).findings()


class _Round:
    def __init__(self, checks: Sequence[Check], within: timedelta) -> None:
        self._checks = checks
        self._within = within
        self._changed = threading.Condition()
        self._until: dict[str, float] = {}  # of those that have begun
        self._found: dict[str, list[Finding]] = {check.name: [] for check in checks}
        self._ended: dict[str, tuple[Finding, ...]] = {}

    def findings(self) -> Iterator[Finding]:
        last = time.monotonic() + self._within.total_seconds()
        for check in self._checks:
            while check.name not in self._ended:
                self._go_on(last)
            yield from self._ended[check.name]

    def _go_on(self, last: float) -> None:
        """End what is overdue, begin what may begin, and wait until there is more to do."""
        with self._changed:
            now, before = time.monotonic(), len(self._ended)
            for check in self._checks:
                if check.name in self._ended:
                    continue
                if now >= last:
                    self._give_up(check, self._within)
                elif check.name not in self._until:
                    self._begin_if_ready(check, now)
                elif now >= self._until[check.name]:
                    self._give_up(check, check.bound)
            if len(self._ended) == before:
                going = [until for name, until in self._until.items() if name not in self._ended]
                self._changed.wait(max(0.0, min([last, *going]) - time.monotonic()))

    def _begin_if_ready(self, check: Check, now: float) -> None:
        if not all(name in self._ended for name in check.rests_on):
            return
        if (cause := cause_against(check, self._ended)) is not None:
            self._ended[check.name] = (skip(check.name, cause),)
            return
        self._until[check.name] = now + check.bound.total_seconds()
        threading.Thread(target=self._make, args=(check,), name=check.name, daemon=True).start()

    def _make(self, check: Check) -> None:
        look_at(check, self._found[check.name].append)
        with self._changed:
            if check.name not in self._ended:
                self._ended[check.name] = tuple(self._found[check.name])
            self._changed.notify_all()

    def _give_up(self, check: Check, bound: timedelta) -> None:
        """Keep what was found until now; what comes later is not told."""
        told = f"no answer within {bound.total_seconds():g} s"
        late = fail(check.name, told, check.advice)
        self._ended[check.name] = (*self._found[check.name], late)
