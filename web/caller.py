"""The caller: who it is, and the trace it belongs to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobs.errors import Unauthenticated
from jobs.trace import Trace

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from werkzeug.datastructures import Headers

    from jobs.caller import Caller
    from jobs.ports import Authenticator
    from web.parts import WebParts

_TOKEN = re.compile(r"[!-~]{1,8192}")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def identify_caller(headers: Headers, authenticator: Authenticator) -> Caller:
    """Say whom `Authorization` stands for, or who comes without. Raises Unauthenticated.

    A header that is there must be right, where callers without one are welcome too.
    """
    header = headers.get("Authorization")
    if header is None:
        return authenticator.identify(None)
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("Authorization must be: Bearer <key>")
    return identify_token(token.strip(), authenticator)


def is_named(headers: Headers) -> bool:
    """Whether a credential was sent; whoever comes without one is the anonymous user."""
    return "Authorization" in headers


def identify_token(token: str, authenticator: Authenticator) -> Caller:
    """Say who is behind a token. Raises Unauthenticated."""
    if not _TOKEN.fullmatch(token):
        raise Unauthenticated("the bearer token is malformed")
    return authenticator.identify(token)


def trace_of(headers: Headers, parts: WebParts) -> Trace:
    """Take the trace that the caller names, X-Ray's header before W3C's, or start one.

    A load balancer adds an X-Ray header that names no span: one that W3C's names comes first.
    """
    xray = Trace.from_callers_xray(headers.get("X-Amzn-Trace-Id", ""))
    if xray is not None and xray.parent is not None:
        return xray
    return (
        Trace.from_traceparent(headers.get("traceparent", ""))
        or xray
        or Trace.start(parts.clock.now(), parts.chance.entropy(12))
    )


def is_own_origin(headers: Headers, allowed: frozenset[str]) -> bool:
    """Whether a page of this server, of an allowed origin, or no page at all is calling.

    A browser sends `Origin` with every WebSocket and lets any page open one, with the visitor's
    cookies and from inside the visitor's network. The scheme is not compared: behind a balancer
    that ends TLS we do not know our own.
    """
    origin = headers.get("Origin")
    if origin is None or origin in allowed:
        return True
    try:
        return _server_of(urlsplit(origin)) == _server_of(
            urlsplit(f"//{headers.get('Host', '')}", scheme=urlsplit(origin).scheme)
        )
    except ValueError:  # no port is written so
        return False


def _server_of(url: SplitResult) -> tuple[str, int]:
    """Give a URL's host and port. Raises ValueError where it names none."""
    port = url.port or _DEFAULT_PORTS.get(url.scheme)
    if not url.hostname or port is None:
        raise ValueError("names no server")
    return url.hostname, port
