"""Celery over Redis: a message is a hint, and the row is the truth.

The measurement behind each setting is in docs/decisions/0003-celery-is-a-hint.md.
"""

from __future__ import annotations

from queue import Empty
from typing import TYPE_CHECKING

import kombu.exceptions
import kombu.transport.redis
from celery import Celery
from kombu.log import get_logger

from jobs.errors import Unavailable
from workers.messages import ANNOUNCE_TASK, RUN_TASK, Message, write_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.delivery import DeliveryKey
    from jobs.task import Task

RUN_QUEUE = "longhaul.run"
ANNOUNCE_QUEUE = "longhaul.announce"
_log = get_logger(__name__)


class Channel(kombu.transport.redis.Channel):
    """kombu's channel, but what is no message is dropped; kombu's own ends the worker by it."""

    def _brpop_read(self, **options: object) -> bool:
        try:
            read: bool = super()._brpop_read(**options)  # type: ignore[misc] # kombu's own
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("dropped what is no message from the queue: %r", error)
            raise Empty from error
        return read


class Transport(kombu.transport.redis.Transport):
    """kombu's transport with our channel."""

    Channel = Channel


def make_celery(redis_url: str, *, connections: int) -> Celery:
    """Make the application, which connects to nothing yet."""
    celery = Celery("longhaul", set_as_current=False)
    celery.conf.update(
        broker_url=redis_url,
        broker_transport="workers.broker:Transport",
        # However long it is away, at the start too: the jobs that run need no broker.
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            # kombu passes None by default and then hangs for ever on a half-open socket.
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "max_connections": connections,
            # The worker itself remembers what it has not begun, and puts it back when it ends;
            # a copy in Redis would guard it for that moment alone (decision 47).
            "ack_emulation": False,
        },
        task_ignore_result=True,
        # Early acknowledgement: what is lost with a worker is found again from the row; late
        # acknowledgement runs a second copy whenever the connection drops (celery #6951).
        task_acks_late=False,
        # Celery advises True, for late acknowledgements: it cancels tasks whose message comes
        # again. Ours do not come again, a claim makes a duplicate harmless, and what is under way
        # is to go on while the broker is away. workers/celerys_words.py leaves the advice out.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        task_default_queue=RUN_QUEUE,
        task_serializer="json",
        accept_content=["json"],
        timezone="UTC",
    )
    return celery


class CeleryTaskQueue:
    """jobs.ports.TaskQueue."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    def enqueue(self, tasks: Sequence[Task]) -> None:
        """Hand tasks to the broker; when it returns, the broker has them all."""
        messages = [(task.job_id, write_message(task)) for task in tasks]
        _send(
            self._celery,
            RUN_TASK,
            RUN_QUEUE,
            [((job_id,), message) for job_id, message in messages],
        )


class CeleryDeliveryQueue:
    """jobs.delivery_ports.DeliveryQueue."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery

    def enqueue(self, keys: Sequence[DeliveryKey]) -> None:
        """Hand a task for each to the broker; when it returns, the broker has them all."""
        _send(
            self._celery,
            ANNOUNCE_TASK,
            ANNOUNCE_QUEUE,
            [((key.job, key.delivery, key.trace), Message(fields={}, headers={})) for key in keys],
        )


def _send(
    celery: Celery, name: str, queue: str, messages: Sequence[tuple[tuple[str, ...], Message]]
) -> None:
    """Send all messages to Redis in one pipeline, which is done when this returns."""
    if not messages:
        return
    try:
        with celery.producer_or_acquire() as producer, producer.batch():
            for args, message in messages:
                celery.send_task(
                    name,
                    args=args,
                    kwargs=message.fields,
                    headers=message.headers,
                    queue=queue,
                    producer=producer,
                    retry=False,
                )
    except (kombu.exceptions.KombuError, OSError) as error:
        raise Unavailable("broker", f"Redis takes no tasks ({type(error).__name__})") from error
