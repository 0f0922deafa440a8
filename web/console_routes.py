"""GET /: the console, one page without a build step, and the client's modules that it is built on.

The page's files are in web/console/, the client's in clients/javascript/; what stands there with
one of the suffixes below is served, by its name, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobs.job import ObjectKey
from web.errors import FileNotThere
from web.pages import CONTENT_TYPES, page_response
from web.process_calls import CONSOLE, CONSOLE_FILE, FAVICON
from web.routes import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Response

    from jobs.ports import ObjectStore

_PAGE = "index.html"
_ICON = "icon.svg"
_ROOT = Path(__file__).resolve().parents[1]
_FOLDERS = {"console": _ROOT / "web" / "console", "longhaul": _ROOT / "clients" / "javascript"}


class ConsoleRoutes:
    """The page and its files, open to whoever comes: they hold nothing, and ask for a key."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def routes(self) -> tuple[Route, ...]:
        """Name the routes."""
        return (
            Route(name="console", path="/", view=self.show_page, scope=None, call=CONSOLE),
            Route(
                name="favicon", path="/favicon.ico", view=self.show_icon, scope=None, call=FAVICON
            ),
            Route(
                name="console_file",
                path="/static/<folder>/<name>",
                view=self.show_file,
                scope=None,
                call=CONSOLE_FILE,
            ),
        )

    def show_page(self) -> Response:
        """Give the page."""
        return self.show_file("console", _PAGE)

    def show_icon(self) -> Response:
        """Give the icon to a browser that shows no page of ours, such as a JSON answer."""
        return self.show_file("console", _ICON)

    def show_file(self, folder: str, name: str) -> Response:
        """Give one file, or say that the browser's copy is still right."""
        file = _files().get((folder, name))
        if file is None:
            raise FileNotThere("there is no file of this name")
        return page_response(file.body, content_type=file.content_type, policy=self._policy())

    def _policy(self) -> str:
        """Allow this server, and the place where presigned URLs lead; no text becomes markup."""
        return "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' data:",
                f"connect-src 'self' {_origin_of(self._objects)}",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            )
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    body: bytes
    content_type: str


@cache
def _files() -> Mapping[tuple[str, str], _File]:
    """Read all that may be served, once: a request names a file and never a path."""
    return {
        (folder, path.name): _File(body=path.read_bytes(), content_type=CONTENT_TYPES[path.suffix])
        for folder, home in _FOLDERS.items()
        for path in sorted(home.iterdir())
        if path.suffix in CONTENT_TYPES
    }


def _origin_of(objects: ObjectStore) -> str:
    """Say where presigned URLs lead; which host that is, only the signature's maker knows."""
    url = urlsplit(objects.sign(ObjectKey("console"), lifetime=timedelta(minutes=1)))
    return f"{url.scheme}://{url.netloc}"
