"""GET /v1/jobs: the caller's jobs, the newest first."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from flask import request

from jobs.caller import Scope
from jobs.errors import FieldProblem, InvalidRequest
from jobs.job import JobStatus, parse_job_id
from jobs.listing import MOST_LISTED, Place
from jobs.times import read_time, written_time
from web.job_answers import json_response
from web.job_calls import DEFAULT_LIMIT, LIST, LONGEST_CURSOR
from web.routes import Route, the_caller

if TYPE_CHECKING:
    from flask import Response

    from jobs.listing import JobList
    from web.job_json import JobWriter

_KNOWN = frozenset({"status", "limit", "cursor"})


class ListRoutes:
    """The list; a cursor holds a place in time and no user, so it opens nobody else's list."""

    def __init__(self, jobs: JobList, writer: JobWriter) -> None:
        self._jobs = jobs
        self._writer = writer

    def routes(self) -> tuple[Route, ...]:
        """Name the route."""
        return (Route(name="jobs", path="/v1/jobs", view=self.show, scope=Scope.READ, call=LIST),)

    def show(self) -> Response:
        """Give a page, and the cursor of the next one."""
        _refuse_unknown()
        page = self._jobs.page(the_caller().user, status=_status(), limit=_limit(), after=_after())
        body = {
            "jobs": [self._writer.write_summary(job) for job in page.jobs],
            "next_cursor": None if page.next is None else write_cursor(page.next),
        }
        response = json_response(body)
        response.headers["Cache-Control"] = "private, no-cache"
        return response


def write_cursor(place: Place) -> str:
    """Write a place as a word that clients send back and do not read."""
    text = f"{written_time(place.created_at)} {place.job}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(word: str) -> Place | None:
    """Read what `write_cursor` wrote; None for what it did not."""
    if len(word) > LONGEST_CURSOR:
        return None
    try:
        padded = word + "=" * (-len(word) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        at, _, job = text.partition(" ")
        job_id, created_at = parse_job_id(job), read_time(at)
        is_ours = job_id is not None and written_time(created_at) == at
    except (binascii.Error, ValueError, OverflowError):
        return None
    return Place(created_at=created_at, job=job_id) if is_ours and job_id else None


def _refuse_unknown() -> None:
    for name, values in request.args.lists():
        if name not in _KNOWN:
            raise _wrong(name[:100], "is not known here: send status, limit or cursor")
        if len(values) > 1:
            raise _wrong(name, "must be sent once")


def _status() -> JobStatus | None:
    word = request.args.get("status")
    if word is None:
        return None
    if word not in set(JobStatus):
        raise _wrong("status", f"must be one of {', '.join(JobStatus)}")
    return JobStatus(word)


def _limit() -> int:
    word = request.args.get("limit")
    if word is None:
        return DEFAULT_LIMIT
    is_number = word.isascii() and word.isdigit() and len(word) <= len(str(MOST_LISTED))
    if not is_number or not 1 <= int(word) <= MOST_LISTED:
        raise _wrong("limit", f"must be from 1 to {MOST_LISTED}")
    return int(word)


def _after() -> Place | None:
    word = request.args.get("cursor")
    if word is None:
        return None
    if (place := read_cursor(word)) is None:
        raise _wrong("cursor", "must be the next_cursor of a page before")
    return place


def _wrong(field: str, detail: str) -> InvalidRequest:
    problem = FieldProblem(field=field, detail=detail)
    return InvalidRequest(f"{field} {detail}", problems=(problem,))
