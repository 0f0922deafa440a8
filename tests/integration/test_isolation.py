"""Two users and every route, socket and stream: neither is shown anything of the other's.

The table of routes is walked: a route that this test does not know how to call fails it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.credentials import Place, bearer, running_place, say
from tests.stack import http, wait_until
from tests.web_world import World
from web.routes import Route, routes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.client import ClientConnection

MARK = "Rumpelstiltskin"
ROUTES = routes_of(World().app)
ADAS_HOOK = "http://127.0.0.1:9/hook"  # nobody listens: the delivery stays
OF_ONE_JOB = {route.name for route in ROUTES if "<job_id>" in route.path}
OPEN = {route.name for route in ROUTES if route.scope is None}


BODIES: dict[str, dict[str, Any]] = {
    "submit": {"prompt": "Hi"},
    "upload": {
        "content_type": "text/plain",
        "bytes": len(MARK),
        "sha256": base64.b64encode(hashlib.sha256(MARK.encode()).digest()).decode(),
    },
}


@dataclass(frozen=True, kw_only=True)
class Users:
    """Ada, who has a job that ended and one that waits, and Bob, who has nothing."""

    place: Place
    ada: str
    bob: str
    ended: str
    open: str
    event_id: str

    def address(self, route: Route, job_id: str) -> str:
        named = {
            "<job_id>": job_id,
            "<delivery_id>": self.event_id,
            "<name>": "page.css",
            "<folder>": "console",
        }
        path = route.path
        for parameter, value in named.items():
            path = path.replace(parameter, value)
        return path

    def call(self, route: Route, token: str | None, job_id: str) -> tuple[int, str]:
        """Call a route and give all that it says; of a stream, what comes at once."""
        path, headers = self.address(route, job_id), {} if token is None else bearer(token)
        body = BODIES.get(route.name)
        url = f"{self.place.system.url}{path}"
        assert "<" not in path, f"this test does not know how to call {route.path}"
        with http.stream(route.method, url, headers=headers, json=body) as answer:
            is_endless = answer.headers.get("Content-Type", "").startswith("text/event-stream")
            text = next(answer.iter_text(), "") if is_endless else answer.read().decode()
        return answer.status_code, f"{answer.headers}{text}"

    def is_shown(self, said: str) -> bool:
        return MARK in said or self.ended in said or self.open in said


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    with running_place(tmp_path_factory.mktemp("isolation")) as place:
        ada, bob = place.make_key("ada"), place.make_key("bob")
        marked: dict[str, Any] = {"metadata": {"word": MARK}}
        ended = place.submit(ada, webhook={"url": ADAS_HOOK}, **marked)
        waiting = place.submit(ada, "Hello <<stand-in: duration_s=90>>", **marked)

        def announced() -> str:
            found = place.call(ada, f"/v1/jobs/{ended}/deliveries").json()["deliveries"]
            return found[0]["event_id"] if found else ""

        event_id = wait_until(announced, "the end is announced", within=60)
        yield Users(place=place, ada=ada, bob=bob, ended=ended, open=waiting, event_id=event_id)


def submits_ones_own(users: Users, route: Route) -> None:
    status, said = users.call(route, users.bob, users.ended)

    assert status == 202
    assert not users.is_shown(said)


def lists_ones_own(users: Users, route: Route) -> None:
    assert users.is_shown(users.call(route, users.ada, "")[1])
    status, said = users.call(route, users.bob, "")

    assert status == 200
    assert not users.is_shown(said)
    cursor = users.place.call(users.ada, "/v1/jobs?limit=1").json()["next_cursor"]
    assert not users.is_shown(users.place.call(users.bob, f"/v1/jobs?cursor={cursor}").text)


def gives_a_ticket_to_ones_own(users: Users, route: Route) -> None:
    status, said = users.call(route, users.bob, "")
    assert status == 201
    ticket = json.loads(said[said.rindex("{") :])["ticket"]

    with users.place.socket(query=f"?ticket={ticket}") as client:
        shows_nothing(users, client)


def offers_ones_own(users: Users, route: Route) -> None:
    """Let Ada upload a text that Bob may not attach, though he knows its name."""
    status, said = users.call(route, users.ada, "")
    offer = json.loads(said[said.rindex('{"upload_id"') :])
    assert status == 201
    http.put(offer["url"], content=MARK.encode(), headers=offer["headers"]).raise_for_status()
    asked = {"prompt": "Hi", "documents": [{"upload_id": offer["upload_id"]}]}

    taken = [
        http.post(f"{users.place.system.url}/v1/jobs", json=asked, headers=bearer(who))
        for who in (users.ada, users.bob)
    ]

    assert [answer.status_code for answer in taken] == [202, 422]
    assert taken[1].json()["errors"][0]["field"] == "documents.0.upload_id"


def tells_numbers_to_admins_alone(users: Users, route: Route) -> None:
    reader = users.place.make_key("bob", "--scope", "jobs:read", "--scope", "jobs:write")
    admin = users.place.make_key("bob", "--scope", "admin")

    assert users.call(route, reader, "")[0] == httpx.codes.FORBIDDEN
    status, said = users.call(route, admin, "")
    assert status == httpx.codes.OK
    assert "longhaul_" in said
    assert not users.is_shown(said)
    assert "ada" not in said


# What is neither about one job nor open to everyone, each with its own way to look.
CASES: dict[str, Callable[[Users, Route], None]] = {
    "submit": submits_ones_own,
    "jobs": lists_ones_own,
    "ws_tickets": gives_a_ticket_to_ones_own,
    "upload": offers_ones_own,
    "metrics": tells_numbers_to_admins_alone,
}


def test_every_route_has_a_case_and_every_case_a_route() -> None:
    assert OF_ONE_JOB | OPEN | set(CASES) == {route.name for route in ROUTES}
    assert not (OF_ONE_JOB | OPEN) & set(CASES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_nobody_is_shown_anything_of_anothers(users: Users, route: Route) -> None:
    if route.name in CASES:
        CASES[route.name](users, route)
        return
    for job_id in (users.ended, users.open):
        for token in (users.bob, None) if route.name in OPEN else (users.bob,):
            status, said = users.call(route, token, job_id)
            said = said.replace(users.address(route, job_id), "")  # `instance` is what was asked
            assert not users.is_shown(said)
            assert status == httpx.codes.NOT_FOUND or route.name in OPEN


def test_what_another_may_not_do_has_not_happened(users: Users) -> None:
    jobs = {
        job["id"]: job["status"]
        for job in users.place.call(users.ada, "/v1/jobs?limit=10").json()["jobs"]
    }

    assert jobs[users.ended] == "COMPLETED"
    assert jobs[users.open] in {"PENDING", "RUNNING", "COMPLETED"}


def test_a_job_is_shown_to_its_own_user_by_every_route_that_reads_it(users: Users) -> None:
    """Look that the walk above would see something if there were something to see."""
    reading = [route for route in ROUTES if route.method == "GET" and "<job_id>" in route.path]
    for route in reading:
        status, said = users.call(route, users.ada, users.ended)
        assert (route.name, status) == (route.name, 200)
        assert users.is_shown(said) or route.name in {"result", "timeline"}


def shows_nothing(users: Users, client: ClientConnection) -> None:
    """Look that Bob's socket neither shows nor does anything of Ada's, asked or not."""
    for job_id in (users.ended, users.open):
        for wish in ("subscribe", "cancel"):
            answer = say(client, type=wish, job_id=job_id)
            assert (answer["type"], answer["code"]) == ("error", "job_not_found")
        assert say(client, type="unsubscribe", job_id=job_id)["type"] == "unsubscribed"
    news = users.place.submit(users.ada, metadata={"word": MARK})
    own = users.place.submit(users.bob)
    while True:
        message = json.loads(client.recv(timeout=60))
        assert news not in json.dumps(message)
        assert not users.is_shown(json.dumps(message))
        # An earlier job of Bob's own may still be running.
        if message["job_id"] == own and message.get("event") == "job.completed":
            break
    assert say(client, type="ping") == {"type": "pong"}


def test_a_socket_shows_nothing_of_anothers(users: Users) -> None:
    with users.place.socket(users.bob) as client:
        shows_nothing(users, client)
    with users.place.socket() as client:
        assert say(client, type="auth", token=users.bob) == {"type": "authenticated"}
        shows_nothing(users, client)


def test_a_socket_stays_its_first_users(users: Users) -> None:
    with users.place.socket(users.bob) as client:
        assert say(client, type="auth", token=users.ada)["type"] == "error"
        answer = say(client, type="subscribe", job_id=users.ended)
        assert answer["code"] == "job_not_found"


def test_a_stream_is_refused_to_another_user_with_every_way_to_come_back(users: Users) -> None:
    for headers in ({}, {"Last-Event-ID": "1"}, {"Accept": "text/event-stream"}):
        answer = users.place.call(
            users.bob, f"/v1/jobs/{users.ended}/events?after=0", headers=headers
        )
        assert answer.status_code == 404
