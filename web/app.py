"""The app: routes, and what every request and every answer has in common."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars
from werkzeug.exceptions import HTTPException

from jobs.errors import LonghaulError
from jobs.job import parse_job_id
from web.asyncapi_routes import AsyncApiRoutes
from web.caller import trace_of
from web.console_routes import ConsoleRoutes
from web.cors import Cors
from web.delivery_routes import DeliveryRoutes
from web.event_routes import EventRoutes
from web.health_routes import HealthRoutes
from web.hub import Hub
from web.job_json import JobWriter
from web.job_reader import JobReaders
from web.job_routes import JobRoutes
from web.limits import tell_limits
from web.list_routes import ListRoutes
from web.metrics_routes import MetricsRoutes
from web.openapi_routes import OpenApiRoutes
from web.pages import StaticRoutes
from web.problems import answer_to, problem_of
from web.pushes import Pushes
from web.request_body import let_body_run_out, may_have_unread_body
from web.request_span import begin_request_span, end_request_span
from web.routes import add_routes, own_answer_to
from web.socket_routes import SocketRoutes
from web.submit_routes import SubmitRoutes
from web.turns import Turns
from web.upload_routes import UploadRoutes

if TYPE_CHECKING:
    from jobs.tracing import Tracer
    from web.parts import WebParts

_HUB = "longhaul_hub"
_TRACER = "longhaul_tracer"
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_HEALTH = frozenset({"healthz", "readyz", "metrics"})


def create_app(parts: WebParts) -> Flask:
    """Build the app; nothing runs until a server calls it, and `hub_of(app).start()`."""
    app = Flask("longhaul", static_folder=None, template_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False  # no redirects: an address is right or it is not there
    hub = Hub(
        source=parts.source,
        clock=parts.clock,
        log=parts.log,
        measures=parts.measures,
        pushes=Pushes(parts.tracer),
    )
    app.extensions[_HUB] = hub
    app.extensions[_TRACER] = parts.tracer
    writer = JobWriter(objects=parts.objects, clock=parts.clock, url_lifetime=parts.url_lifetime)
    _add_common_ground(app, parts)
    Cors(parts.allowed_origins).add_to(app)
    readers = JobReaders(
        store=parts.store,
        log=parts.event_log,
        writer=writer,
        turns=Turns(),
        measures=parts.measures,
    )
    sockets = SocketRoutes(parts, hub, readers)
    routes = (
        *SubmitRoutes(parts, hub, writer).routes(),
        *JobRoutes(parts, writer).routes(),
        *ListRoutes(parts.jobs, writer).routes(),
        *EventRoutes(parts, hub, readers).routes(),
        *DeliveryRoutes(parts).routes(),
        *UploadRoutes(parts).routes(),
        *HealthRoutes(parts, hub).routes(),
        *MetricsRoutes(parts.measures).routes(),
        *AsyncApiRoutes().routes(),
        *OpenApiRoutes().routes(),
        *StaticRoutes().routes(),
        *ConsoleRoutes(parts.objects).routes(),
        *sockets.routes(),
    )
    add_routes(app, routes, parts)
    sockets.add_to(app)
    return app


def hub_of(app: Flask) -> Hub:
    """Give the app's hub, which a server starts and drains."""
    hub = app.extensions[_HUB]
    if not isinstance(hub, Hub):
        raise TypeError("this is not an app of create_app's")
    return hub


def drain(app: Flask) -> None:
    """Close the sockets, and send what is traced: whoever stops us may not wait to the end."""
    hub_of(app).drain()
    tracer: Tracer = app.extensions[_TRACER]
    tracer.flush()


def _add_common_ground(app: Flask, parts: WebParts) -> None:
    def begin() -> None:
        g.started_at = parts.clock.now()
        g.span = begin_request_span(trace_of(request.headers, parts), parts.tracer)
        g.trace = g.span.trace
        _bind_to_lines(g.trace.id)

    def tell(error: Exception) -> Response:
        if (answer := own_answer_to(error, app)) is not None:
            return answer
        _log_fault(error, parts)
        return problem_of(error, instance=request.path, trace_id=g.trace.id)

    def finish(response: Response) -> Response:
        if "socket" in g:
            return response  # it has told its own end
        response.headers["X-Amzn-Trace-Id"] = g.trace.header
        response.headers["X-Content-Type-Options"] = "nosniff"
        if response.status_code in _WITHOUT_BODY:
            response.headers.pop("Content-Type", None)  # Flask's own for whatever has none
        tell_limits(response)
        if may_have_unread_body(request):
            sent = request._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001 - LocalProxy's own way; the proxy is unbound by then
            response.call_on_close(lambda: let_body_run_out(sent))
        end_request_span(g.span, response)
        _log_answer(response, parts)
        return response

    app.before_request(begin)
    app.register_error_handler(Exception, tell)
    app.after_request(finish)


def _bind_to_lines(trace_id: str) -> None:
    """Name the request's trace and job in each line that is written for it, ours or a library's.

    A greenlet serves one request of its connection after another, so the last one's go first.
    """
    clear_contextvars()
    job_id = parse_job_id(str((request.view_args or {}).get("job_id")))
    bind_contextvars(trace_id=trace_id, **({} if job_id is None else {"job_id": job_id}))


def _log_fault(error: Exception, parts: WebParts) -> None:
    """Log what is not the caller's doing; the caller's own is told in the request's line."""
    if isinstance(error, HTTPException):
        return
    if not isinstance(error, LonghaulError):
        parts.log.error("request_failed", trace_id=g.trace.id, exc_info=error)
    elif answer_to(error).status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        parts.log.warning(
            "request_refused", code=error.code, reason=str(error), trace_id=g.trace.id
        )


def _log_answer(response: Response, parts: WebParts) -> None:
    duration = parts.clock.now() - g.started_at
    log = parts.log.debug if request.endpoint in _HEALTH else parts.log.info
    job = {"job_id": g.job_id} if "job_id" in g else {}
    log(
        "request_answered",
        method=request.method,
        route=request.url_rule.rule if request.url_rule else "none",
        status=response.status_code,
        duration_ms=round(duration.total_seconds() * 1000, 1),
        trace_id=g.trace.id,
        **job,
    )
