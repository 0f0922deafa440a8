"""The gatherer: tells divided jobs from the feed's records of their parts, and parts of their job.

What cannot be done for one job is left to the sweep, and must not hold up the records of others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from jobs.dispatch import divided_ends_in, part_ends_in
from jobs.errors import JobNotFound, Misconfigured, Unavailable
from jobs.gather import GatherParts, end_parts_of, gather_part
from jobs.sketch import sketch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.cancel import CancelParts
    from jobs.dispatch import ChangeRecord
    from jobs.division import Division
    from jobs.job import JobId
    from jobs.trace import TraceId


@dataclass(frozen=True, kw_only=True)
class Gatherer:
    """Used by the feed's thread."""

    parts: GatherParts
    cancelling: CancelParts

    def take(self, records: Sequence[ChangeRecord]) -> None:
        """Note the parts that ended, and end the parts of jobs that did. Raises Unavailable."""
        for ended, trace_id in part_ends_in(records):
            self._do(ended.job, trace_id, partial(gather_part, ended, self.parts))
        for job_id, division, trace_id in divided_ends_in(records):
            self._do(job_id, trace_id, partial(self._end_parts, job_id, division))

    def _end_parts(self, job_id: JobId, division: Division) -> None:
        """End the parts, unless the job was redriven since and needs them again."""
        try:
            job = self.cancelling.store.get(job_id)
        except JobNotFound:
            return
        if job.status.is_terminal:
            end_parts_of(job, division, self.cancelling)

    def _do(self, job_id: JobId, trace_id: TraceId, act: Callable[[], None]) -> None:
        try:
            act()
        except (Unavailable, Misconfigured):
            raise
        except Exception as error:  # noqa: BLE001 - see above
            self.parts.log.warning(
                "parts_passed_over", job_id=job_id, trace_id=trace_id, reason=sketch(error)
            )
