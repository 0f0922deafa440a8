"""Drain: on SIGTERM a worker takes nothing new, lets jobs finish a while, hands on the rest.

Celery itself waits for every running task, however long; its soft shutdown does not reach the
threads pool. So the grace time is kept here. See docs/decisions/0003-celery-is-a-hint.md.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.ports import Log
    from workers.desk import Desk
    from workers.leases import RenewingLeases
    from workers.turnstile import Turnstile

_LAST_WORD_SECONDS = 5.0  # far more than it takes


class Drain:
    """Begins once; `grace` is how long running jobs may go on, in seconds."""

    def __init__(
        self, *, desk: Desk, turnstile: Turnstile, leases: RenewingLeases, log: Log, grace: float
    ) -> None:
        self._desk = desk
        self._turnstile = turnstile
        self._leases = leases
        self._log = log
        self._grace = grace
        self._begun = threading.Event()
        self._is_empty = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)

    def begin(self, **_signal: object) -> None:
        """Drain from now on; called from Celery's signal handler, so it only starts a thread."""
        if self._begun.is_set():
            return
        self._begun.set()
        self._thread.start()

    def end(self) -> None:
        """Keep no grace time that nobody needs, and let the last line be somebody else's."""
        self._is_empty.set()
        if self._begun.is_set():
            self._thread.join(_LAST_WORD_SECONDS)

    def _run(self) -> None:
        self._turnstile.close()
        parked = self._desk.hand_over_parked()
        self._log.info("drain_began", grace_seconds=self._grace, parked=parked)
        if self._is_empty.wait(self._grace):
            return  # all have ended within it: there is nothing to hand over
        self._log.info("drain_handed_over", jobs=self._leases.hand_over_all())
