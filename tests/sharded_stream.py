"""A change stream in shards that split, as DynamoDB Streams keeps one.

Facts from https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
and the pages beside it. Nothing here is safe for threads; the stand-in that serves it is.
"""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    Record = Mapping[str, Any]

HASHES = range(2**32)  # those of the rows' keys
MOST_RECORDS = 1000  # that one GetRecords gives
MOST_SHARDS = 100  # that one DescribeStream gives


class Refusal(StrEnum):
    """The errors of the API, by their names on the wire."""

    EXPIRED = "ExpiredIteratorException"
    INVALID = "ValidationException"
    NOT_FOUND = "ResourceNotFoundException"
    THROTTLED = "LimitExceededException"
    TRIMMED = "TrimmedDataAccessException"


class Refused(Exception):
    """The stream does not do what it was asked for."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


@dataclass(kw_only=True)
class StoredShard:
    """The records of the rows whose keys' hashes are in a range; `trimmed` of them are gone."""

    id: str
    hashes: range
    parent: str | None = None
    records: list[Record] = field(default_factory=list)
    trimmed: int = 0
    is_closed: bool = False

    @property
    def numbers(self) -> list[str]:
        """The sequence numbers of all records there ever were."""
        return [record["dynamodb"]["SequenceNumber"] for record in self.records]

    def described(self) -> dict[str, Any]:
        """Tell of the shard as DescribeStream does."""
        numbers = self.numbers or ["0" * 21]
        ending = {"EndingSequenceNumber": numbers[-1]} if self.is_closed else {}
        return {
            "ShardId": self.id,
            "SequenceNumberRange": {"StartingSequenceNumber": numbers[0], **ending},
            **({"ParentShardId": self.parent} if self.parent else {}),
        }


class ShardIterator(NamedTuple):
    """A place in a shard; `generation` is the stream's at which the iterator was given."""

    shard: str
    offset: int
    generation: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `str` wrote."""
        try:
            shard, offset, generation = text.split("|")
            return cls(shard, int(offset), int(generation))
        except ValueError as error:
            raise Refused(Refusal.INVALID, "ShardIterator is not valid") from error

    def __str__(self) -> str:
        return "|".join(map(str, self))


class Page(NamedTuple):
    """What one GetRecords gives; `following` is None where a closed shard has been read out."""

    records: list[Record]
    following: ShardIterator | None


class ShardedStream:
    """Shards that split the hashes of all keys among them; a row's changes stay in order."""

    def __init__(self, shards: int) -> None:
        self.shards: dict[str, StoredShard] = {}
        self._serial = itertools.count(1)
        self._generation = 0
        for number in range(shards):
            start, stop = (HASHES.stop * n // shards for n in (number, number + 1))
            self._add_shard(range(start, stop))

    def add(self, record: Record) -> None:
        """Append a change to the open shard that its row belongs to."""
        key = zlib.crc32(repr(record["dynamodb"]["Keys"]).encode())
        shard = next(shard for shard in self.open_shards() if key in shard.hashes)
        shard.records.append(record)

    def open_shards(self) -> list[StoredShard]:
        """Give the shards to which records are still added."""
        return [shard for shard in self.shards.values() if not shard.is_closed]

    def split(self, shard_id: str) -> None:
        """Close a shard; its rows' changes go on in two children."""
        parent = self._shard(shard_id)
        assert not parent.is_closed, f"{shard_id} has been split before"
        parent.is_closed = True
        middle = (parent.hashes.start + parent.hashes.stop) // 2
        for hashes in (range(parent.hashes.start, middle), range(middle, parent.hashes.stop)):
            self._add_shard(hashes, parent=shard_id)

    def trim(self, shard_id: str) -> None:
        """Drop all of a shard's records, as if a day had passed."""
        shard = self._shard(shard_id)
        shard.trimmed = len(shard.records)

    def expire_iterators(self) -> None:
        """Let no iterator that was given until now be good, as if 15 minutes had passed."""
        self._generation += 1

    def describe(self, *, after: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Describe a page of shards, and name its last one if there are more."""
        shards = list(self.shards)
        start = 0 if after is None else shards.index(self._shard(after).id) + 1
        page = shards[start : start + min(limit, MOST_SHARDS)]
        more = start + len(page) < len(shards)
        return [self.shards[shard].described() for shard in page], page[-1] if more else None

    def open(self, shard_id: str, kind: str, number: str | None) -> ShardIterator:
        """Give an iterator at the place that GetShardIterator's words name."""
        shard = self._shard(shard_id)
        match kind:
            case "TRIM_HORIZON":
                offset = shard.trimmed
            case "LATEST":
                offset = len(shard.records)
            case "AT_SEQUENCE_NUMBER":
                offset = _offset_of(shard, number)
            case "AFTER_SEQUENCE_NUMBER":
                offset = _offset_of(shard, number) + 1
            case _:
                raise Refused(Refusal.INVALID, f"{kind} is no ShardIteratorType")
        return ShardIterator(shard_id, offset, self._generation)

    def read(self, iterator: ShardIterator, *, limit: int) -> Page:
        """Give what comes at the iterator's place, and the iterator that follows."""
        shard = self._shard(iterator.shard)
        if not 1 <= limit <= MOST_RECORDS:
            raise Refused(Refusal.INVALID, f"Limit must be from 1 to {MOST_RECORDS}")
        if iterator.generation < self._generation:
            raise Refused(Refusal.EXPIRED, "Iterator expired")
        if iterator.offset < shard.trimmed:
            raise Refused(Refusal.TRIMMED, "The records at the iterator's place are gone")
        records = shard.records[iterator.offset : iterator.offset + limit]
        offset = iterator.offset + len(records)
        if shard.is_closed and offset == len(shard.records):
            return Page(records, None)
        return Page(records, iterator._replace(offset=offset))

    def _shard(self, shard_id: str) -> StoredShard:
        if shard_id not in self.shards:
            raise Refused(Refusal.NOT_FOUND, f"there is no shard {shard_id}")
        return self.shards[shard_id]

    def _add_shard(self, hashes: range, *, parent: str | None = None) -> None:
        shard_id = f"shardId-{next(self._serial):020d}-{hashes.start:08x}"
        self.shards[shard_id] = StoredShard(id=shard_id, hashes=hashes, parent=parent)


def _offset_of(shard: StoredShard, number: str | None) -> int:
    if number not in shard.numbers:
        raise Refused(Refusal.INVALID, f"{shard.id} has no record {number}")
    offset = shard.numbers.index(number)
    if offset < shard.trimmed:
        raise Refused(Refusal.TRIMMED, f"record {number} of {shard.id} is gone")
    return offset
