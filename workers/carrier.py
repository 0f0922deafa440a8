"""The carrier: brings paid answers home that this machine's workers left, in a worker's thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from jobs.bring_home import bring_home
from jobs.errors import Misconfigured, Unavailable
from jobs.sketch import sketch

if TYPE_CHECKING:
    from jobs.answer import KeptAnswers, LeftAnswers
    from jobs.ports import Log

# Shorter than the sweeper's grace: an answer is home before the job is claimed again.
_EVERY_SECONDS = 2.0


class Carrier:
    """Looks at once and then every two seconds, until it is stopped; outlives what is away."""

    def __init__(self, *, left: LeftAnswers, home: KeptAnswers, log: Log) -> None:
        self._left = left
        self._home = home
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carrier", daemon=True)

    def start(self) -> None:
        """Carry from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End after the look that is under way."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                bring_home(self._left, self._home, self._log)
            except (Unavailable, Misconfigured) as error:
                self._log.warning("carrier_waits", reason=str(error))
            except Exception as error:  # noqa: BLE001 - one bad file must not end all carrying
                self._log.warning("carrier_broke", error=sketch(error))
            self._stop.wait(_EVERY_SECONDS)
