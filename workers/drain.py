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

    def begin(self, **_signal: object) -> None:
        """Drain from now on; called from Celery's signal handler, so it only starts a thread."""
        if self._begun.is_set():
            return
        self._begun.set()
        threading.Thread(target=self._run, name="drain", daemon=True).start()

    def _run(self) -> None:
        self._turnstile.close()
        parked = self._desk.hand_over_parked()
        self._log.info("drain_began", grace_seconds=self._grace, parked=parked)
        threading.Event().wait(self._grace)
        self._log.info("drain_handed_over", jobs=self._leases.hand_over_all())
