"""Rejections: sets aside what the feed cannot read, before its checkpoint passes it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.errors import Unavailable
from jobs.rejected import RejectedRecord
from jobs.sketch import sketch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.errors import RecordUnreadable
    from jobs.feed_ports import RejectedRecords
    from jobs.ports import Clock, Log
    from jobs.rejected import RejectedId
    from jobs.shards import ShardId, StreamName

_PATIENCE = timedelta(minutes=1)  # time to mend a missing table or a missing right


class Rejections:
    """Used by the feed's one thread. `count` is of the records since the process began."""

    def __init__(self, *, rejected: RejectedRecords, clock: Clock, log: Log) -> None:
        self._rejected = rejected
        self._clock = clock
        self._log = log
        self._refused: dict[RejectedId, datetime] = {}
        self.count = 0

    def set_aside(
        self, errors: Sequence[RecordUnreadable], *, stream: StreamName, shard: ShardId
    ) -> list[RecordUnreadable]:
        """Set records aside and give those that are not safe yet; never raises.

        A store that is away is waited for: it keeps the checkpoints, too. One that refuses is
        waited for a minute, because no bad record may block its shard for ever; then the record
        is told in the log and passed over.
        """
        for index, error in enumerate(errors):
            now = self._clock.now()
            if not self._put(RejectedRecord.of(error, stream=stream, shard=shard, at=now)):
                return list(errors[index:])
            self.count += 1
        return []

    def _put(self, record: RejectedRecord) -> bool:
        """Keep one record; say whether the feed may pass it."""
        try:
            self._rejected.put(record)
        except Unavailable as error:
            self._log.warning("rejection_waits", rejected_id=record.id, reason=str(error))
            return False
        except Exception as error:  # noqa: BLE001 - see set_aside
            return self._is_given_up(record, error)
        self._refused.pop(record.id, None)
        self._log.warning("record_rejected", **_keys(record))
        return True

    def _is_given_up(self, record: RejectedRecord, error: Exception) -> bool:
        now = self._clock.now()
        since = self._refused.setdefault(record.id, now)
        if now - since < _PATIENCE:
            self._log.warning("rejection_waits", rejected_id=record.id, reason=sketch(error))
            return False
        del self._refused[record.id]
        self._log.warning(
            "record_passed_over",
            refusal=sketch(error),
            stream=record.stream,
            event_id=record.record.event_id,
            changed_at=record.record.at and record.record.at.isoformat(),
            **_keys(record),
        )
        return True


def _keys(record: RejectedRecord) -> dict[str, object]:
    return {
        "rejected_id": record.id,
        "shard": record.shard,
        "sequence_number": record.record.sequence_number,
        "job_id": record.record.job_id,
        "reason": record.reason,
    }
