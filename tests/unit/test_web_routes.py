"""The table of routes, walked: whatever is served asks who is calling, and shows only their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from jobs.caller import Caller, Scope
from jobs.errors import Unauthenticated
from jobs.job import UserId
from tests.web_world import ADA, BOB, World
from web.routes import Route, routes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

OPEN = {
    "healthz",
    "readyz",
    "asyncapi",
    "openapi",
    "docs",
    "static",
    "console",
    "console_file",
    "favicon",
    "no_watch",
}
ROUTES = routes_of(World().app)
GUARDED = [route for route in ROUTES if route.scope is not None]
OF_ONE_JOB = [route for route in GUARDED if "<job_id>" in route.path]


@dataclass(frozen=True)
class ScopedAuthenticator:
    """jobs.ports.Authenticator of one token, whose scopes a test chooses."""

    scopes: frozenset[Scope] = field(default_factory=frozenset)

    def identify(self, token: str | None) -> Caller:
        if token is None:
            raise Unauthenticated("send a token")
        return Caller(user=UserId("ada"), scopes=self.scopes)

    def still_knows(self, caller: Caller) -> bool:
        return caller.user == "ada"


def call(world: World, route: Route, headers: Mapping[str, str], job_id: str = "job_x") -> int:
    path = route.path.replace("<job_id>", job_id).replace("<delivery_id>", f"{job_id}.1000002")
    assert "<" not in path, f"this test does not know how to call {route.path}"
    body = {"prompt": "Hello"} if route.name == "submit" else None
    answer = world.client.open(path, method=route.method, headers=headers, json=body)
    answer.close()
    return answer.status_code


def by_name(route: Route) -> str:
    return route.name


def test_every_address_of_the_app_is_in_the_table_but_the_sockets_own() -> None:
    served = {rule.endpoint for rule in World().app.url_map.iter_rules()}

    assert served - {route.name for route in ROUTES} == {"watch"}


def test_what_is_open_to_everyone_is_named_here() -> None:
    assert {route.name for route in ROUTES if route.scope is None} == OPEN


@pytest.mark.parametrize("route", GUARDED, ids=by_name)
def test_nobody_calls_without_a_credential(route: Route) -> None:
    world = World()

    assert call(world, route, {}) == 401
    assert call(world, route, {"Authorization": "Bearer a-key-that-nobody-has"}) == 401


@pytest.mark.parametrize("route", GUARDED, ids=by_name)
def test_a_credential_reaches_as_far_as_its_scopes(route: Route) -> None:
    assert route.scope is not None
    others = frozenset(Scope) - {route.scope, Scope.ADMIN}

    without = World(authenticator=ScopedAuthenticator(others))
    with_it = World(authenticator=ScopedAuthenticator(frozenset({route.scope})))
    admin = World(authenticator=ScopedAuthenticator(frozenset({Scope.ADMIN})))

    assert call(without, route, ADA) == 403
    assert call(with_it, route, ADA) not in {401, 403}
    assert call(admin, route, ADA) not in {401, 403}


@pytest.mark.parametrize("route", OF_ONE_JOB, ids=by_name)
def test_another_users_job_is_not_there(route: Route) -> None:
    world = World()
    job_id = world.submit(ADA)["id"]

    assert call(world, route, BOB, job_id) == 404
    assert call(world, route, ADA, job_id) != 404 or route.name == "replay"


def test_a_refusal_names_the_scope_that_is_missing() -> None:
    world = World(authenticator=ScopedAuthenticator(frozenset({Scope.READ})))

    answer = world.client.post("/v1/jobs", json={"prompt": "Hello"}, headers=ADA)

    assert answer.status_code == 403
    assert answer.get_json()["code"] == "forbidden"
    assert "jobs:write" in answer.get_json()["detail"]
    assert 'scope="jobs:write"' in answer.headers["WWW-Authenticate"]
