"""Census: how many jobs have not ended, and since when the oldest of them waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from jobs.job import CROCKFORD, JobStatus, parse_job_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.job import JobId

OPEN = tuple(status for status in JobStatus if not status.is_terminal)
MOST_COUNTED = 20_000
_OLDEST_ID = timedelta(days=400)  # far above any retention of a job that has not ended
_AHEAD = timedelta(days=1)
_TIME_DIGITS = 10  # of a ULID, 5 bits each


@dataclass(frozen=True, kw_only=True, slots=True)
class Census:
    """What was counted; parts of divided jobs count, too.

    `oldest` is when the job that has been open for longest was accepted, or redriven, by state.
    `is_whole` says that all were counted; otherwise there are more than `counts` tell.
    """

    at: datetime
    counts: Mapping[JobStatus, int]
    oldest: Mapping[JobStatus, datetime]
    is_whole: bool


class CensusTaker(Protocol):
    """Counts the jobs that have not ended, from afar."""

    def count(self, now: datetime, *, most: int) -> Census:
        """Count them by state, reading about `most` at most; every open state has a number.

        What was written a moment ago may not be seen yet. Raises Unavailable.
        """


def seems_made_at(job_id: JobId, now: datetime) -> datetime | None:
    """Guess from its id when a job was made, or None where the id tells nothing, as a part's.

    A hint on which rows to look at; the row decides.
    """
    if parse_job_id(job_id) is None:
        return None
    number = 0
    for digit in job_id.removeprefix("job_")[:_TIME_DIGITS]:
        number = number << 5 | CROCKFORD.index(digit)
    made_at = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=min(number, 2**47))
    return made_at if now - _OLDEST_ID <= made_at <= now + _AHEAD else None
