"""The operator's commands on the feed: `longhaul feed rejected`, `longhaul feed replay`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adapters.settings import read_settings
from adapters.wiring import open_operator_parts
from deploy.arguments import LISTED
from deploy.table import printable, table
from jobs.errors import InvalidRequest
from jobs.rejected import RejectedId, RejectedRecord
from jobs.replay import ReplayParts, replay
from jobs.times import written_time
from workers.broker import CeleryTaskQueue, make_celery

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from jobs.feed_ports import RejectedRecords

_KEPT = 1  # exit status: a record could not be replayed and is still there


def list_rejected(options: argparse.Namespace) -> int:
    """List the rejected records, or show one whole."""
    if options.id is not None and options.limit is not None:
        raise InvalidRequest("--limit is for the list, not for one record")
    records = open_operator_parts(read_settings(os.environ)).rejected
    if options.id is not None:
        [record] = _find_all([options.id], records)
        _write(_whole(record))
        return 0
    found = records.find(limit=options.limit or LISTED)
    if options.json:
        _write([_whole(record) for record in found])
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _table(found)))
    return 0


def replay_rejected(options: argparse.Namespace) -> int:
    """Trigger the jobs of rejected records."""
    if bool(options.ids) == options.all:
        raise InvalidRequest("name the records to replay, or say --all")
    with _replay_parts() as parts:
        if options.all:
            return _replay_each(_every(parts.rejected), parts, as_json=options.json)
        return _replay_each(_find_all(options.ids, parts.rejected), parts, as_json=options.json)


def _replay_each(records: Sequence[RejectedRecord], parts: ReplayParts, *, as_json: bool) -> int:
    """Replay one record after another, and tell of each as soon as it is done."""
    kept = 0
    for record in records:
        replayed = replay(record, parts)
        kept += not replayed.is_removed
        if as_json:
            told = {"id": record.id, "is_removed": replayed.is_removed, "told": replayed.told}
            sys.stdout.write(json.dumps(told) + "\n")
        else:
            sys.stdout.write(f"{record.id}  {printable(replayed.told)}\n")
        sys.stdout.flush()
    return _KEPT if kept else 0


@contextmanager
def _replay_parts() -> Iterator[ReplayParts]:
    settings = read_settings(os.environ)
    adapters = open_operator_parts(settings)
    celery = make_celery(settings.redis_url, connections=1)
    try:
        yield ReplayParts(
            rejected=adapters.rejected,
            store=adapters.store,
            queue=CeleryTaskQueue(celery),
            clock=adapters.clock,
            process=adapters.process,
        )
    finally:
        celery.close()


def _find_all(ids: Sequence[str], records: RejectedRecords) -> list[RejectedRecord]:
    """Find records by their ids, all of them or none: nothing is to be half done."""
    wanted = dict.fromkeys(ids)
    found = {text: records.get(RejectedId(text)) for text in wanted if text}
    if missing := [text for text in wanted if found.get(text) is None]:
        raise InvalidRequest(f"no rejected record {', '.join(map(repr, missing))}")
    return [record for record in found.values() if record is not None]


def _every(records: RejectedRecords) -> Sequence[RejectedRecord]:
    """Find all records, the oldest changes first."""
    return records.find(limit=sys.maxsize)[::-1]


def _table(records: Sequence[RejectedRecord]) -> Iterator[str]:
    if not records:
        yield "no rejected records"
        return
    rows: list[tuple[str, ...]] = [
        ("ID", "REJECTED", "SHARD", "JOB", "REASON"),
        *(
            (
                record.id,
                written_time(record.rejected_at),
                record.shard,
                record.record.job_id or "-",
                record.reason,
            )
            for record in records
        ),
    ]
    yield from table(rows)


def _whole(record: RejectedRecord) -> dict[str, object]:
    unread = record.record
    return {
        "id": record.id,
        "rejected_at": written_time(record.rejected_at),
        "stream": record.stream,
        "shard": record.shard,
        "sequence_number": unread.sequence_number,
        "event_id": unread.event_id,
        "job_id": unread.job_id,
        "changed_at": written_time(unread.at) if unread.at else None,
        "reason": record.reason,
        "record": json.loads(unread.raw),
    }


def _write(value: object) -> None:
    """Write JSON to be read by people, too, whatever the terminal can show."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
