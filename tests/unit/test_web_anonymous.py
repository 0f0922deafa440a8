"""Callers without a credential: which hosts they may call, and what their pages may change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.web_world import ADA, World
from web.hosts import host_of
from web.routes import routes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.routes import Route

REBOUND = {"Host": "evil.example:5000", "Origin": "http://evil.example:5000"}
FOREIGN = {"Origin": "https://evil.example"}
PAGE = "https://app.example.com"
JOB = "job_01m83eqz8fefzapqk4c5qx0fgg"


@pytest.fixture
def world() -> World:
    return World(
        allow_anonymous=True,
        allowed_origins=frozenset({PAGE}),
        allowed_hosts=frozenset({"dev.example", "fd00::1"}),
    )


def guarded(world: World) -> list[Route]:
    return [route for route in routes_of(world.app) if route.scope is not None]


def ask(world: World, route: Route, headers: Mapping[str, str]) -> tuple[int, str]:
    path = route.path.replace("<job_id>", JOB).replace("<delivery_id>", "x")
    answer = world.client.open(path, method=route.method, headers=headers)
    body = answer.get_json(silent=True)
    return answer.status_code, body.get("code", "") if body else ""


def test_a_rebound_name_is_answered_nothing_of_anybodys(world: World) -> None:
    told = {route.name: ask(world, route, REBOUND) for route in guarded(world)}

    assert set(told.values()) == {(421, "host_refused")}


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:5000",
        "localhost.",
        "app.localhost:80",
        "127.0.0.1:5000",
        "127.8.9.10",
        "[::1]:5000",
        "Dev.Example:5000",
        "dev.example.",
        "[fd00:0::1]:80",
    ],
)
def test_this_machine_and_the_named_hosts_are_answered(world: World, host: str) -> None:
    assert world.client.get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example",
        "dev.example.evil.example",
        "a.dev.example",
        "localhost@evil.example",
        "localhost/evil",
        "localhost, evil.example",
        "localhost:http",
        "0.0.0.0",  # noqa: S104 - nobody listens there
        "10.0.0.7",
        "[::]",
        "[::1",
        "",
    ],
)
def test_no_other_host_is(world: World, host: str) -> None:
    answer = world.client.get("/v1/jobs", headers={"Host": host})

    assert answer.status_code == 421
    assert answer.get_json()["code"] == "host_refused"
    assert "LONGHAUL_ALLOWED_HOSTS" in answer.get_json()["detail"]


def test_a_balancer_asks_for_health_by_any_host(world: World) -> None:
    for path in ("/healthz", "/readyz"):
        assert world.client.get(path, headers={"Host": "10.1.2.3:5000"}).status_code != 421


def test_a_credential_opens_every_host_and_every_page() -> None:
    for world in (World(), World(allow_anonymous=True)):
        for page in (REBOUND, FOREIGN):
            answer = world.client.post("/v1/ws-tickets", headers=ADA | page)

            assert answer.status_code == 201


def test_who_needs_a_credential_is_told_so_under_every_host() -> None:
    assert World().client.get("/v1/jobs", headers=REBOUND).status_code == 401


@pytest.mark.parametrize(
    "page",
    [
        FOREIGN,
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_foreign_page_changes_nothing(world: World, page: dict[str, str]) -> None:
    writes = [route for route in guarded(world) if route.method != "GET"]

    told = {route.name: ask(world, route, page) for route in writes}

    assert len(told) >= 5
    assert set(told.values()) == {(403, "origin_refused")}


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"Origin": "http://localhost"},
        {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_page_of_our_own_or_a_named_one_may_write(world: World, page: dict[str, str]) -> None:
    assert world.client.post("/v1/ws-tickets", headers=page).status_code == 201


@pytest.mark.parametrize(
    ("header", "host"),
    [("a.example:1", "a.example"), ("[::0001]", "::1"), ("a.example:99999", None), ("ä", None)],
)
def test_a_host_is_read_or_it_is_none(header: str, host: str | None) -> None:
    assert host_of(header) == host
