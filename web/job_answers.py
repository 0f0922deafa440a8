"""Answers that show a job: its JSON, and what a poller goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Response

from web.job_json import retry_after_seconds
from web.json_text import write_json

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.ports import Clock
    from web.job_json import JobWriter


@dataclass(frozen=True, kw_only=True)
class JobAnswers:
    """Writes answers."""

    writer: JobWriter
    clock: Clock

    def show(self, job: Job, *, status: int = 200) -> Response:
        """Answer with the job as it stands."""
        return self.with_state(json_response(self.writer.write(job), status=status), job)

    def with_state(self, response: Response, job: Job) -> Response:
        """Add what a poller goes by: which state this is, and when to look again."""
        response.set_etag(self.writer.version_of(job), weak=True)
        response.headers["Cache-Control"] = "private, no-cache"
        wait = retry_after_seconds(job, self.clock.now())
        if wait is not None:
            response.headers["Retry-After"] = str(wait)
        return response


def json_response(value: object, *, status: int = 200) -> Response:
    """Answer with a JSON value."""
    return Response(write_json(value) + "\n", status=status, content_type="application/json")
