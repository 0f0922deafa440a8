"""What the feed needs from outside: the change stream, its leases, a place for what is unreadable.

The promises of jobs/ports.py hold here, too: one suite a port, and any method may raise
`Unavailable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.rejected import RejectedId, RejectedRecord
    from jobs.shard_leases import FeedId, ShardLease
    from jobs.shards import Batch, Checkpoint, Position, Shard, ShardId, StreamName


class ShardReader(Protocol):
    """One shard, read forward."""

    def read(self) -> Batch:
        """Read what comes next, in order, each record once. Raises PositionLost."""


class ChangeStream(Protocol):
    """The table's change feed."""

    def name(self) -> StreamName:
        """Name the stream; checkpoints of another name mean nothing here."""

    def shards(self, stream: StreamName) -> Sequence[Shard]:
        """List the shards, closed ones too."""

    def open(self, stream: StreamName, shard: ShardId, *, after: Position | None) -> ShardReader:
        """Start right after a position, at LATEST, or at the oldest record."""


class ShardLeases(Protocol):
    """Who reads which shard, and how far it has been read; shared by all feeds."""

    def load(self, stream: StreamName) -> Sequence[ShardLease]:
        """Read all of a stream's leases, with every write that returned before."""

    def add(self, stream: StreamName, shard: ShardId, checkpoint: Checkpoint) -> None:
        """Make the lease of a shard, nobody's; one that is there stays."""

    def hold(self, stream: StreamName, lease: ShardLease, owner: FeedId | None) -> ShardLease:
        """Take, renew or (with None) release a lease that is still as `lease` says.

        Of feeds that race, one gets it. Raises LeaseLost.
        """

    def save(self, stream: StreamName, lease: ShardLease, checkpoint: Checkpoint) -> ShardLease:
        """Write how far the shard has been read, if its owner is the same. Raises LeaseLost."""

    def drop(self, stream: StreamName, shard: ShardId) -> None:
        """Forget a shard that the stream no longer has."""


class RejectedRecords(Protocol):
    """Change records that were set aside because nobody could read them."""

    def put(self, record: RejectedRecord) -> None:
        """Keep a record; one that is there stays as it is."""

    def find(self, *, limit: int) -> Sequence[RejectedRecord]:
        """Give up to `limit` records, the newest changes first."""

    def get(self, record_id: RejectedId) -> RejectedRecord | None:
        """Give one record, or None where there is none."""

    def remove(self, record_id: RejectedId) -> None:
        """Forget a record; repeatable."""
