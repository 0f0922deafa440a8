"""Celery's words: what it says in a signal's handler, past all logs, as lines of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import celery.apps.worker

if TYPE_CHECKING:
    from jobs.ports import Log


def take_celerys_words(log: Log) -> None:
    """Let a farewell, or the stacks that SIGUSR1 asks for, be one line of the log each."""

    def say(text: object, stream: object = None) -> None:  # noqa: ARG001 - Celery's signature
        log.info("celery_said", text=str(text))

    celery.apps.worker.safe_say = say  # type: ignore[attr-defined] # the stubs lack it
