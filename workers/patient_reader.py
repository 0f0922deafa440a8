"""The patient reader: a shard's reader that takes a batch back until it is safe.

So a shard is not read anew because the broker was away, and what was read from the stream's end,
where no position leads back to it, is not skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.feed_ports import ShardReader
    from jobs.shards import Batch


class PatientReader:
    """jobs.feed_ports.ShardReader over another."""

    def __init__(self, reader: ShardReader) -> None:
        self._reader = reader
        self._given_back: Batch | None = None

    def read(self) -> Batch:
        """Give what was given back, or else read what comes next. Raises PositionLost."""
        batch, self._given_back = self._given_back, None
        return self._reader.read() if batch is None else batch

    def give_back(self, batch: Batch) -> None:
        """Take a batch, or what is left of it, to be read again."""
        self._given_back = batch
