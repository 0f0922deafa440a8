"""Who stands in the lines of adapters/slots.lua."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

from adapters.redis_errors import translating_redis
from adapters.redis_slots import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from jobs.job import Job, JobId, ModelId


class RedisLines:
    """jobs.slots.Lines, in one round trip."""

    def __init__(self, client: redis.Redis, *, root: str = ROOT) -> None:
        self._client = client
        self._root = root

    def standing(self, jobs: Sequence[Job]) -> frozenset[JobId]:
        """Give those of the jobs that stand in line."""
        with translating_redis("slots"), self._client.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hexists(self._tasks(job.model), job.id)
            return frozenset(compress((job.id for job in jobs), pipe.execute()))

    def _tasks(self, model: ModelId) -> str:
        """Name the tasks of a model as the script does: a name is led by its length in bytes."""
        return f"{self._root}:tasks:{len(model.encode())}:{model}"
