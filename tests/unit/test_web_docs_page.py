"""/docs and the files of pages: all of the document, and nothing from elsewhere."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.openapi import CallContract
from tests.web_world import World
from web.docs_page import write_page


class Reader(HTMLParser):
    """Notes what a page's markup has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.commands: list[str] = []
        self._in_command = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_command = tag == "pre" and dict(attrs).get("class") == "command"

    def handle_endtag(self, tag: str) -> None:
        self._in_command &= tag != "pre"

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._in_command:
            self.commands.append(data)

    def values(self, *names: str) -> set[str]:
        return {
            value
            for _, attrs in self.tags
            for name, value in attrs.items()
            if value and name in names
        }


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = World().client.get("/openapi.json").get_json()
    return found


@pytest.fixture(scope="module")
def page() -> Reader:
    answer = World().client.get("/docs", base_url="https://longhaul.example:8443")
    assert answer.content_type == "text/html; charset=utf-8"
    return Reader(answer.text)


def test_every_call_and_schema_has_its_place(page: Reader, document: dict[str, Any]) -> None:
    places = page.values("id")
    text = "".join(page.text)

    for path, _, operation in CallContract(document).operations():
        assert operation["operationId"] in places
        assert path in text
        assert operation["summary"] in text
    for name in document["components"]["schemas"]:
        assert f"schema-{name}" in places


def test_every_link_within_the_page_leads_somewhere(page: Reader) -> None:
    within = {link[1:] for link in page.values("href") if link.startswith("#")}

    assert within <= page.values("id")


def test_nothing_comes_from_elsewhere_and_nothing_is_inline(page: Reader) -> None:
    loaded = page.values("src", "href", "action", "srcset", "data")

    assert all(re.match(r"(#|/[a-z])", one) for one in loaded)
    assert not [tag for tag, _ in page.tags if tag in {"script", "style", "iframe", "object"}]
    assert not [
        name for _, attrs in page.tags for name in attrs if name == "style" or name.startswith("on")
    ]


def test_every_file_that_the_page_loads_is_there(page: Reader) -> None:
    client = World().client
    for tag, attrs in page.tags:
        if tag == "link":
            answer = client.get(attrs["href"] or "")
            assert (answer.status_code, answer.content_type) == (200, "text/css; charset=utf-8")
            assert "url(" not in answer.text
            assert "@import" not in answer.text


@pytest.mark.parametrize("path", ["/docs", "/static/page.css"])
def test_a_browser_runs_nothing_but_what_this_server_gives(path: str) -> None:
    headers = World().client.get(path).headers
    policy = dict(
        part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";")
    )

    assert policy["default-src"] == "'none'"
    assert {policy[kind] for kind in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert policy["frame-ancestors"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", ["/docs", "/static/page.css"])
def test_a_page_that_is_known_is_not_sent_again(path: str) -> None:
    client = World().client
    etag = client.get(path).headers["ETag"]

    again = client.get(path, headers={"If-None-Match": etag})

    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)


@pytest.mark.parametrize("name", ["nonsense.css", "..%2fapp.py", "%2e%2e", "page.css/x", ""])
def test_no_other_file_is_given(name: str) -> None:
    answer = World().client.get(f"/static/{name}")

    assert answer.status_code == 404
    assert answer.get_json()["code"] == "not_found"


def test_commands_can_be_pasted_and_call_this_server(page: Reader) -> None:
    read = [shlex.split(command) for command in page.commands]

    assert len(read) > 15
    for words in read:
        assert words[0] == "curl"
        [address] = [word for word in words if word.startswith("https://")]
        assert address.startswith("https://longhaul.example:8443/")
        assert "{" not in address


def test_what_a_text_smuggles_in_stays_a_text(document: dict[str, Any]) -> None:
    evil = "<script>alert(1)</script> `<b>`"
    info = {**document["info"], "description": evil}

    text = write_page({**document, "info": info}, base="http://x/'\"><script>")

    assert "<script" not in text
    assert "<code>&lt;b&gt;</code>" in text
