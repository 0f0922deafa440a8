"""GET /v1/jobs/{id}/events: one job's events as server-sent events."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flask import Response, g, request

from jobs.errors import FieldProblem, InvalidRequest, JobNotFound
from jobs.job import parse_job_id
from web.caller import identify_caller
from web.errors import Draining
from web.event_stream import EventStream
from web.job_reader import JobReader
from web.socket_messages import MAX_SAFE_INTEGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from web.hub import Hub
    from web.job_json import JobWriter
    from web.parts import WebParts


class EventRoutes:
    """The route; whoever has seen the end already gets 204, which tells EventSource to stop."""

    def __init__(self, parts: WebParts, hub: Hub, writer: JobWriter) -> None:
        self._parts = parts
        self._hub = hub
        self._writer = writer

    def add_to(self, app: Flask) -> None:
        """Add the route."""
        app.add_url_rule("/v1/jobs/<job_id>/events", "events", self.stream)

    def stream(self, job_id: str) -> Response:
        """Answer with the events after the one that the client names, to the last one."""
        reader = JobReader(
            user=identify_caller(request.headers, self._parts.authenticator),
            store=self._parts.store,
            log=self._parts.event_log,
            writer=self._writer,
        )
        parsed = parse_job_id(job_id)
        if parsed is None:
            raise JobNotFound("no job can have this id")
        g.job_id = parsed
        job = reader.read(parsed)
        after = _after()
        if job.status.is_terminal and after is not None and after >= job.seq:
            return Response(status=204)
        if self._hub.is_draining:
            raise Draining("this process is restarting; connect again")
        cut_off = _cutting_off(request.environ)
        stream = EventStream(job_id=parsed, hub=self._hub, reader=reader, cut_off=cut_off)
        stream.open(job, after)
        response = Response(stream.chunks(), content_type="text/event-stream; charset=utf-8")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the events back
        response.call_on_close(stream.close)
        return response


def _after() -> int | None:
    """Read which event the client has seen last.

    EventSource names it in the header when it comes back, at an address that stays the same: so
    the header outdoes the address.
    """
    for name, text in (
        ("Last-Event-ID", request.headers.get("Last-Event-ID")),
        ("after", request.args.get("after")),
    ):
        if text:
            return _number(name, text)
    return None


def _number(name: str, text: str) -> int:
    digits = len(str(MAX_SAFE_INTEGER))
    if not (text.isascii() and text.isdigit() and len(text) <= digits):
        detail = f"must be the number of an event, of at most {digits} digits"
        problem = FieldProblem(field=name, detail=detail)
        raise InvalidRequest(f"{name} {detail}", problems=(problem,))
    return int(text)


def _cutting_off(environ: dict[str, Any]) -> Callable[[], None]:
    """Make what ends a connection whose peer does not read: its writer waits in the socket."""
    connection = environ.get("gunicorn.socket")

    def cut_off() -> None:
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    return cut_off
