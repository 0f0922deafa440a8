"""The sweeper: sweeps every few seconds, in a thread of one feed process at a time."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.census import MOST_COUNTED
from jobs.errors import LonghaulError, Misconfigured, Unavailable
from jobs.sketch import sketch
from jobs.sweep import BATCH, sweep
from jobs.sweep_deliveries import BATCH_OF_DELIVERIES, sweep_deliveries
from workers.shard_keeper import KEEP_EVERY

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.census import Census, CensusTaker
    from jobs.sweep import SweepParts
    from jobs.sweep_deliveries import SweepDeliveriesParts
    from workers.sweep_lease import SweepLease


# After the store was away, those who hold claims renew and settle first: a lapsed lease may be of
# a worker that has a paid answer in its hands.
_GRACE_SECONDS = 5.0
_STOPS_WITHIN_SECONDS = 3.0  # a sweep under way; what it leaves is due again


@dataclass(frozen=True, kw_only=True)
class CensusTerms:
    """What counts the open jobs, and how often."""

    taker: CensusTaker
    every: timedelta


class Sweeper:
    """Sweeps while the lease is ours; outlives any part that goes away for a while.

    It counts the open jobs, too, where somebody wants to know: so one process does. `sweeps` and
    `swept_at` tell what it has done, `census` is None while another process counts.
    """

    def __init__(
        self,
        parts: SweepParts,
        *,
        deliveries: SweepDeliveriesParts,
        lease: SweepLease,
        every: float,
        counting: CensusTerms | None = None,
    ) -> None:
        self._parts = parts
        self._deliveries = deliveries
        self._lease = lease
        self._every = timedelta(seconds=every)
        # An even part of `every`, often enough for the lease.
        self._pause = self._every / math.ceil(self._every / KEEP_EVERY)
        self._counting = counting
        self._counted_at: timedelta | None = None
        self.swept_at: datetime | None = None
        self.sweeps = 0
        self.census: Census | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Sweep from now on, whenever it is our turn."""
        self._thread.start()

    def stop(self) -> None:
        """End after the sweep that is under way, and let another take over at once."""
        self._stop.set()
        self._thread.join(_STOPS_WITHIN_SECONDS)

    def turn(self) -> None:
        """Keep the lease, and sweep if it is ours and it is time to. Raises Unavailable."""
        now = self._parts.clock.now()
        if not self._lease.hold():
            self.census = self._counted_at = None
            return
        if self.swept_at is not None and now - self.swept_at < self._every - self._pause / 2:
            return
        while sweep(self._parts) == BATCH and not self._stop.is_set() and self._lease.hold():
            pass  # a full batch: there is more
        self._sweep_deliveries()
        self.swept_at = now
        self.sweeps += 1
        self._count()

    def _count(self) -> None:
        """Count the open jobs if it is time to; what cannot be counted is not told."""
        elapsed = self._parts.clock.elapsed()
        if self._counting is None or (
            self._counted_at is not None and elapsed - self._counted_at < self._counting.every
        ):
            return
        self._counted_at = elapsed
        try:
            self.census = self._counting.taker.count(self._parts.clock.now(), most=MOST_COUNTED)
        except LonghaulError as error:
            self.census = None
            self._parts.log.warning("census_waits", reason=str(error))

    def _sweep_deliveries(self) -> None:
        while (
            sweep_deliveries(self._deliveries) == BATCH_OF_DELIVERIES
            and not self._stop.is_set()
            and self._lease.hold()
        ):
            pass

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.turn()
            except (Unavailable, Misconfigured) as error:
                self.census = self._counted_at = None  # it would be believed to be of now
                self._parts.log.warning("sweep_waits", reason=str(error))
                self._stop.wait(_GRACE_SECONDS)
            except Exception as error:  # noqa: BLE001 - one bad row must not end all sweeping
                self._parts.log.warning("sweep_broke", error=sketch(error))
            self._stop.wait(self._pause.total_seconds())
        self._lease.release()
