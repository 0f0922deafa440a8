"""Errors as problem+json (RFC 9457), and the one table of their HTTP statuses."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from jobs.errors import (
    ClaimLost,
    DeliveryMoved,
    DeliveryNotFound,
    Forbidden,
    InvalidRequest,
    JobExists,
    JobMoved,
    JobNotEnded,
    JobNotFound,
    KeyReused,
    LonghaulError,
    Misconfigured,
    ModelError,
    NoResult,
    NotRedrivable,
    PayloadTooLarge,
    RateLimited,
    TooManyJobs,
    Unauthenticated,
    Unavailable,
)
from web.errors import (
    Draining,
    FileNotThere,
    HostRefused,
    MalformedBody,
    OriginRefused,
    UnsupportedMediaType,
    UpgradeRequired,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.trace import TraceId

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How an error is answered; `detail` replaces the error's own words where it is set."""

    status: HTTPStatus
    title: str
    detail: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


_LATER = {"Retry-After": "2"}

ANSWERS: Mapping[type[LonghaulError], Answer] = {
    MalformedBody: Answer(status=HTTPStatus.BAD_REQUEST, title="Not readable as JSON"),
    Unauthenticated: Answer(
        status=HTTPStatus.UNAUTHORIZED,
        title="Unknown caller",
        headers={"WWW-Authenticate": 'Bearer realm="longhaul"'},
    ),
    Forbidden: Answer(status=HTTPStatus.FORBIDDEN, title="Not allowed"),
    OriginRefused: Answer(status=HTTPStatus.FORBIDDEN, title="Foreign origin"),
    HostRefused: Answer(status=HTTPStatus.MISDIRECTED_REQUEST, title="Misdirected request"),
    RateLimited: Answer(status=HTTPStatus.TOO_MANY_REQUESTS, title="Too many calls"),
    TooManyJobs: Answer(
        status=HTTPStatus.TOO_MANY_REQUESTS,
        title="Too many jobs in flight",
        headers={"Retry-After": "5"},
    ),
    # One detail for a job that is not there and for another user's: nobody learns which it is.
    JobNotFound: Answer(
        status=HTTPStatus.NOT_FOUND,
        title="No such job",
        detail="there is no job with this id, or it is not yours",
    ),
    DeliveryNotFound: Answer(status=HTTPStatus.NOT_FOUND, title="No such announcement"),
    FileNotThere: Answer(status=HTTPStatus.NOT_FOUND, title="No such file"),
    DeliveryMoved: Answer(status=HTTPStatus.CONFLICT, title="Delivery has moved on"),
    JobExists: Answer(status=HTTPStatus.CONFLICT, title="Job exists"),
    KeyReused: Answer(
        status=HTTPStatus.UNPROCESSABLE_ENTITY, title="Idempotency key used with another body"
    ),
    JobNotEnded: Answer(status=HTTPStatus.CONFLICT, title="Job has not ended"),
    JobMoved: Answer(status=HTTPStatus.CONFLICT, title="Job has moved on"),
    NotRedrivable: Answer(status=HTTPStatus.CONFLICT, title="Job cannot be redriven"),
    NoResult: Answer(status=HTTPStatus.CONFLICT, title="Job has no result"),
    ClaimLost: Answer(status=HTTPStatus.CONFLICT, title="Job has moved on"),
    PayloadTooLarge: Answer(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE, title="Too large"),
    UnsupportedMediaType: Answer(
        status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE, title="Unsupported media type"
    ),
    InvalidRequest: Answer(status=HTTPStatus.UNPROCESSABLE_ENTITY, title="Invalid request"),
    UpgradeRequired: Answer(
        status=HTTPStatus.UPGRADE_REQUIRED,
        title="WebSocket only",
        headers={"Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
    ),
    ModelError: Answer(status=HTTPStatus.BAD_GATEWAY, title="The model failed"),
    Unavailable: Answer(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        title="Unavailable",
        detail="a part of the service cannot be reached now; the same call may work later",
        headers=_LATER,
    ),
    Draining: Answer(
        status=HTTPStatus.SERVICE_UNAVAILABLE, title="Going away", headers={"Retry-After": "1"}
    ),
    Misconfigured: Answer(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        title="Unavailable",
        detail="the service is not set up right; its operator must act",
        headers=_LATER,
    ),
    LonghaulError: Answer(
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        title="Internal error",
        detail="the server failed; its log tells more under this trace_id",
    ),
}


def answer_to(error: LonghaulError) -> Answer:
    """Find an error's answer, or that of the class it specialises."""
    return next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)


def detail_of(error: LonghaulError) -> str:
    """Say what is wrong in words that are fit for the caller."""
    return answer_to(error).detail or str(error)


def problem_of(error: Exception, *, instance: str, trace_id: TraceId) -> Response:
    """Write any error as a problem; of an unexpected one, nothing but that it happened."""
    if isinstance(error, HTTPException):
        return _http_problem(error, instance=instance, trace_id=trace_id)
    known = error if isinstance(error, LonghaulError) else LonghaulError()
    answer = answer_to(known)
    members: dict[str, object] = {
        "type": f"urn:longhaul:problem:{known.code}",
        "title": answer.title,
        "status": answer.status,
        "detail": detail_of(known),
        "code": known.code,
        "trace_id": trace_id,
        "instance": instance,
    }
    if isinstance(known, InvalidRequest) and known.problems:
        members["errors"] = [
            {"field": problem.field, "detail": problem.detail} for problem in known.problems
        ]
    headers = dict(answer.headers)
    if isinstance(known, Forbidden):  # RFC 6750, 3.1
        headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{known.scope}"'
    if isinstance(known, RateLimited):
        headers["Retry-After"] = str(max(1, math.ceil(known.retry_in.total_seconds())))
    return _response(answer.status, members, headers)


def _http_problem(error: HTTPException, *, instance: str, trace_id: TraceId) -> Response:
    """Write Flask's own errors: no such route, no such method, a request it cannot read."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    members: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status,
        "detail": _http_detail(status),
        "code": status.phrase.lower().replace(" ", "_"),
        "trace_id": trace_id,
        "instance": instance,
    }
    allowed = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    return _response(status, members, {"Allow": ", ".join(sorted(allowed))} if allowed else {})


def _http_detail(status: HTTPStatus) -> str:
    match status:
        case HTTPStatus.NOT_FOUND:
            return "there is nothing at this address"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return "this address does not take this method; Allow names those it takes"
        case _:
            return "the request cannot be answered as it was sent"


def _response(
    status: HTTPStatus, members: Mapping[str, object], headers: Mapping[str, str]
) -> Response:
    return Response(
        json.dumps(members) + "\n",
        status=status,
        content_type=CONTENT_TYPE,
        headers={**headers, "Cache-Control": "no-store"},
    )
