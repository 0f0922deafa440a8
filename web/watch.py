"""Watch: one socket's view of one job, and what it must still be told. Pure decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs import seq
from jobs.job import JobStatus

if TYPE_CHECKING:
    from jobs.job import Job

MAX_HELD = 2_000  # events while one row is read


@dataclass(slots=True, kw_only=True)
class Watch:
    """`last` is the highest number that was sent; `held` are events that wait for the row."""

    last: int = 0
    held: list[tuple[int, bytes]] | None = field(default_factory=list)


def seq_told(job: Job, after: int | None) -> int:
    """Give the number up to which a watcher needs nothing, once it has the job itself.

    Without `after` the job tells all up to its last state event; only a terminal event is told
    beside it. An `after` beyond all numbers that the row allows is a mistake, and must not
    silence what comes.
    """
    if after is None:
        return job.seq - 1 if job.status.is_terminal else job.seq
    return min(after, _highest_possible(job))


def is_recovered(job: Job, after: int | None) -> bool:
    """Whether the watcher misses nothing between `after` and now, as far as the row can tell.

    Between claims the row's number is the last one given. While a claim runs, deltas may have
    gone by that the row does not know of, so nothing can be promised. Of a job that has ended,
    the terminal event itself is told now, so having seen all before it is enough.
    """
    if after is None or job.status is JobStatus.RUNNING:
        return False
    if job.status.is_terminal:
        return after >= job.seq - 1
    return after >= job.seq


def _highest_possible(job: Job) -> int:
    if job.status is JobStatus.RUNNING:
        return seq.first_in(job.epoch + 1) - 1
    return job.seq
