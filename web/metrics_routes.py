"""GET /metrics: to whoever may read all, and on a port of its own to whoever reaches that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response

from jobs.caller import Scope
from web.process_calls import METRICS
from web.routes import Route

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from web.measures import Measures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATH = "/metrics"


class MetricsRoutes:
    """The call on the public port: numbers of all users' jobs are the operator's."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def routes(self) -> tuple[Route, ...]:
        """Name the route."""
        return (Route(name="metrics", path=PATH, view=self.show, scope=Scope.ADMIN, call=METRICS),)

    def show(self) -> Response:
        """Give the metrics."""
        return Response(
            self._measures.exposition(),
            content_type=CONTENT_TYPE,
            headers={"Cache-Control": "no-store"},
        )


class MetricsPort:
    """The app behind a second port, on which there is nothing but /metrics, for anybody.

    Which port a request came by is the server's word (gunicorn's own socket), not the client's.
    """

    def __init__(self, app: WSGIApplication, *, port: int, measures: Measures) -> None:
        self._app = app
        self._port = str(port)
        self._measures = measures

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer here, or pass a request of the public port on."""
        if environ["SERVER_PORT"] != self._port:
            return self._app(environ, start_response)
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return Response("GET /metrics\n", status=404, content_type="text/plain")(
                environ, start_response
            )
        body = self._measures.exposition()
        return Response(body, content_type=CONTENT_TYPE)(environ, start_response)
