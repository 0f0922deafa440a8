"""The SERVER span of an API call; health checks, pages and sockets, which last, have none."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import g, request

from jobs.tracing import SpanKind, Unspanned

if TYPE_CHECKING:
    from flask import Response

    from jobs.trace import Trace
    from jobs.tracing import Span, Tracer

_API = "/v1/"
_NOT_TOLD = frozenset({"watch"})  # a WebSocket


def begin_request_span(trace: Trace, tracer: Tracer) -> Span:
    """Begin the span of the request under way; its name and facts have nothing that was sent."""
    rule = request.url_rule.rule if request.url_rule else ""
    if not rule.startswith(_API) or request.endpoint in _NOT_TOLD:
        return Unspanned(trace)
    facts = {
        "http.request.method": request.method,
        "http.route": rule,
        "url.scheme": request.scheme,
    }
    return tracer.begin(f"{request.method} {rule}", SpanKind.SERVER, trace, facts=facts)


def end_request_span(span: Span, response: Response) -> None:
    """End it with its answer; only a fault of ours is one, says the convention for servers."""
    span.tell({"http.response.status_code": response.status_code})
    if "job_id" in g:
        span.tell({"longhaul.job_id": g.job_id})
    if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(str(response.status_code))
    span.end()
