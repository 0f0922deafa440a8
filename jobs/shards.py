"""Shards: which parts of the change stream may be read now, and from where.

A shard that splits is closed and has children; a row's changes go on in a child. So a parent is
read to its end before its children, and a child from its very beginning: its first records are
the ones that follow the parent's last. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs.dispatch import ChangeRecord
    from jobs.errors import RecordUnreadable

StreamName = NewType("StreamName", str)
ShardId = NewType("ShardId", str)
Position = NewType("Position", str)
LATEST = Position("LATEST")  # a shard's end, as it stands when its reader first reads


class Start(StrEnum):
    """Where a stream that nobody has read yet is begun, in Lambda's words."""

    TRIM_HORIZON = "TRIM_HORIZON"  # at its oldest record
    LATEST = "LATEST"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One shard as the stream describes it."""

    id: ShardId
    parent: ShardId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The last record of a shard whose effect is safe; `ended` where there is none after it."""

    position: Position | None = None
    ended: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one read gave, in order.

    An empty batch is not the end: only `ended` is. `position` is that of the last record, None
    where the batch is empty.
    """

    records: tuple[ChangeRecord | RecordUnreadable, ...]
    position: Position | None
    ended: bool


def readable(
    shards: Sequence[Shard], checkpoints: Mapping[ShardId, Checkpoint]
) -> list[tuple[Shard, Checkpoint]]:
    """Say which shards to read now and where each goes on.

    A shard is readable when it has not ended and its parent has, or is gone from the stream.
    """
    start = Checkpoint()
    present = {shard.id for shard in shards}

    def has_ended(shard: ShardId) -> bool:
        return checkpoints.get(shard, start).ended

    return [
        (shard, checkpoints.get(shard.id, start))
        for shard in shards
        if not has_ended(shard.id)
        and (shard.parent is None or shard.parent not in present or has_ended(shard.parent))
    ]


def begun_at_the_end(shards: Sequence[Shard]) -> list[tuple[ShardId, Checkpoint]]:
    """Say where to begin each shard so that only what is written from now on is read.

    At the end of the shards that are nobody's parents; the others count as read. They come last,
    so that whoever stops halfway has skipped nothing that another would not read.
    """
    parents = {shard.parent for shard in shards}
    newest = [shard.id for shard in shards if shard.id not in parents]
    older = [shard.id for shard in shards if shard.id in parents]
    return [
        *((shard, Checkpoint(position=LATEST)) for shard in newest),
        *((shard, Checkpoint(ended=True)) for shard in older),
    ]
