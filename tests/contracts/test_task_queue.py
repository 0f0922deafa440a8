"""jobs.ports.TaskQueue, in memory and on Celery's Redis: each promise of its docstring."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from adapters.memory import MemoryTaskQueue
from jobs.errors import LonghaulError, Unavailable
from jobs.job import ModelId, UserId
from jobs.task import Task
from tests.contracts.stories import START, a_trace, after, new_id
from tests.free_ports import free_base
from tests.stack import RedisServer
from workers.broker import RUN_QUEUE, CeleryTaskQueue, make_celery
from workers.messages import Message, headers_of, read_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from celery import Celery

    from jobs.ports import TaskQueue
    from tests.stack import LocalStack

FAILS_WITHIN_SECONDS = 20.0  # Redis's own time-outs are five

_databases = itertools.count(1)  # the system under test works on 0


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A queue, and what arrives at its other end."""

    queue: TaskQueue
    arrived: Callable[[int], list[Task]]


@pytest.fixture(params=["memory", "celery"])
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    if request.param == "memory":
        memory = MemoryTaskQueue()
        yield Queue(queue=memory, arrived=lambda _: memory.tasks)
        return
    stand_ins: LocalStack = request.getfixturevalue("stand_ins")
    url = stand_ins.redis_url.removesuffix("/0") + f"/{next(_databases)}"
    with celery_on(url) as celery:
        yield Queue(queue=CeleryTaskQueue(celery), arrived=lambda count: take_from(celery, count))


@contextmanager
def celery_on(url: str) -> Iterator[Celery]:
    celery = make_celery(url, connections=10)
    yield celery
    celery.close()


def take_from(celery: Celery, count: int) -> list[Task]:
    """Take that many messages from the queue, as a worker would, and one more if there is one."""
    tasks = []
    with celery.connection() as connection, connection.SimpleQueue(RUN_QUEUE) as simple:
        for left in range(count, -1, -1):
            try:
                message = simple.get(block=left > 0, timeout=10)
            except simple.Empty:
                break
            args, kwargs, _ = message.payload
            headers = headers_of(message.headers)
            tasks.append(read_message(args[0], Message(fields=kwargs, headers=headers)))
            message.ack()
    return tasks


def a_task() -> Task:
    return Task(
        job_id=new_id(),
        user=UserId("ada"),
        model=ModelId("amazon.nova-lite-v1:0"),
        trace=a_trace(),
        seen_at=START,
        enqueued_at=after(0.5),
        by="feed@test:1",
    )


def test_what_was_enqueued_arrives_whole_and_in_order(queue: Queue) -> None:
    tasks = [a_task(), replace(a_task(), not_before=after(3)), a_task()]

    queue.queue.enqueue(tasks)

    assert queue.arrived(3) == tasks


def test_nothing_is_enqueued_of_nothing(queue: Queue) -> None:
    queue.queue.enqueue([])

    assert queue.arrived(0) == []


def test_hundreds_of_tasks_are_with_the_broker_once_enqueue_returns(queue: Queue) -> None:
    tasks = [a_task() for _ in range(300)]

    queue.queue.enqueue(tasks)

    assert queue.arrived(300) == tasks


def test_in_celery_the_trace_travels_in_a_header(stand_ins: LocalStack) -> None:
    url = stand_ins.redis_url.removesuffix("/0") + f"/{next(_databases)}"
    task = a_task()
    with celery_on(url) as celery:
        CeleryTaskQueue(celery).enqueue([task])

        with celery.connection() as connection, connection.SimpleQueue(RUN_QUEUE) as simple:
            message = simple.get(timeout=10)
            message.ack()

    assert message.headers["x-amzn-trace-id"] == task.trace.header
    assert task.trace.id not in str(message.payload)


def test_without_redis_the_broker_is_unavailable_within_seconds() -> None:
    with celery_on(f"redis://127.0.0.1:{free_base(1)}/0") as celery:
        failure = failure_of(CeleryTaskQueue(celery))

    assert isinstance(failure, Unavailable)
    assert failure.part == "broker"


@pytest.mark.parametrize("away", ["kill", "freeze"])
def test_a_broker_that_goes_away_is_unavailable_and_is_back_with_redis(
    tmp_path: Path, away: str
) -> None:
    server = RedisServer(tmp_path)
    server.start()
    with celery_on(server.url) as celery:
        queue, task = CeleryTaskQueue(celery), a_task()
        queue.enqueue([task])

        getattr(server, away)()
        failure = failure_of(queue)
        server.thaw() if away == "freeze" else server.start()

        assert isinstance(failure, Unavailable)
        queue.enqueue([task])
        assert task in take_from(celery, 1)
    server.kill()


def failure_of(queue: TaskQueue) -> LonghaulError | None:
    """Enqueue a task and give the error that comes within seconds; an endless wait fails."""
    failures: list[LonghaulError] = []

    def enqueue() -> None:
        try:
            queue.enqueue([a_task()])
        except LonghaulError as error:
            failures.append(error)

    thread = threading.Thread(target=enqueue, daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(FAILS_WITHIN_SECONDS)
    assert not thread.is_alive(), f"enqueue still waits after {time.monotonic() - began:.0f} s"
    return failures[0] if failures else None
