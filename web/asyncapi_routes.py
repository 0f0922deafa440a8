"""GET /asyncapi.json: the description of events, for people and for generators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, request

from web.asyncapi import describe_events
from web.json_text import write_json

if TYPE_CHECKING:
    from flask import Flask


class AsyncApiRoutes:
    """The route; it asks nobody who they are, for it tells nothing about anybody."""

    def add_to(self, app: Flask) -> None:
        """Add the route."""
        app.add_url_rule("/asyncapi.json", "asyncapi", self.show)

    def show(self) -> Response:
        """Describe this server by the name that the caller has called it by."""
        document = describe_events(host=request.host, is_secure=request.is_secure)
        return Response(
            write_json(document) + "\n",
            content_type="application/json",
            headers={"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"},
        )
