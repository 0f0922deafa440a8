"""Rate: how many calls a user may make in a while, by the generic cell rate algorithm.

Of each user and quota one time is kept: when all that was called would be paid off at an even
pace. A call moves it by `window / calls`; it may be ahead of now by one window at most. So a user
who was silent may make `calls` calls at once, and then one each `window / calls`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.job import UserId

_ZERO = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """So many calls in a window; `name` tells one quota from another."""

    name: str
    calls: int
    window: timedelta

    @property
    def step(self) -> timedelta:
        """How much of the window one call takes."""
        return self.window / self.calls


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """What a call left of a quota; `full_in` is when all of it is there again.

    `retry_in` is none where the call was within this quota.
    """

    quota: Quota
    remaining: int
    full_in: timedelta
    retry_in: timedelta | None = None


class Rates(Protocol):
    """The calls of all users at all web processes."""

    def take(self, user: UserId, quotas: Sequence[Quota]) -> Sequence[Allowance]:
        """Count one call against each quota, or against none where one of them has no room.

        Raises Unavailable.
        """


def allowance_of(quota: Quota, ahead: timedelta) -> Allowance:
    """Say what is left where what was called is `ahead` of now; the call itself is in it.

    A call that took it beyond the window is one that was not within the quota.
    """
    over = ahead - quota.window
    if over > _ZERO:
        before = ahead - quota.step
        return Allowance(quota=quota, remaining=0, full_in=max(_ZERO, before), retry_in=over)
    remaining = math.floor((quota.window - ahead) / quota.step + 1e-9)
    return Allowance(quota=quota, remaining=remaining, full_in=max(_ZERO, ahead))
