"""GET /v1/jobs/{id}/events: one job's events as server-sent events."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Response, g, request

from jobs.caller import Scope
from jobs.errors import FieldProblem, InvalidRequest, JobNotFound, RateLimited, Unavailable
from jobs.job import parse_job_id
from web.described import MAX_SAFE_INTEGER
from web.event_stream import OPENING, EventStream
from web.job_calls import EVENTS
from web.live_response import LiveResponse, Peer
from web.routes import Route, the_caller

if TYPE_CHECKING:
    from collections.abc import Iterable

    from web.hub import Hub
    from web.job_reader import JobReaders
    from web.parts import WebParts


class EventRoutes:
    """The route; whoever has seen the end already gets 204, which tells EventSource to stop."""

    def __init__(self, parts: WebParts, hub: Hub, readers: JobReaders) -> None:
        self._parts = parts
        self._hub = hub
        self._readers = readers

    def routes(self) -> tuple[Route, ...]:
        """Name the route."""
        path = "/v1/jobs/<job_id>/events"
        return (
            Route(
                name="events",
                path=path,
                view=self.stream,
                scope=Scope.READ,
                call=EVENTS,
                when_refused=self.let_come_back,
            ),
        )

    def let_come_back(self, refusal: Unavailable | RateLimited) -> Response | None:
        """End the stream of an EventSource as soon as it began; any other client gets the problem.

        EventSource gives up for good at any status but 200; it comes back after an end.
        """
        if "text/event-stream" not in request.headers.get("Accept", ""):
            return None
        log = self._parts.log
        note = log.warning if isinstance(refusal, Unavailable) else log.info
        note("stream_refused", code=refusal.code, reason=str(refusal), trace_id=g.trace.id)
        opening = OPENING
        if isinstance(refusal, RateLimited):
            opening = b"retry: %d\n\n" % max(1000, refusal.retry_in / timedelta(milliseconds=1))
        return _live([opening], Peer(request.environ))

    def stream(self, job_id: str) -> Response:
        """Answer with the events after the one that the client names, to the last one."""
        caller = the_caller()
        reader = self._readers.of(caller.user)
        parsed = parse_job_id(job_id)
        if parsed is None:
            raise JobNotFound("no job can have this id")
        g.job_id = parsed
        job = reader.read(parsed)
        after = _after()
        if job.status.is_terminal and after is not None and after >= job.seq:
            return Response(status=204)
        peer = Peer(request.environ)
        if self._hub.is_draining or request.method == "HEAD":
            return _live([OPENING], peer)  # a 503 would end an EventSource for good
        stream = EventStream(
            job_id=parsed,
            hub=self._hub,
            reader=reader,
            peer=peer,
            is_welcome=lambda: self._parts.authenticator.still_knows(caller),
        )
        stream.open(job, after)
        response = _live(stream.chunks(), peer)
        response.call_on_close(stream.close)
        return response


def _live(chunks: Iterable[bytes], peer: Peer) -> Response:
    response = LiveResponse(chunks, peer=peer, content_type="text/event-stream; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would hold the events back
    return response


def _after() -> int | None:
    """Read which event the client has seen last.

    EventSource names it in the header when it comes back, at an address that stays the same: so
    the header outdoes the address. Both must be numbers where they are there.
    """
    named = _number("Last-Event-ID", request.headers.get("Last-Event-ID"))
    after = _number("after", request.args.get("after"))
    return after if named is None else named


def _number(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_SAFE_INTEGER))
    if not is_number or int(text) > MAX_SAFE_INTEGER:
        detail = f"must be the number of an event, {MAX_SAFE_INTEGER} at most"
        problem = FieldProblem(field=name, detail=detail)
        raise InvalidRequest(f"{name} {detail}", problems=(problem,))
    return int(text)
