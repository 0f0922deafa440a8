"""Which addresses can be believed. Light: gunicorn reads it before gevent patches anything."""

from __future__ import annotations

from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def shown_url(url: str) -> str:
    """Give a URL as it may be logged: no user, no password, no query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_safe_url(url: str) -> bool:
    """Whether what comes from there can be believed: by TLS, or from this very machine."""
    try:
        parsed = urlsplit(url)
        host = parsed.hostname
    except ValueError:
        return False
    if not host or any(letter.isspace() for letter in url):
        return False
    return parsed.scheme == "https" or (parsed.scheme == "http" and host in _LOOPBACK)
