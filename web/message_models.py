"""What the server says over a WebSocket, described; web/socket_messages.py writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from jobs.errors import (
    Forbidden,
    InvalidRequest,
    JobNotFound,
    LonghaulError,
    Misconfigured,
    RateLimited,
    RecordUnreadable,
    Unauthenticated,
    Unavailable,
)
from web.described import Count, Described, JobIdText, TraceIdText, never_null
from web.errors import MalformedBody
from web.job_models import JobObject

if TYPE_CHECKING:
    from collections.abc import Mapping

ERROR_CODES = (
    Unauthenticated.code,
    Forbidden.code,
    RateLimited.code,
    InvalidRequest.code,
    MalformedBody.code,
    JobNotFound.code,
    Unavailable.code,
    Misconfigured.code,
    RecordUnreadable.code,
    LonghaulError.code,
    "too_many_messages",
    "events_missed",
)


class Authenticated(Described):
    """The credential of `auth` is good."""

    type: Literal["authenticated"]


class Subscribed(Described):
    """The job as it stands; its events follow. `recovered`: none since `after` is missing."""

    type: Literal["subscribed"]
    job_id: JobIdText
    seq: Count
    recovered: bool
    job: JobObject


class Unsubscribed(Described):
    """The job is watched no more."""

    type: Literal["unsubscribed"]
    job_id: JobIdText


class Cancelled(Described):
    """The job as it stands after `cancel`; one that had ended stays as it ended."""

    type: Literal["cancelled"]
    job_id: JobIdText
    job: JobObject


class Pong(Described):
    """The answer to `ping`."""

    type: Literal["pong"]


class Error(Described):
    """A message was not taken, or something is missing; unless a close follows, all goes on.

    `job_id` is the client's own word where its message had one. What no message asked for has no
    `trace_id`: `events_missed`, and the end of a subscription whose job is gone (`job_not_found`).
    """

    type: Literal["error"]
    code: Annotated[str, Field(json_schema_extra={"enum": list(ERROR_CODES)})]
    detail: str
    job_id: str | SkipJsonSchema[None] = Field(default=None, json_schema_extra=never_null)
    trace_id: TraceIdText | SkipJsonSchema[None] = Field(default=None, json_schema_extra=never_null)


ANSWERS: Mapping[str, type[Described]] = {
    "authenticated": Authenticated,
    "subscribed": Subscribed,
    "unsubscribed": Unsubscribed,
    "cancelled": Cancelled,
    "pong": Pong,
    "error": Error,
}
