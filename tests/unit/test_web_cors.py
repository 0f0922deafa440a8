"""Pages of other origins: those that are named may call /v1/*, and nobody else's may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.web_world import ADA, World
from web.cors import ACCEPTED, EXPOSED
from web.headers import HEADERS

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers
    from werkzeug.test import TestResponse

PAGE = "https://app.example.com"
FOREIGN = "https://evil.example"
# A script may read these of any answer, or could do nothing with them.
NEED_NOT_BE_EXPOSED = {
    "Cache-Control",
    "Content-Security-Policy",
    "Upgrade",
    "Sec-WebSocket-Version",
}


@pytest.fixture
def world() -> World:
    return World(allowed_origins=frozenset({PAGE}))


def ask_first(world: World, path: str, *, origin: str = PAGE, method: str = "POST") -> TestResponse:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    return world.client.options(path, headers=headers)


def cors_of(headers: Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("Access-Control-")}


def test_a_named_page_is_told_what_it_may_send(world: World) -> None:
    answer = ask_first(world, "/v1/jobs")

    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert cors_of(answer.headers) == {
        "Access-Control-Allow-Origin": PAGE,
        "Access-Control-Allow-Methods": "GET, HEAD, POST",
        "Access-Control-Allow-Headers": ", ".join(ACCEPTED),
        "Access-Control-Expose-Headers": ", ".join(EXPOSED),
        "Access-Control-Max-Age": "600",
    }
    assert answer.headers["Vary"] == "Origin"


def test_a_named_page_may_delete(world: World) -> None:
    allowed = ask_first(world, "/v1/jobs/job_x", method="DELETE").headers

    assert "DELETE" in allowed["Access-Control-Allow-Methods"]


def test_a_named_page_reads_answers_and_problems(world: World) -> None:
    headers = {**ADA, "Origin": PAGE}
    submitted = world.client.post("/v1/jobs", json={"prompt": "x"}, headers=headers)
    refused = world.client.get("/v1/jobs", headers={"Origin": PAGE})
    missing = world.client.get("/v1/nowhere", headers=headers)
    stream = world.client.head(f"{submitted.headers['Location']}/events", headers=headers)

    assert [one.status_code for one in (submitted, refused, missing, stream)] == [
        202,
        401,
        404,
        200,
    ]
    for answer in (submitted, refused, missing, stream):
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [FOREIGN, "null", "https://app.example.com.evil.example", "http://app.example.com", ""],
)
def test_any_other_page_may_neither_ask_nor_read(world: World, origin: str) -> None:
    first = ask_first(world, "/v1/jobs", origin=origin)
    answer = world.client.get("/v1/jobs", headers={**ADA, "Origin": origin})

    assert first.status_code == 405
    assert answer.status_code == 200  # to whoever is no browser
    for one in (first, answer):
        assert not cors_of(one.headers)
        assert one.headers["Vary"] == "Origin"


def test_no_answer_goes_with_cookies_or_to_everyone(world: World) -> None:
    for path in ("/v1/jobs", "/v1/ws-tickets", "/v1/nowhere"):
        for method in ("OPTIONS", "GET", "POST"):
            asked = {**ADA, "Origin": PAGE, "Access-Control-Request-Method": "POST"}
            told = cors_of(world.client.open(path, method=method, headers=asked).headers)
            assert "Access-Control-Allow-Credentials" not in told
            assert "*" not in told.values()


def test_what_is_no_call_of_the_api_is_not_opened(world: World) -> None:
    headers = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}

    assert world.client.options("/readyz", headers=headers).status_code == 405
    assert not cors_of(world.client.get("/readyz", headers=headers).headers)


def test_without_a_named_origin_nothing_is_added() -> None:
    world = World()
    answer = world.client.get("/v1/jobs", headers={**ADA, "Origin": PAGE})

    assert ask_first(world, "/v1/jobs").status_code == 405
    assert not cors_of(answer.headers)
    assert "Vary" not in answer.headers


def test_a_preflight_of_what_is_not_there_is_404(world: World) -> None:
    assert ask_first(world, "/v1/nowhere").status_code == 404


def test_a_page_may_send_and_read_every_header_of_the_document() -> None:
    document: dict[str, Any] = World().client.get("/openapi.json").get_json()
    sent = {
        parameter["name"]
        for item in document["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "header"
    }

    assert sent <= set(ACCEPTED)
    assert set(HEADERS) - NEED_NOT_BE_EXPOSED <= set(EXPOSED)
