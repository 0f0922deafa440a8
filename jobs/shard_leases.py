"""Shard leases: which feed reads which shard, spread evenly and taken over when a feed dies.

In the manner of the Kinesis Client Library (its docs/lease-lifecycle.md): a lease has an owner and
a counter that the owner raises; a counter that stands still for the failover time, by the
observer's own clock, belongs to a feed that is gone. So no two machines' clocks are compared.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from jobs.shards import Checkpoint, ShardId

FeedId = NewType("FeedId", str)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardLease:
    """One shard's lease and how far it has been read; nobody's where `owner` is None."""

    shard: ShardId
    checkpoint: Checkpoint
    owner: FeedId | None = None
    counter: int = 0

    def owned_by(self, feed: FeedId | None) -> ShardLease:
        """Give the lease as `feed` takes, renews or (None) releases it."""
        return replace(self, owner=feed, counter=self.counter + 1)


class Sightings:
    """When each lease's counter was last seen to move, in the observer's elapsed time."""

    def __init__(self, *, failover: timedelta) -> None:
        self._failover = failover
        self._seen: dict[ShardId, tuple[FeedId | None, int, timedelta]] = {}
        self._noted_at: timedelta | None = None

    def note(self, leases: Sequence[ShardLease], now: timedelta) -> None:
        """Look at all leases, now.

        After a pause of ours as long as the failover time nothing is known: the store may have
        been away, and then nobody could raise a counter.
        """
        if self._noted_at is not None and now - self._noted_at >= self._failover:
            self._seen.clear()
        self._noted_at = now
        self._seen = {
            lease.shard: known
            if (known := self._seen.get(lease.shard)) and known[:2] == (lease.owner, lease.counter)
            else (lease.owner, lease.counter, now)
            for lease in leases
        }

    def is_free(self, lease: ShardLease, now: timedelta) -> bool:
        """Tell whether the lease may be taken: nobody's, or of a feed that is gone."""
        known = self._seen.get(lease.shard)
        return lease.owner is None or (known is not None and now - known[2] >= self._failover)


def leases_to_take(
    leases: Sequence[ShardLease], free: Sequence[ShardLease], *, me: FeedId
) -> list[ShardLease]:
    """Choose which leases to take so that all feeds come to hold as many as each other.

    `leases` are those of the shards that can be read now. Free ones come first; where there are
    none, one is stolen from the feed that has most, if it has at least two more than we do.
    """
    free_shards = {lease.shard for lease in free}
    held = Counter(
        lease.owner for lease in leases if lease.owner and lease.shard not in free_shards
    )
    mine = held.pop(me, 0)
    need = math.ceil(len(leases) / (len(held) + 1)) - mine
    if need <= 0:
        return []
    if free_shards:
        ours = [lease for lease in leases if lease.shard in free_shards]
        start = zlib.crc32(me.encode()) % len(
            ours
        )  # feeds that look at one moment begin at different ones
        return [*ours[start:], *ours[:start]][:need]
    richest, most = max(held.items(), key=lambda item: (item[1], item[0]), default=(me, 0))
    if most - mine < 2:  # noqa: PLR2004 - a difference of one cannot be evened out
        return []
    theirs = [lease for lease in leases if lease.owner == richest]
    return [theirs[zlib.crc32(me.encode()) % len(theirs)]]
