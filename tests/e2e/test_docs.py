"""/docs in a real browser: it is drawn as meant, and its own policy stops nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import open_browser
from tests.integration.test_web_process import web

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.integration.test_web_process import WebProcess

__all__ = ["web"]


@pytest.fixture
def browser() -> Iterator[Browser]:
    with open_browser() as launched:
        yield launched


@pytest.mark.parametrize(("scheme", "ground"), [("light", 255), ("dark", 20)])
def test_the_page_is_whole_by_itself(
    web: WebProcess, browser: Browser, scheme: str, ground: int
) -> None:
    page = browser.new_page(color_scheme="dark" if scheme == "dark" else "light")
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))

    page.goto(f"http://127.0.0.1:{web.port}/docs#submit_job")

    assert all(url.startswith(f"http://127.0.0.1:{web.port}/") for url in asked)
    assert not [text for text in complaints if "favicon" not in text and "404" not in text]
    red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0]")
    assert int(red) == ground
    page.locator("pre.command").first.click()
    assert page.evaluate("getSelection().toString()").startswith("curl ")


def test_a_narrow_screen_needs_no_scrolling_sideways(web: WebProcess, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})

    page.goto(f"http://127.0.0.1:{web.port}/docs")

    assert page.evaluate("document.documentElement.scrollWidth") == 400
