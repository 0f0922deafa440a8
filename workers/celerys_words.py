"""Celery's words: what it says in a signal's handler, past all logs, as lines of the log."""

from __future__ import annotations

import celery.apps.worker

from adapters.logs import get_urgent_log


def take_celerys_words() -> None:
    """Let a farewell, or the stacks that SIGUSR1 asks for, be one line of the log each."""
    celery.apps.worker.safe_say = _say  # type: ignore[attr-defined] # the stubs lack it


def _say(text: object, stream: object = None) -> None:  # noqa: ARG001 - Celery's signature
    get_urgent_log().info("celery_said", text=str(text))
