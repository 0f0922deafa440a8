"""The request's body: read within bounds, or let run out so that the answer can be read."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from gunicorn.http.errors import ParseException

from jobs.errors import PayloadTooLarge
from web.errors import MalformedBody, UnsupportedMediaType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Request

_PIECE_BYTES = 64 * 1024
_STALL_SECONDS = 30  # without a single byte
_DRAIN_BYTES = 256 * 1024 * 1024
_DRAIN_SECONDS = 20
_IS_READ = "longhaul.body_is_read"  # in the WSGI environment
_BROKEN = (OSError, ParseException)  # a connection that ends, and chunks that are none


def read_json_body(request: Request, *, max_bytes: int) -> bytes:
    """Read a body that says it is JSON in UTF-8, uncompressed.

    Raises UnsupportedMediaType, PayloadTooLarge as soon as that is known, and MalformedBody where
    the body breaks off.
    """
    _check_media_type(request)
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        with _no_longer_silence(request):
            while piece := request.stream.read(_PIECE_BYTES):
                body += piece
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except _BROKEN as error:
        raise MalformedBody("the body broke off") from error
    if request.content_length is not None and len(body) < request.content_length:
        raise MalformedBody("the body broke off")
    request.environ[_IS_READ] = True
    return bytes(body)


def let_body_run_out(request: Request) -> None:
    """Read what is left of a body after the answer was written, up to a bound.

    Most clients write all of their request before they read. If the connection were closed with
    their bytes unread, TCP would reset it and take the answer away from them.
    """
    deadline = time.monotonic() + _DRAIN_SECONDS
    left = _DRAIN_BYTES
    with suppress(*_BROKEN), _no_longer_silence(request):
        while left > 0 and time.monotonic() < deadline:
            piece = request.stream.read(_PIECE_BYTES)
            if not piece:
                return
            left -= len(piece)


def may_have_unread_body(request: Request) -> bool:
    """Whether the client says that it sends one, and nobody has read it to its end."""
    if _IS_READ in request.environ:
        return False
    return bool(request.content_length) or "Transfer-Encoding" in request.headers


def _check_media_type(request: Request) -> None:
    kind = request.mimetype
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise UnsupportedMediaType("send Content-Type: application/json")
    if request.mimetype_params.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
        raise UnsupportedMediaType("JSON is sent in UTF-8")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("send the body without Content-Encoding")


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than {max_bytes:,} bytes, the most accepted here")


@contextmanager
def _no_longer_silence(request: Request) -> Iterator[None]:
    """Let a client that stops sending fail after a while; gunicorn would wait for ever."""
    sock = request.environ.get("gunicorn.socket")
    if sock is None:
        yield
        return
    before = sock.gettimeout()
    sock.settimeout(_STALL_SECONDS)
    try:
        yield
    finally:
        with suppress(OSError):
            sock.settimeout(before)
