"""GET /asyncapi.json: the description of events, for people and for generators."""

from __future__ import annotations

from flask import Response, request

from web.asyncapi import describe_events
from web.hosts import called_host
from web.json_text import write_json
from web.process_calls import ASYNCAPI
from web.routes import Route


class AsyncApiRoutes:
    """The route; it asks nobody who they are, for it tells nothing about anybody."""

    def routes(self) -> tuple[Route, ...]:
        """Name the route."""
        path = "/asyncapi.json"
        return (Route(name="asyncapi", path=path, view=self.show, scope=None, call=ASYNCAPI),)

    def show(self) -> Response:
        """Describe this server by the name that the caller has called it by."""
        document = describe_events(host=called_host(request), is_secure=request.is_secure)
        return Response(
            write_json(document) + "\n",
            content_type="application/json",
            headers={"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"},
        )
