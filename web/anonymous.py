"""Callers without a credential: what is asked of them in place of one.

A browser lends its visitor's network to whatever page is open. Where nobody is asked for a
credential, that alone would open a developer's jobs to any page: by its own name, which its owner
has made to lead here (DNS rebinding), or by what a page may send without being let (a form's POST).
So two headers are asked that no page can choose. See docs/decisions/0033.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from web.caller import is_own_origin
from web.errors import HostRefused, OriginRefused
from web.hosts import host_of, is_loopback

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

    from web.parts import WebParts

_LOOKING = frozenset({"GET", "HEAD"})  # another origin's script cannot read what these answer


def check_anonymous(method: str, headers: Headers, parts: WebParts) -> None:
    """Let a call without a credential through. Raises HostRefused, OriginRefused."""
    check_host(headers, parts.allowed_hosts)
    if method not in _LOOKING and _is_of_a_foreign_page(headers, parts.allowed_origins):
        raise OriginRefused("pages of this origin may change nothing here without a credential")


def check_host(headers: Headers, allowed: frozenset[str]) -> None:
    """Let who calls this machine or an allowed host. Raises HostRefused."""
    host = host_of(headers.get("Host", ""))
    if host is None or not (host in allowed or is_loopback(host)):
        raise HostRefused(
            "without a credential this server answers as localhost, and under the names in"
            " LONGHAUL_ALLOWED_HOSTS"
        )


def _is_of_a_foreign_page(headers: Headers, allowed: frozenset[str]) -> bool:
    """Whether a page that is not ours is calling; some browsers say so without `Origin`."""
    if "Origin" in headers:
        return not is_own_origin(headers, allowed)
    return headers.get("Sec-Fetch-Site") == "cross-site"
