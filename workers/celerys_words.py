"""Celery's words: what it says in a signal's handler, past all logs, or at length, as lines."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import celery.apps.worker
from celery.worker.consumer.consumer import (  # type: ignore[attr-defined] # the stubs lack them
    CANCEL_TASKS_BY_DEFAULT,
    CONNECTION_ERROR,
    CONNECTION_RETRY,
)

from jobs.sketch import sketch

if TYPE_CHECKING:
    from jobs.ports import Log

_MOST_CAUSES = 5


def take_celerys_words(log: Log, urgent: Log, *, redis_url: str) -> None:
    """Let each farewell, stack that SIGUSR1 asks for and lost connection be one line of the log.

    `urgent` is for what is said in a signal's handler.
    """

    def say(text: object, stream: object = None) -> None:  # noqa: ARG001 - Celery's signature
        urgent.info("celery_said", text=str(text))

    celery.apps.worker.safe_say = say  # type: ignore[attr-defined] # the stubs lack it
    consumer = logging.getLogger("celery.worker.consumer.consumer")
    consumer.addFilter(_BrokersLines(log, _place_of(redis_url)).take)
    logging.getLogger("py.warnings").addFilter(_is_no_advice_on_cancelling)


class _BrokersLines:
    """Tells of a broker that is lost, and of each try to reach it; Celery takes three lines."""

    def __init__(self, log: Log, broker: str) -> None:
        self._log = log
        self._broker = broker

    def take(self, record: logging.LogRecord) -> bool:
        """Tell of it; whether the record is of something else. A filter of logging's."""
        match (record.msg, record.args):
            case (_, (str(text), BaseException() as error)) if text == CONNECTION_RETRY:
                self._tell("broker_disconnected", error, "connects again; running jobs go on")
            case (str(text), (_, BaseException() as error, str(step))) if text == CONNECTION_ERROR:
                then = step.partition("...")[0].replace("Trying", "tries")
                self._tell("broker_away", error, then)
            case _:
                return True
        return False

    def _tell(self, event: str, error: BaseException, then: str) -> None:
        self._log.warning(event, broker=self._broker, reason=_reason(error), then=then)


def _is_no_advice_on_cancelling(record: logging.LogRecord) -> bool:
    """Whether a warning is another than the one on a setting that workers/broker.py decides.

    Celery gives it with every lost connection, and sets its own filter of warnings aside.
    """
    return CANCEL_TASKS_BY_DEFAULT.strip() not in record.getMessage()


def _reason(error: BaseException) -> str:
    """Say what the system said where it is among the causes: redis-py quotes it in its own."""
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.strerror:
            return sketch(cause)
        cause = cause.__cause__ or cause.__context__
    return sketch(error)


def _place_of(redis_url: str) -> str:
    """Give where the broker is, by what never is a credential."""
    parts = urlsplit(redis_url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
