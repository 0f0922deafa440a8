"""Rates in Redis: one script, adapters/rate.lua, so that all web processes count as one."""

from __future__ import annotations

from datetime import timedelta
from importlib import resources
from typing import TYPE_CHECKING

import redis

from jobs.errors import Unavailable
from jobs.rate import allowance_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.job import UserId
    from jobs.rate import Allowance, Quota

_SLACK = timedelta(microseconds=1)  # the script counts in whole ones


class RedisRates:
    """jobs.rate.Rates."""

    def __init__(self, client: redis.Redis) -> None:
        source = resources.files("adapters").joinpath("rate.lua").read_text()
        self._script = client.register_script(source)

    def take(self, user: UserId, quotas: Sequence[Quota]) -> list[Allowance]:
        """Count one call."""
        keys = [f"longhaul:rate:{quota.name}:{user}" for quota in quotas]
        numbers = [(quota.calls, quota.window.total_seconds()) for quota in quotas]
        try:
            told = self._script(keys=keys, args=[number for pair in numbers for number in pair])
        except redis.RedisError as error:
            raise Unavailable(
                "events", f"Redis does not answer ({type(error).__name__})"
            ) from error
        return [
            allowance_of(quota, timedelta(microseconds=int(ahead)) - _SLACK)
            for quota, ahead in zip(quotas, told, strict=True)
        ]
