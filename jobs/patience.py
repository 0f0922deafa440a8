"""Patience: wait for a part that is away, where giving up would lose what was paid for.

Credentials that have run out, or a table whose permissions someone changed, are waited for just as
a network that is down: an operator can mend them while the answer is in hand.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from jobs.errors import LonghaulError, Misconfigured, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.ports import Clock

T = TypeVar("T")

_FIRST_WAIT = timedelta(milliseconds=250)
_LONGEST_WAIT = timedelta(seconds=1)  # the holder must be back before the sweep is


def patiently(
    action: Callable[[], T],
    *,
    clock: Clock,
    patience: timedelta,
    waiting: Callable[[LonghaulError], object],
) -> T:
    """Do `action`, again and again while it raises Unavailable or Misconfigured.

    `waiting` is told of each failure. After `patience` the last one is raised.
    """
    deadline = clock.elapsed() + patience
    wait = _FIRST_WAIT
    while True:
        try:
            return action()
        except (Unavailable, Misconfigured) as error:
            if clock.elapsed() + wait > deadline:
                raise
            waiting(error)
        clock.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)
