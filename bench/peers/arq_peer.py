"""The peer on arq: `arq bench.peers.arq_peer.WorkerSettings`."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import arq
from arq.connections import RedisSettings

from bench.peers import asyncio_work, work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

QUEUE = "bench.arq"
_POLL_SECONDS = 0.02  # by default it looks twice a second, and would do nothing else
_redis = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://127.0.0.1"))


async def open_queue() -> Callable[[str], Awaitable[object]]:
    """Give what enqueues a job."""
    pool = await arq.create_pool(_redis, default_queue_name=QUEUE)
    return partial(pool.enqueue_job, "run")


async def run(context: dict[str, Any], job_id: str) -> None:
    """Run a job."""
    await asyncio_work.run(context["clients"], job_id)


async def _open(context: dict[str, Any]) -> None:
    context["stack"] = AsyncExitStack()
    context["clients"] = await asyncio_work.Clients.open(context["stack"])


async def _close(context: dict[str, Any]) -> None:
    await context["stack"].aclose()


class WorkerSettings:
    """arq's own way to configure a worker."""

    functions = (run,)
    on_startup = _open
    on_shutdown = _close
    redis_settings = _redis
    queue_name = QUEUE
    max_jobs = work.AT_ONCE
    keep_result = 0
    poll_delay = _POLL_SECONDS
