"""Reading on: what a watcher of one user's jobs has missed, from the row and then from the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.event_log import read_all
from jobs.events import EventType
from jobs.results import get_own_job
from web.follow import CatchUp
from web.measures import Unmeasured

if TYPE_CHECKING:
    from jobs.event_log import EventLog
    from jobs.job import Job, JobId, UserId
    from jobs.ports import JobStore
    from web.follow import Place, Told
    from web.job_json import JobWriter
    from web.measures import Measures
    from web.turns import Turns


@dataclass(frozen=True, slots=True)
class Missed:
    """What a watcher has missed, and whether some of it is gone for good."""

    told: list[Told]
    has_gap: bool


@dataclass(frozen=True, kw_only=True)
class JobReaders:
    """What the readers of a process share; they take turns."""

    store: JobStore
    log: EventLog
    writer: JobWriter
    turns: Turns
    measures: Measures = field(default_factory=Unmeasured)

    def of(self, user: UserId) -> JobReader:
        """Give a user's reader."""
        return JobReader(
            user=user,
            store=self.store,
            log=self.log,
            writer=self.writer,
            turns=self.turns,
            measures=self.measures,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class JobReader:
    """Reads the jobs of one user, when it is its turn."""

    user: UserId
    store: JobStore
    log: EventLog
    writer: JobWriter
    turns: Turns
    measures: Measures = field(default_factory=Unmeasured)

    def read(self, job_id: JobId) -> Job:
        """Read a job. Raises JobNotFound, also for another user's, and Unavailable."""
        with self.turns.one():
            return get_own_job(job_id, self.user, self.store)

    def catch_up(self, place: Place, job: Job) -> Missed:
        """Bring a watcher from its place to the present; `job` has been read just now.

        Raises Unavailable, and then the place is as it was.
        """
        with self.turns.one():
            logged = read_all(self.log, job.id, start=place.reads_from)
        if logged and logged[-1].kind.is_terminal and not job.status.is_terminal:
            job = self.read(job.id)  # it has ended since
        catch_up = CatchUp(place, job, self.writer)
        told = catch_up.run(logged)
        gaps = sum(one.kind is EventType.GAP for one in told)
        self.measures.caught_up(len(told) - gaps, gaps=gaps)
        return Missed(told, catch_up.has_gap)
