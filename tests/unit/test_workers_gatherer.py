"""The gatherer: what the feed's records of parts and divided jobs lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.dispatch import ChangeRecord, announcements_for, ends_in
from jobs.errors import RecordUnreadable, Unavailable
from jobs.job import JobStatus
from jobs.shards import ShardId
from jobs.slots import Use
from tests.builders import HeldTimers
from tests.mill import Mill
from workers.desk import Desk

if TYPE_CHECKING:
    from jobs.job import Job, JobId


def records_of(mill: Mill) -> list[ChangeRecord]:
    batch = mill.store.stream.read(ShardId("shard-0000"), 0)
    return [record for record in batch.records if isinstance(record, ChangeRecord)]


def test_nobody_is_told_of_a_parts_end_but_its_job() -> None:
    mill = Mill(webhook="https://example.com/hook")
    mill.finish()

    ended = ends_in(records_of(mill))

    assert [image.end.job for image in ended if image.end] == [mill.job.id]
    assert [one.event.job for one in announcements_for(ended)] == [mill.job.id]


def test_a_job_that_was_redriven_meanwhile_keeps_its_parts() -> None:
    mill = Mill()
    mill.divide()
    mill.cancel()
    mill.redrive()

    mill.feed()

    assert {part.status for part in mill.part_rows} == {JobStatus.PENDING}


def test_a_job_whose_row_nobody_can_read_does_not_hold_up_others() -> None:
    mill = Mill()
    mill.divide()
    for task in mill.feed():
        mill.run(task)
    get = mill.store.get

    def unreadable(job_id: JobId) -> Job:
        if job_id == mill.job_id:
            raise RecordUnreadable("not a row of ours (test)")
        return get(job_id)

    mill.store.get = unreadable  # type: ignore[method-assign] # a spoilt row
    mill.feed()
    mill.store.get = get  # type: ignore[method-assign]

    passed_over = [line.keys for line in mill.log.lines if line.event == "parts_passed_over"]
    assert len(passed_over) == len(mill.part_rows)
    assert {keys["trace_id"] for keys in passed_over} == {get(mill.job_id).trace.id}


def test_a_store_that_is_away_is_told_to_the_feed() -> None:
    mill = Mill()
    mill.divide()
    mill.run(mill.feed()[0])

    def away(job_id: JobId) -> Job:  # noqa: ARG001 - the port's
        raise Unavailable("store", "cannot be reached (test)")

    mill.store.get = away  # type: ignore[method-assign] # an outage
    with pytest.raises(Unavailable):
        mill.feed()


def test_dividing_a_job_uses_up_no_call_of_the_pace() -> None:
    mill = Mill()
    [task] = mill.feed()
    timers = HeldTimers(mill.clock, mill.log)
    desk = Desk(parts=mill.parts, queue=mill.queue, timers=timers)

    assert desk.run(task) is Use.UNUSED
    assert mill.job.is_divided
