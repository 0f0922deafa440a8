"""Limits: how many calls a user may make, told with every answer that is counted.

The fields are those of draft-ietf-httpapi-ratelimit-headers. While the counts cannot be read,
every call is let through: see docs/decisions/0027.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import g

from jobs.errors import RateLimited, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Response

    from jobs.caller import Caller
    from jobs.outage import Outage
    from jobs.rate import Allowance, Quota, Rates


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The quotas of each user: `calls` for all calls, `submits` for those that set a job going."""

    rates: Rates
    outage: Outage
    calls: Quota | None
    submits: Quota | None

    def count(self, caller: Caller, *, is_submit: bool) -> Sequence[Allowance]:
        """Count a call and give what is left; nothing where it was not counted.

        Raises RateLimited, which has that as well.
        """
        quotas = [self.calls, self.submits if is_submit else None]
        counted = [quota for quota in quotas if quota is not None]
        if not counted or self.outage.is_on():
            return ()
        try:
            with self.outage.watched():
                told = self.rates.take(caller.user, counted)
        except Unavailable:
            return ()
        for allowance in told:
            if allowance.retry_in is not None:
                quota = allowance.quota
                window = quota.window.total_seconds()
                raise RateLimited(
                    f"more than {quota.calls} calls in {window:g} s (quota {quota.name})",
                    retry_in=allowance.retry_in,
                    allowances=told,
                )
        return told


def tell_limits(response: Response) -> None:
    """Say what is left to the caller of the request under way, where it was counted."""
    told: Sequence[Allowance] = g.get("allowances", ())
    if told:
        response.headers["RateLimit-Policy"] = ", ".join(_policy(one.quota) for one in told)
        response.headers["RateLimit"] = ", ".join(
            f'"{one.quota.name}";r={one.remaining};t={math.ceil(one.full_in.total_seconds())}'
            for one in told
        )


def _policy(quota: Quota) -> str:
    return f'"{quota.name}";q={quota.calls};w={math.ceil(quota.window.total_seconds())}'
