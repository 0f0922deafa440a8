"""GET /openapi.json: the description of the calls, for people and for generators."""

from __future__ import annotations

from flask import Response, current_app

from web.json_text import write_json
from web.openapi import describe_calls
from web.process_calls import OPENAPI
from web.routes import Route, routes_of


class OpenApiRoutes:
    """The routes; they ask nobody who they are, for they tell nothing about anybody."""

    def routes(self) -> tuple[Route, ...]:
        """Name the routes."""
        path = "/openapi.json"
        return (Route(name="openapi", path=path, view=self.show, scope=None, call=OPENAPI),)

    def show(self) -> Response:
        """Describe every call that this server takes."""
        return Response(
            write_json(describe_calls(routes_of(current_app))) + "\n",
            content_type="application/json",
            headers={"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"},
        )
