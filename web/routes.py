"""The table of routes: each call of the API, and what a caller needs for it.

A route enters the app by this table only, so nothing can be served that nobody has said a scope
for; tests walk it, and the API's document is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import g, request

from web.caller import identify_caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask import Flask, Response

    from jobs.caller import Caller, Scope
    from web.calls import Call
    from web.parts import WebParts

_TABLE = "longhaul_routes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One call: `path` is Flask's rule; without a `scope` it is open to whoever comes.

    `call` describes it: nothing can be served that /openapi.json does not tell of.
    """

    name: str
    path: str
    view: Callable[..., Response]
    scope: Scope | None
    call: Call
    method: str = "GET"


def add_routes(app: Flask, routes: Iterable[Route], parts: WebParts) -> None:
    """Serve these routes, each to callers with its scope; the caller is `the_caller()` then."""
    table = {route.name: route for route in routes}
    for route in table.values():
        app.add_url_rule(route.path, route.name, route.view, methods=[route.method])
    app.extensions[_TABLE] = table

    def admit() -> None:
        route = table.get(request.endpoint or "")
        if route is None or route.scope is None:
            return
        caller = identify_caller(request.headers, parts.authenticator)
        caller.check(route.scope)
        g.caller = caller

    app.before_request(admit)


def routes_of(app: Flask) -> tuple[Route, ...]:
    """Give the app's table of routes."""
    table: dict[str, Route] = app.extensions[_TABLE]
    return tuple(table.values())


def the_caller() -> Caller:
    """Give the caller of the request under way, who has the route's scope."""
    caller: Caller = g.caller
    return caller
