"""The drain listener: lets an operator's word end this worker as SIGTERM would."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.ports import Log


class DrainSource(Protocol):
    """Where the word comes from."""

    def listen(self, hear: Callable[[], object]) -> None:
        """Pass it on for as long as the process lives."""


class DrainListener:
    """Listens in a thread of its own, to the end: that is how the operator sees it."""

    def __init__(self, *, source: DrainSource, log: Log) -> None:
        self._source = source
        self._log = log
        self._heard = threading.Event()
        self._thread = threading.Thread(
            target=lambda: source.listen(self._go), name="drain-word", daemon=True
        )

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()

    def _go(self) -> None:
        """Go once: a second SIGTERM would make Celery hurry."""
        if not self._heard.is_set():
            self._heard.set()
            self._log.info("drain_asked")
            os.kill(os.getpid(), signal.SIGTERM)
