"""In flight: a ceiling on how many jobs of one user are not ended yet.

The open jobs of a user are kept by name, not counted: adding or removing one twice changes
nothing. A job is added before its row is written and removed by the feed when the row has ended,
so what is kept may only be too much: by what a process left that died in between. So who seems to
be at the ceiling is looked at again, the jobs longest not looked at first, before they are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from jobs.errors import JobNotFound, LonghaulError, TooManyJobs, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobs.job import JobId, UserId
    from jobs.outage import Outage
    from jobs.ports import JobStore

LOOKED_AT = 20  # rows that one refusal may cost
LOOK_EVERY = timedelta(seconds=2)  # of one user, however often they are refused
SUBMIT_TAKES = timedelta(minutes=2)  # far more: a job without a row after that has none
KEPT = timedelta(days=61)  # longer than a job can wait and run


class OpenJobs(Protocol):
    """The names of users' open jobs, for all processes. Every method may raise Unavailable."""

    def add(self, user: UserId, job_id: JobId, *, most: int) -> bool:
        """Add a job where fewer than `most` are there, or it is one of them; say whether it is."""

    def remove(self, jobs: Iterable[tuple[UserId, JobId]]) -> None:
        """Remove jobs; those that are not there, too."""

    def to_look_at(self, user: UserId, *, most: int, every: timedelta) -> Sequence[JobId]:
        """Give those that were not added or looked at for the longest; none within `every`.

        Those that were added within SUBMIT_TAKES are left out. They count as looked at then.
        """


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """How many jobs of a user may be in flight: `most`. It fails open."""

    open_jobs: OpenJobs
    store: JobStore
    outage: Outage
    most: int

    def admit(self, user: UserId, job_id: JobId) -> None:
        """Let one more job of this user be in flight. Raises TooManyJobs."""
        if self.outage.is_on():
            return
        try:
            with self.outage.watched():
                is_added = self._add(user, job_id)
        except Unavailable:
            return  # work goes on without the ceiling; see docs/decisions/0027
        if not is_added:
            raise TooManyJobs(f"{self.most} jobs of yours are in flight; wait until one has ended")

    def forget(self, user: UserId, job_id: JobId) -> None:
        """Take back what `admit` let in: the job was not made after all."""
        try:
            with self.outage.watched():
                self.open_jobs.remove([(user, job_id)])
        except Unavailable:
            return  # looked at again, and removed then

    def _add(self, user: UserId, job_id: JobId) -> bool:
        if self.open_jobs.add(user, job_id, most=self.most):
            return True
        found = self.open_jobs.to_look_at(user, most=LOOKED_AT, every=LOOK_EVERY)
        ended = [(user, one) for one in found if self._has_ended(one)]
        self.open_jobs.remove(ended)
        return bool(ended) and self.open_jobs.add(user, job_id, most=self.most)

    def _has_ended(self, job_id: JobId) -> bool:
        try:
            return self.store.get(job_id).status.is_terminal
        except JobNotFound:
            return True
        except LonghaulError:
            return False  # nobody can tell
