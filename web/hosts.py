"""Hosts: by which name a caller has called this server."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from flask import Request

LOOPBACK = "localhost"
_NEVER_IN_A_HOST = frozenset("/?#@\\, \t")


def host_of(header: str) -> str | None:
    """Give the name or address in a `Host`, without its port; None where it names none."""
    if not header.isascii() or _NEVER_IN_A_HOST & set(header):
        return None
    try:
        url = urlsplit(f"//{header}")
        _ = url.port  # raises where it is none
    except ValueError:
        return None
    host = (url.hostname or "").removesuffix(".")
    try:
        return str(ip_address(host))
    except ValueError:
        return host or None


def is_loopback(host: str) -> bool:
    """Whether what `host_of` gives always means the caller's own machine."""
    if host == LOOPBACK or host.endswith(f".{LOOPBACK}"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def called_host(request: Request) -> str:
    """Give the host and port that the caller has called; this machine's where that is no host."""
    if request.host and host_of(request.headers.get("Host", "")) is not None:
        return request.host
    return f"{LOOPBACK}:{request.environ['SERVER_PORT']}"
