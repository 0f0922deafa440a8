"""The headers of answers, described once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from web.preferences import LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT = {"type": "string"}

# Every answer has these, whatever else it has.
ALWAYS = ("X-Amzn-Trace-Id",)
# Every answer to a known caller may have these.
OF_LIMITS = ("RateLimit-Policy", "RateLimit")

HEADERS: Mapping[str, Mapping[str, Any]] = {
    "X-Amzn-Trace-Id": {
        "description": "the trace: the caller's own, or a new one",
        "schema": {"type": "string", "pattern": r"^Root=1-[0-9a-f]{8}-[0-9a-f]{24}"},
    },
    "Location": {
        "description": "where it is",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {
        "description": "names this state, for `If-None-Match`",
        "schema": {"type": "string", "pattern": r'^(W/)?"[^"]*"$'},
    },
    "Retry-After": {
        "description": "seconds after which it is worth to ask again",
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit-Policy": {
        "description": "the quotas of this caller, where there are any: calls (q) in seconds (w)",
        "schema": _TEXT,
    },
    "RateLimit": {
        "description": "what is left of each (r), and after how many seconds it is whole (t)",
        "schema": _TEXT,
    },
    "Cache-Control": {
        "description": "what may be kept: nothing without asking again",
        "schema": _TEXT,
    },
    "Idempotency-Replayed": {
        "description": "the job was made by an earlier request with this `Idempotency-Key`",
        "schema": {"type": "string", "const": "true"},
    },
    "Preference-Applied": {
        "description": "what of `Prefer` was kept; a wait of "
        f"{LONGEST_WAIT.total_seconds():g} seconds at most",
        "schema": _TEXT,
    },
    "Content-Security-Policy": {
        "description": "all that a page loads comes from this server",
        "schema": _TEXT,
    },
    "WWW-Authenticate": {
        "description": "how to say who is calling, or the scope that is missing",
        "schema": {"type": "string", "pattern": "^Bearer "},
    },
    "Upgrade": {"description": "what to change to", "schema": {"const": "websocket"}},
    "Sec-WebSocket-Version": {"description": "the one version", "schema": {"const": "13"}},
}
