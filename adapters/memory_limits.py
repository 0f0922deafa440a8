"""Rates and open jobs in memory; they pass the contract suites of the real ones."""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.in_flight import SUBMIT_TAKES
from jobs.rate import allowance_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jobs.job import JobId, UserId
    from jobs.ports import Clock
    from jobs.rate import Allowance, Quota


class MemoryRates:
    """jobs.rate.Rates of one process, under one lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._paid_off: dict[tuple[UserId, str], timedelta] = {}

    def take(self, user: UserId, quotas: Sequence[Quota]) -> list[Allowance]:
        """Count one call."""
        now = self._clock.elapsed()
        with self._lock:
            told = [
                allowance_of(quota, self._ahead(user, quota, now) + quota.step) for quota in quotas
            ]
            if all(allowance.retry_in is None for allowance in told):
                for quota in quotas:
                    ahead = self._ahead(user, quota, now) + quota.step
                    self._paid_off[user, quota.name] = now + ahead
        return told

    def _ahead(self, user: UserId, quota: Quota, now: timedelta) -> timedelta:
        ahead = self._paid_off.get((user, quota.name), now) - now
        return min(quota.window, max(timedelta(0), ahead))


class MemoryOpenJobs:
    """jobs.in_flight.OpenJobs under one lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: defaultdict[UserId, dict[JobId, timedelta]] = defaultdict(dict)
        self._looked: dict[UserId, timedelta] = {}

    def add(self, user: UserId, job_id: JobId, *, most: int) -> bool:
        """Add a job where there is room."""
        with self._lock:
            jobs = self._open[user]
            if job_id not in jobs and len(jobs) >= most:
                return False
            jobs.setdefault(job_id, self._clock.elapsed())
            return True

    def remove(self, jobs: Iterable[tuple[UserId, JobId]]) -> None:
        """Remove jobs."""
        with self._lock:
            for user, job_id in jobs:
                self._open[user].pop(job_id, None)

    def to_look_at(self, user: UserId, *, most: int, every: timedelta) -> list[JobId]:
        """Give those that wait for a look."""
        now = self._clock.elapsed()
        with self._lock:
            if user in self._looked and now - self._looked[user] < every:
                return []
            self._looked[user] = now
            jobs, before = self._open[user], now - SUBMIT_TAKES
            found = sorted((job for job in jobs if jobs[job] <= before), key=jobs.__getitem__)
            for job_id in found[:most]:
                jobs[job_id] = before
            return found[:most]
