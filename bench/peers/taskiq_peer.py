"""The peer on taskiq: `taskiq worker bench.peers.taskiq_peer:broker`."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import ListQueueBroker

from bench.peers import asyncio_work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

broker = ListQueueBroker(
    os.environ.get("REDIS_URL", "redis://127.0.0.1"), queue_name="bench.taskiq"
)
_stack = AsyncExitStack()
_opened: list[asyncio_work.Clients] = []


async def open_queue() -> Callable[[str], Awaitable[object]]:
    """Give what enqueues a job."""
    await broker.startup()
    return task.kiq  # type: ignore[no-any-return] # taskiq's


async def run(job_id: str) -> None:
    """Run a job."""
    await asyncio_work.run(_opened[0], job_id)


async def _open(_: TaskiqState) -> None:
    _opened.append(await asyncio_work.Clients.open(_stack))


async def _close(_: TaskiqState) -> None:
    await _stack.aclose()


task = broker.register_task(run, task_name="run")
broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, _open)
broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, _close)
