"""The sweep's lease: of all feed processes one sweeps, and another when that one is gone.

It saves the others' queries and nothing hangs on it: two that sweep at once, for a moment, settle
each job by the row (jobs.ports.DueJobs.put_off).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.errors import LeaseLost, LonghaulError
from jobs.shard_leases import Sightings
from jobs.shards import Checkpoint, ShardId, StreamName
from workers.shard_keeper import FAILOVER, KEEP_EVERY

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.feed_ports import ShardLeases
    from jobs.ports import Clock, Log
    from jobs.shard_leases import FeedId, ShardLease

SWEEP = StreamName("sweep")  # beside the streams' ARNs in the feeds' table
_ONE = ShardId("sweep")


class SweepLease:
    """Used by the sweeper's one thread."""

    def __init__(self, *, leases: ShardLeases, me: FeedId, clock: Clock, log: Log) -> None:
        self._leases = leases
        self._me = me
        self._clock = clock
        self._log = log
        self._sightings = Sightings(failover=FAILOVER)
        self._mine: ShardLease | None = None
        self._kept_at: timedelta | None = None

    def hold(self) -> bool:
        """Keep the lease, or take it if its holder is gone; say whether it is ours.

        To be asked at least every KEEP_EVERY. Raises Unavailable.
        """
        now = self._clock.elapsed()
        if self._mine and self._kept_at and now - self._kept_at < KEEP_EVERY:
            return True
        lease = self._load()
        self._sightings.note([lease], now)
        self._mine = None
        if lease.owner == self._me or self._sightings.is_free(lease, now):
            self._take(lease)
            self._kept_at = now
        return self._mine is not None

    def release(self) -> None:
        """Give the lease up, so that another need not wait to be sure of it; never raises."""
        if self._mine is None:
            return
        try:
            self._leases.hold(SWEEP, self._mine, None)
        except LonghaulError as error:
            self._log.warning("sweep_not_released", reason=str(error))
        self._mine = None

    def _load(self) -> ShardLease:
        for lease in self._leases.load(SWEEP):
            return lease
        self._leases.add(SWEEP, _ONE, Checkpoint())
        [lease] = self._leases.load(SWEEP)
        return lease

    def _take(self, lease: ShardLease) -> None:
        try:
            self._mine = self._leases.hold(SWEEP, lease, self._me)
        except LeaseLost:
            return  # another was faster
        if lease.owner != self._me:
            self._log.info("sweep_taken", feed=self._me, before=lease.owner)
