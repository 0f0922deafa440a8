"""The claim: a worker's exclusive, time-limited right to run a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from jobs.job import ClaimToken, Job, JobId, JobStatus, WorkerId
    from jobs.timeline import Step


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimTerms:
    """Who claims, when, for how long; `token` is new for every try to claim."""

    worker: WorkerId
    token: ClaimToken
    at: datetime
    lease: timedelta
    steps: tuple[Step, ...] = ()

    @property
    def lease_until(self) -> datetime:
        """When the claim lapses unless it is renewed."""
        return self.at + self.lease


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A claim that was given; `job` is the row as the claim left it.

    `interrupted_at` is when the call of an earlier claim began of which nobody knows the end.
    """

    job: Job
    token: ClaimToken
    worker: WorkerId
    lease: timedelta
    interrupted_at: datetime | None = None

    @property
    def job_id(self) -> JobId:
        """The job that is claimed."""
        return self.job.id

    @property
    def epoch(self) -> int:
        """The fence: a row with a higher epoch belongs to someone else."""
        return self.job.epoch

    @property
    def attempt(self) -> int:
        """The number of the call that this claim may make."""
        return self.job.attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRefused:
    """The job is not there to be claimed: someone runs it, it waits, it has ended or is gone."""

    job_id: JobId
    status: JobStatus | None
    not_before: datetime | None = None
