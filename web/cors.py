"""CORS: pages of the origins in LONGHAUL_ALLOWED_ORIGINS may call /v1/*.

https://fetch.spec.whatwg.org/#http-cors-protocol. Never for every origin and never with what a
browser adds by itself (cookies, certificates): a page says who is calling by `Authorization`, which
no other page can make a browser send.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, g, request
from werkzeug.exceptions import MethodNotAllowed

if TYPE_CHECKING:
    from flask import Flask

_PREFIX = "/v1/"
_MAX_AGE_SECONDS = 600
ACCEPTED = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "traceparent",
    "X-Amzn-Trace-Id",
)
EXPOSED = (
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Amzn-Trace-Id",
)


class Cors:
    """Answers preflights, and marks what pages of the allowed origins may read."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed

    def add_to(self, app: Flask) -> None:
        """Stand in front of all routes; without an allowed origin, change nothing."""
        if self._allowed:
            app.before_request(self._answer_preflight)
            app.after_request(self._mark)

    def _answer_preflight(self) -> Response | None:
        """Say what a page may send; nobody is asked who they are before it is sent."""
        wrong = request.routing_exception
        if (
            request.method != "OPTIONS"
            or "Access-Control-Request-Method" not in request.headers
            or not self._is_for_the_page()
            or not isinstance(wrong, MethodNotAllowed)  # the address is there
        ):
            return None
        response = Response(status=HTTPStatus.NO_CONTENT)
        response.headers["Access-Control-Allow-Methods"] = ", ".join(
            sorted(wrong.valid_methods or ())
        )
        response.headers["Access-Control-Allow-Headers"] = ", ".join(ACCEPTED)
        response.headers["Access-Control-Max-Age"] = str(_MAX_AGE_SECONDS)
        return response

    def _mark(self, response: Response) -> Response:
        if "socket" in g or not request.path.startswith(_PREFIX):
            return response
        response.vary.add("Origin")
        if self._is_for_the_page():
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED)
        return response

    def _is_for_the_page(self) -> bool:
        return request.path.startswith(_PREFIX) and request.headers.get("Origin") in self._allowed
