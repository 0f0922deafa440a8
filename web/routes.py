"""The table of routes: each call of the API, and what a caller needs for it.

A route enters the app by this table only, so nothing can be served that nobody has said a scope
for; tests walk it, and the API's document is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import g, request

from jobs.errors import RateLimited, Unavailable
from web.anonymous import check_anonymous
from web.caller import identify_caller, is_named

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
    `is_submit` says that it sets a job going, which has a quota of its own. `when_refused` answers
    in place of a problem where a part is away, or the caller must wait.
    """

    name: str
    path: str
    view: Callable[..., Response]
    scope: Scope | None
    call: Call
    method: str = "GET"
    is_submit: bool = False
    when_refused: Callable[[Unavailable | RateLimited], Response | None] | None = None


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
        if not is_named(request.headers):
            check_anonymous(request.method, request.headers, parts)
        if parts.limits is not None:
            try:
                g.allowances = parts.limits.count(caller, is_submit=route.is_submit)
            except RateLimited as refusal:
                g.allowances = refusal.allowances
                raise
        g.caller = caller

    app.before_request(admit)


def routes_of(app: Flask) -> tuple[Route, ...]:
    """Give the app's table of routes."""
    table: dict[str, Route] = app.extensions[_TABLE]
    return tuple(table.values())


def own_answer_to(error: Exception, app: Flask) -> Response | None:
    """Answer an error as the route under way wants it answered; None where it has no such wish."""
    table: dict[str, Route] = app.extensions[_TABLE]
    route = table.get(request.endpoint or "")
    if route is None or route.when_refused is None:
        return None
    return route.when_refused(error) if isinstance(error, Unavailable | RateLimited) else None


def the_caller() -> Caller:
    """Give the caller of the request under way, who has the route's scope."""
    caller: Caller = g.caller
    return caller
