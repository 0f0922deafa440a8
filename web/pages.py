"""Pages and the files they load: what their browser may do, and how long it keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from flask import Response, request

from web.errors import FileNotThere
from web.process_calls import STATIC
from web.routes import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

# Everything comes from this server, and nothing is written into the page itself: what a text
# might smuggle in is not run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    content: bytes
    content_type: str


class StaticRoutes:
    """GET /static/{name}: the files in web/static/, and no others."""

    def routes(self) -> tuple[Route, ...]:
        """Name the route."""
        path = "/static/<name>"
        return (Route(name="static", path=path, view=self.show, scope=None, call=STATIC),)

    def show(self, name: str) -> Response:
        """Give a file, or say that it has not changed."""
        file = _static_files().get(name)
        if file is None:
            raise FileNotThere("there is no file of this name")
        return page_response(file.content, content_type=file.content_type)


def page_response(
    content: bytes, *, content_type: str = CONTENT_TYPES[".html"], policy: str = _POLICY
) -> Response:
    """Answer with a page or a part of one; a browser asks each time whether it has changed."""
    response = Response(content, content_type=content_type, headers=_HEADERS)
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cache-Control"] = "no-cache"
    response.set_etag(hashlib.sha256(content).hexdigest()[:32])
    response.make_conditional(request)
    return response


@cache
def _static_files() -> Mapping[str, _File]:
    """Read what is installed; a file of a kind that is not known here is not served."""
    return {
        entry.name: _File(content=entry.read_bytes(), content_type=CONTENT_TYPES[suffix])
        for entry in files("web").joinpath("static").iterdir()
        if (suffix := "." + entry.name.rpartition(".")[2]) in CONTENT_TYPES
    }
