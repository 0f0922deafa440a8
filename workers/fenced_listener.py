"""The fenced listener: has a worker's leases look at a claim as soon as someone says it is over."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from jobs.sketch import sketch

if TYPE_CHECKING:
    from jobs.fenced import FencedSource
    from jobs.ports import Log
    from workers.leases import RenewingLeases

_PAUSE_SECONDS = 1.0


class FencedListener:
    """Listens in a thread of its own for as long as the worker lives."""

    def __init__(self, *, source: FencedSource, leases: RenewingLeases, log: Log) -> None:
        self._source = source
        self._leases = leases
        self._log = log
        self._thread = threading.Thread(target=self._run, name="fenced", daemon=True)

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                self._source.listen(self._leases.look_at)
            except Exception as error:  # noqa: BLE001 - no cancel would be heard of in time without it
                self._log.warning("fenced_listener_broke", error=sketch(error))
                time.sleep(_PAUSE_SECONDS)
            else:
                return
