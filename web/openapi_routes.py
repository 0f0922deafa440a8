"""GET /openapi.json and /docs: the description of the calls, for generators and for people."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, request

from web.docs_page import write_page
from web.hosts import called_host
from web.json_text import write_json
from web.openapi import describe_calls
from web.pages import page_response
from web.process_calls import DOCS, OPENAPI
from web.routes import Route, routes_of


class OpenApiRoutes:
    """The routes; they ask nobody who they are, for they tell nothing about anybody."""

    def __init__(self) -> None:
        self._written: dict[str, Any] | None = None

    def routes(self) -> tuple[Route, ...]:
        """Name the routes."""
        return (
            Route(name="openapi", path="/openapi.json", view=self.show, scope=None, call=OPENAPI),
            Route(name="docs", path="/docs", view=self.show_page, scope=None, call=DOCS),
        )

    def show(self) -> Response:
        """Describe every call that this server takes."""
        return Response(
            write_json(self._document()) + "\n",
            content_type="application/json",
            headers={"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"},
        )

    def show_page(self) -> Response:
        """Show the same, with commands for the server as the caller has called it."""
        page = write_page(self._document(), base=f"{request.scheme}://{called_host(request)}")
        return page_response(page.encode())

    def _document(self) -> dict[str, Any]:
        """Write the document when it is first asked for, which is after all routes were added."""
        if self._written is None:
            self._written = describe_calls(routes_of(current_app))
        return self._written
