"""Webhooks: which URLs a caller may name, and which addresses may be called for them.

A URL is checked when it is sent; where its name leads is checked at each call, because a name may
lead elsewhere by then. A caller must not reach through us what they cannot reach themselves.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

LONGEST_URL = 2048
_VISIBLE = re.compile(r"[!-~]+")
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")  # a name in ASCII, or an address
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NOT_OPEN = (  # what Python's is_global lets through, in one version or another
    ipaddress.IPv4Network("192.0.0.0/24"),  # IETF protocol assignments
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays
)
_TUNNELS = (
    ipaddress.IPv6Network("2001::/32"),  # Teredo
    ipaddress.IPv6Network("2002::/16"),  # 6to4
)


def problem_with_url(url: str, *, allow_loopback: bool) -> str | None:
    """Say what is wrong with a webhook's URL, or nothing where it may be stored."""
    if len(url) > LONGEST_URL:
        return f"must be {LONGEST_URL} characters at most"
    if not _VISIBLE.fullmatch(url):
        return (
            "must be a URL in visible ASCII: percent-encode the rest, and write names as punycode"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    is_open = parts.scheme == "https" or (allow_loopback and parts.scheme == "http")
    names_host = parts.hostname and _HOST.fullmatch(parts.hostname) and port != 0
    found = {
        "must begin with https://": not is_open,
        "must hold no credentials: verify the signature instead": "@" in parts.netloc,
        "must have no fragment": "#" in url,
        "names no host that can be called": not names_host,
        "names an address that is not public": _is_closed(
            parts.hostname or "", allow_loopback=allow_loopback
        ),
    }
    return next((problem for problem, is_so in found.items() if is_so), None)


def is_public(address: str, *, allow_loopback: bool) -> bool:
    """Tell whether an address may be called: one of the open internet, or an opened loopback."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # such as fe80::1%eth0 of a resolver that knows zones in another way
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        if ip.is_loopback:
            return allow_loopback
        return _is_global(ip) and not any(ip in network for network in _NOT_OPEN)
    if ip.ipv4_mapped is not None:
        return False  # nobody publishes such a record but to slip past a check
    if allow_loopback and ip.is_loopback:
        return True
    is_tunnel = any(ip in tunnel for tunnel in _TUNNELS)
    return ip in _GLOBAL_UNICAST and _is_global(ip) and not is_tunnel


def _is_global(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _is_closed(host: str, *, allow_loopback: bool) -> bool:
    """Tell whether a host is written as an address that would be refused at every call."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False  # a name: where it leads is looked up at each call
    return not is_public(host, allow_loopback=allow_loopback)
