"""Rejected records: change records that nobody could read, set aside with their cause."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, NewType, Self

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.errors import RecordUnreadable, UnreadRecord
    from jobs.shards import ShardId, StreamName

RejectedId = NewType("RejectedId", str)


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedRecord:
    """A change record that was set aside, and where it came from."""

    id: RejectedId
    stream: StreamName
    shard: ShardId
    rejected_at: datetime
    reason: str
    record: UnreadRecord

    @classmethod
    def of(
        cls, error: RecordUnreadable, *, stream: StreamName, shard: ShardId, at: datetime
    ) -> Self:
        """Make the entry of a record that could not be read."""
        return cls(
            id=rejected_id(error.record, stream, shard),
            stream=stream,
            shard=shard,
            rejected_at=at,
            reason=str(error),
            record=error.record,
        )


def rejected_id(record: UnreadRecord, stream: StreamName, shard: ShardId) -> RejectedId:
    """Name a record by when its change was written and which one it is.

    The same each time it is read, so that it is set aside once, and in the order of the changes.
    """
    time = record.at.astimezone(UTC).strftime("%Y%m%dt%H%M%S") if record.at else "00000000t000000"
    which = "\n".join([stream, shard, record.sequence_number or record.raw])
    return RejectedId(f"{time}-{hashlib.sha256(which.encode()).hexdigest()[:12]}")
