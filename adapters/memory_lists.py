"""Jobs by time, by key and by state, in memory; they pass the contract suites of the real ones."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jobs.census import OPEN, Census
from jobs.errors import JobNotFound, KeyReused
from jobs.find import REDRIVEN_IN_BULK, Ended, Found, Size
from jobs.job import Inline
from jobs.listing import Page, Place
from jobs.told import accepted_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from adapters.memory import MemoryJobStore
    from jobs.idempotency import KeyId, RequestKey
    from jobs.job import Job, JobId, JobStatus, UserId


@dataclass(frozen=True)
class MemoryJobList:
    """jobs.listing.JobList over a MemoryJobStore."""

    store: MemoryJobStore

    def page(
        self, user: UserId, *, status: JobStatus | None, limit: int, after: Place | None
    ) -> Page:
        """Give a page."""
        listed = [
            job
            for job in self.store.jobs_of(user)
            if status in {None, job.status}
            and (after is None or (job.created_at, job.id) < (after.created_at, after.job))
        ]
        page = listed[:limit]
        more = len(listed) > limit
        return Page(
            jobs=tuple(_summary(job) for job in page),
            next=Place(created_at=page[-1].created_at, job=page[-1].id) if more else None,
        )


@dataclass(frozen=True)
class MemoryCensusTaker:
    """jobs.census.CensusTaker over a MemoryJobStore."""

    store: MemoryJobStore

    def count(self, now: datetime, *, most: int) -> Census:
        """Count."""
        held = [job for job in self.store.all_jobs() if not job.status.is_terminal]
        jobs = held[:most]
        by_state = {status: [job for job in jobs if job.status is status] for status in OPEN}
        since = {
            status: [accepted_at(job) for job in found if job.part is None]
            for status, found in by_state.items()
        }
        return Census(
            at=now,
            counts={status: len(found) for status, found in by_state.items()},
            oldest={status: min(times) for status, times in since.items() if times},
            is_whole=len(held) <= most,
        )


@dataclass(frozen=True)
class MemoryFinder:
    """jobs.find.Finder over a MemoryJobStore."""

    store: MemoryJobStore

    def find_open(self, before: datetime, *, now: datetime, limit: int) -> Found:
        """Find open jobs."""
        del now
        held = [job for job in self.store.all_jobs() if not job.status.is_terminal]
        old = sorted((job for job in held if accepted_at(job) <= before), key=accepted_at)
        return Found(jobs=tuple(old[:limit]), is_whole=len(old) <= limit)

    def find_failed(self, since: datetime, *, user: UserId | None) -> Iterator[Ended]:
        """Find jobs that ended without a result."""
        for job in self.store.all_jobs():
            is_asked_for = user is None or job.user == user
            if job.status in REDRIVEN_IN_BULK and is_asked_for and job.part is None:
                assert job.ended_at is not None  # noqa: S101 - every ended job has it
                error = job.error.code if job.error else None
                if job.ended_at >= since:
                    yield Ended(
                        job=job.id,
                        user=job.user,
                        status=job.status,
                        ended_at=job.ended_at,
                        error=error,
                    )

    def size(self) -> Size:
        """Count."""
        return Size(items=len(self.store.all_jobs()), size_bytes=0)


@dataclass(frozen=True)
class MemoryKeyedJobs:
    """jobs.idempotency.KeyedJobs over a MemoryJobStore, under one lock."""

    store: MemoryJobStore
    _keys: dict[KeyId, tuple[JobId, str]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def find(self, key: RequestKey) -> JobId | None:
        """Give the job that this request has made."""
        with self._lock:
            job_id, fingerprint = self._keys.get(key.id, (None, ""))
            if job_id is None or not self._is_there(job_id):
                return None
            if fingerprint != key.fingerprint:
                raise KeyReused("this Idempotency-Key was used with another body")
            return job_id

    def add(self, job: Job, key: RequestKey) -> JobId:
        """Write a new job and its key."""
        with self._lock:
            if (found := self.find(key)) is not None:
                return found
            self.store.add(job)
            self._keys[key.id] = (job.id, key.fingerprint)
            return job.id

    def _is_there(self, job_id: JobId) -> bool:
        try:
            self.store.get(job_id)
        except JobNotFound:
            return False
        return True


def _summary(job: Job) -> Job:
    result = job.result
    if result is not None:
        is_told = result.usage is not None or result.stop_reason is not None
        result = replace(result, payload=Inline(text="")) if is_told else None
    return replace(job, prompt=Inline(text=""), result=result, timeline=())
