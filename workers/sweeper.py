"""The sweeper: sweeps every few seconds, in a thread of the feed process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from jobs.errors import Misconfigured, Unavailable
from jobs.sweep import BATCH, sweep

if TYPE_CHECKING:
    from jobs.sweep import SweepParts


# After the store was away, those who hold claims renew and settle first: a lapsed lease may be of
# a worker that has a paid answer in its hands.
_GRACE_SECONDS = 5.0


class Sweeper:
    """Sweeps until it is stopped; outlives any part that goes away for a while."""

    def __init__(self, parts: SweepParts, *, every: float) -> None:
        self._parts = parts
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Sweep from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End after the sweep that is under way."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                while sweep(self._parts) == BATCH and not self._stop.is_set():
                    pass  # a full batch: there is more
            except (Unavailable, Misconfigured) as error:
                self._parts.log.warning("sweep_waits", reason=str(error))
                self._stop.wait(_GRACE_SECONDS)
            except Exception as error:  # noqa: BLE001 - one bad row must not end all sweeping
                self._parts.log.warning("sweep_broke", error=repr(error))
            self._stop.wait(self._every)
