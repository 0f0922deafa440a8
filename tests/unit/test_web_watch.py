"""What a watcher has been told and has missed: decisions on a row and a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.job import JobStatus
from tests.builders import a_job
from web.watch import is_recovered, seq_told

if TYPE_CHECKING:
    from jobs.job import Job

PENDING = a_job()
RUNNING = a_job(status=JobStatus.RUNNING, epoch=2, seq=2_000_001)
WAITING = a_job(status=JobStatus.PENDING_RETRY, epoch=2, seq=2_000_040)
ENDED = a_job(status=JobStatus.COMPLETED, epoch=2, seq=2_000_090)


@pytest.mark.parametrize(
    ("job", "after", "told", "recovered"),
    [
        (PENDING, None, 1, False),
        (PENDING, 0, 0, False),
        (PENDING, 1, 1, True),
        (PENDING, 10**9, 1, True),
        (RUNNING, None, 2_000_001, False),
        (RUNNING, 5, 5, False),
        (RUNNING, 2_000_001, 2_000_001, False),
        (RUNNING, 2_000_500, 2_000_500, False),
        (RUNNING, 10**12, 3_000_000, False),
        (WAITING, 2_000_039, 2_000_039, False),
        (WAITING, 2_000_040, 2_000_040, True),
        (ENDED, None, 2_000_089, False),
        (ENDED, 2_000_001, 2_000_001, False),
        (ENDED, 2_000_088, 2_000_088, False),
        (ENDED, 2_000_089, 2_000_089, True),
        (ENDED, 2_000_090, 2_000_090, True),
        (ENDED, 10**12, 2_000_090, True),
    ],
)
def test_what_a_watcher_needs(job: Job, after: int | None, told: int, *, recovered: bool) -> None:
    assert seq_told(job, after) == told
    assert is_recovered(job, after) is recovered
