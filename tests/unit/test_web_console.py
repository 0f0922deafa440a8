"""The console's page and files: served by their names, under a policy that lets nothing else in."""

from __future__ import annotations

import re

import pytest

from tests.web_world import World
from web import console_routes

PAGE = "/"
CLIENT = "/static/longhaul/longhaul.js"
IMPORT = re.compile(r'^(?:import|export) .*from "([^"]+)"', re.MULTILINE)


def test_the_page_asks_nobody_who_they_are() -> None:
    answer = World().client.get(PAGE)

    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    assert "<h1" in answer.text


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/static/console/console.js", "text/javascript; charset=utf-8"),
        ("/static/console/console.css", "text/css; charset=utf-8"),
        ("/static/console/icon.svg", "image/svg+xml"),
        ("/favicon.ico", "image/svg+xml"),
        (CLIENT, "text/javascript; charset=utf-8"),
    ],
)
def test_a_file_comes_as_what_it_is(path: str, content_type: str) -> None:
    answer = World().client.get(path)

    assert (answer.status_code, answer.content_type) == (200, content_type)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_nothing_but_this_server_and_the_place_of_presigned_urls_is_let_in() -> None:
    answer = World().client.get(PAGE)

    policy = dict(
        one.split(" ", 1) for one in answer.headers["Content-Security-Policy"].split("; ")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self' https://objects.invalid",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", [PAGE, CLIENT])
def test_a_browser_asks_each_time_and_is_sent_only_what_has_changed(path: str) -> None:
    client = World().client
    first = client.get(path)

    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static/console/nothing.js",
        "/static/console/tsconfig.json",
        "/static/longhaul/package.json",
        "/static/longhaul/README.md",
        "/static/web/app.py",
        "/static/console/../../app.py",
        "/static/console/..%2f..%2fapp.py",
        "/static/console/%2e%2e/app.py",
        "/static/longhaul/tests/page.js",
        "/static/console/",
    ],
)
def test_what_is_not_named_is_not_there(path: str) -> None:
    assert World().client.get(path).status_code == 404


def test_the_page_loads_nothing_that_is_not_served() -> None:
    client = World().client

    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get(PAGE).text)

    assert len(named) > 10
    assert {path: client.get(path).status_code for path in named} == dict.fromkeys(named, 200)


def test_every_module_of_the_page_is_fetched_at_once() -> None:
    client = World().client
    page = client.get(PAGE).text
    needed, front = set[str](), ["/static/console/console.js"]
    while front:
        path = front.pop()
        needed.add(path)
        imported = re.findall(
            r'^(?:import|export) .*from "([^"]+)"', client.get(path).text, re.MULTILINE
        )
        folder = path.rpartition("/")[0]
        paths = [one if one.startswith("/") else f"{folder}/{one[2:]}" for one in imported]
        front += [one for one in paths if one not in needed]

    assert {path for path in needed if f'"{path}"' not in page} == set()


def test_no_module_makes_markup_of_a_text() -> None:
    ways = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(")
    home = console_routes._FOLDERS["console"]  # noqa: SLF001 - where the modules are

    assert [
        (path.name, way) for path in home.glob("*.js") for way in ways if way in path.read_text()
    ] == []
