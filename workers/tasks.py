"""The Celery tasks: three lines each, everything else is behind the turnstile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structlog.contextvars import bound_contextvars

from jobs.errors import InvalidRequest
from workers.messages import (
    ANNOUNCE_TASK,
    RUN_TASK,
    Message,
    headers_of,
    read_delivery_key,
    read_message,
)

if TYPE_CHECKING:
    from celery import Celery
    from celery.app.task import Task as CeleryTask

    from jobs.ports import Log
    from workers.messenger import Messenger
    from workers.turnstile import Turnstile


def register_tasks(celery: Celery, turnstile: Turnstile, messenger: Messenger, log: Log) -> None:
    """Make the tasks of a worker process."""

    @celery.task(name=RUN_TASK, bind=True, shared=False)
    def run(self: CeleryTask[..., None], /, job_id: object, **fields: str) -> None:
        headers = headers_of(vars(self.request))
        try:
            task = read_message(job_id, Message(fields=fields, headers=headers))
            with bound_contextvars(job_id=task.job_id, trace_id=task.trace.id):
                turnstile.enter(task)
        except InvalidRequest as error:
            log.warning("task_unreadable", reason=str(error))

    @celery.task(name=ANNOUNCE_TASK, shared=False)
    def announce(job_id: object, delivery_id: object, trace_id: object, /) -> None:
        try:
            messenger.take(read_delivery_key(job_id, delivery_id, trace_id))
        except InvalidRequest as error:
            log.warning("task_unreadable", reason=str(error))
