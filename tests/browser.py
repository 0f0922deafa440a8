"""Debian's Chromium, for what only a browser can show."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

# Nothing but what the page itself asks for leaves the browser.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    # A page that the test itself puts in the browser has no address, and is not taken for local.
    "--disable-features=LocalNetworkAccessChecks",
]


@contextmanager
def open_page() -> Iterator[Page]:
    """Give an empty page of a new browser."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed"
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=QUIET) as browser,
    ):
        yield browser.new_page()
