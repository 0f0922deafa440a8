"""The errors that the client raises.

LonghaulError
├── SettingWrong            an address or a key that cannot be used
├── Unreachable             the server, or the store it led to, could not be spoken to
│   ├── NotConnected        no connection came about: nothing was sent
│   └── ConnectionLost      it broke while the answer was awaited: what was asked may have been done
├── AnswerUnreadable        what answered does not speak Longhaul's API
├── UploadRefused           the object store did not take the bytes
├── WaitOver                the job has not ended in the time that you gave it
├── JobNotCompleted         its text was followed, and it ended without being whole
└── Problem                 what the server answered; status, code, detail, errors, trace_id
    ├── Invalid             400, 413, 415, 422: what was sent cannot be accepted
    ├── Unauthenticated     401
    ├── Forbidden           403
    ├── NotFound            404: there is no such job, or it is not yours
    ├── Conflict            409: not in the state that the job is in
    ├── RateLimited         429
    └── Unavailable         502, 503, 504: the same call may work later
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from longhaul_client.events import Event
    from longhaul_client.models import Job

_LONGEST_SHOWN = 200  # characters of an answer that is no problem+json


class LonghaulError(Exception):
    """The root of all that the client raises."""


class SettingWrong(LonghaulError):
    """An address or a key that cannot be used."""


class Unreachable(LonghaulError):
    """The server, or the store it led to, could not be spoken to."""


class NotConnected(Unreachable):
    """No connection came about: nothing was sent."""


class ConnectionLost(Unreachable):
    """The connection broke while the answer was awaited: what was asked may have been done."""


class AnswerUnreadable(LonghaulError):
    """What answered does not speak Longhaul's API."""


class UploadRefused(LonghaulError):
    """The object store did not take the bytes."""


class WaitOver(LonghaulError):
    """The job has not ended in the time that was given; `job` is how it stood last."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.id} has not ended yet: it is {job.status}")
        self.job = job


class JobNotCompleted(LonghaulError):
    """A job whose text was followed ended otherwise than by completing; `event` says how."""

    def __init__(self, event: Event) -> None:
        super().__init__(f"{event.job_id} did not complete: {event.type}")
        self.event = event


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldProblem:
    """One thing wrong with one field of what was sent."""

    field: str
    detail: str


class Problem(LonghaulError):
    """What the server answered instead of what was asked for.

    `code` is stable and for programs. `retry_after` is in seconds. The server's log tells more
    under `trace_id`.
    """

    def __init__(  # noqa: PLR0913 - the members of an RFC 9457 problem
        self,
        detail: str,
        *,
        status: int,
        code: str,
        errors: tuple[FieldProblem, ...] = (),
        trace_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code
        self.errors = errors
        self.trace_id = trace_id
        self.retry_after = retry_after


class Invalid(Problem):
    """What was sent cannot be accepted."""


class Unauthenticated(Problem):
    """The key is missing, or nobody knows it."""


class Forbidden(Problem):
    """The key does not reach so far."""


class NotFound(Problem):
    """There is no such thing, or it is not yours."""


class Conflict(Problem):
    """The job is not in a state for this."""


class RateLimited(Problem):
    """Too many requests."""


class Unavailable(Problem):
    """A part of the service is away; the same call may work later."""


_BY_STATUS: Mapping[int, type[Problem]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def problem_of(status: int, headers: Mapping[str, str], content: bytes) -> Problem:
    """Read an answer that is an error, also one that a proxy wrote in its own words."""
    try:
        told = json.loads(content)
    except ValueError:
        told = None
    members = told if isinstance(told, dict) else {}
    plain = content.decode(errors="replace").strip()[:_LONGEST_SHOWN]
    trace_id = members.get("trace_id")
    return _BY_STATUS.get(status, Problem)(
        str(members.get("detail") or members.get("title") or plain or f"HTTP status {status}"),
        status=status,
        code=str(members.get("code") or f"http_{status}"),
        errors=tuple(_field_problems(members.get("errors"))),
        trace_id=trace_id if isinstance(trace_id, str) else None,
        retry_after=_seconds(headers.get("Retry-After")),
    )


def _field_problems(told: object) -> list[FieldProblem]:
    return [
        FieldProblem(field=str(one.get("field", "")), detail=str(one.get("detail", "")))
        for one in (told if isinstance(told, list) else [])
        if isinstance(one, dict)
    ]


def _seconds(text: str | None) -> float | None:
    """Read `Retry-After` in seconds; its other form, a date, is left to the back-off."""
    is_number = text is not None and text.isascii() and text.isdigit()
    return float(text) if text is not None and is_number else None
