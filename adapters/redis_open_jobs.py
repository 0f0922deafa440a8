"""Open jobs in Redis: a sorted set a user, so that nothing counts twice and all can be checked."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from adapters.redis_errors import translating_redis
from jobs.in_flight import KEPT, SUBMIT_TAKES
from jobs.job import JobId

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    import redis

    from jobs.job import UserId


class RedisOpenJobs:
    """jobs.in_flight.OpenJobs."""

    def __init__(self, client: redis.Redis) -> None:
        scripts = resources.files("adapters")
        self._client = client
        self._add = client.register_script(scripts.joinpath("open_jobs.lua").read_text())
        self._look = client.register_script(scripts.joinpath("look_at.lua").read_text())

    def add(self, user: UserId, job_id: JobId, *, most: int) -> bool:
        """Add a job where there is room."""
        with translating_redis("events"):
            return bool(
                self._add(keys=[_key(user)], args=[job_id, most, int(KEPT.total_seconds())])
            )

    def remove(self, jobs: Iterable[tuple[UserId, JobId]]) -> None:
        """Remove jobs in one round trip."""
        with translating_redis("events"), self._client.pipeline(transaction=False) as pipe:
            for user, job_id in jobs:
                pipe.zrem(_key(user), job_id)
            if len(pipe):
                pipe.execute()

    def to_look_at(self, user: UserId, *, most: int, every: timedelta) -> list[JobId]:
        """Give those that wait for a look."""
        with translating_redis("events"):
            found = self._look(
                keys=[_key(user), f"longhaul:looked:{user}"],
                args=[most, _milliseconds(every), _milliseconds(SUBMIT_TAKES)],
            )
        return [JobId(job.decode()) for job in found]


def _key(user: UserId) -> str:
    return f"longhaul:open:{user}"


def _milliseconds(duration: timedelta) -> int:
    return max(1, round(duration.total_seconds() * 1000))
