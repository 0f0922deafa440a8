"""Listing: a user's jobs, the newest first, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.job import Job, JobId, JobStatus, UserId

MOST_LISTED = 100  # jobs a page


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a page ended: at this job of the user's."""

    created_at: datetime
    job: JobId


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some jobs, without prompts, results and timelines; `next` is None once all were listed."""

    jobs: tuple[Job, ...]
    next: Place | None


class JobList(Protocol):
    """The table of jobs by user and time."""

    def page(
        self, user: UserId, *, status: JobStatus | None, limit: int, after: Place | None
    ) -> Page:
        """Give up to `limit` of a user's jobs, the newest first, from behind a place on.

        With a status it looks at a bounded number of jobs: a page may be short, or empty, and have
        a next one all the same. A job of the last moment may be missing.
        """
