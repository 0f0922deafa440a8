"""Times as written: ISO 8601 in UTC with milliseconds, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime


def written_time(at: datetime) -> str:
    """Write an aware time, as in `2026-11-23T04:38:59.120Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_time(text: str) -> datetime:
    """Read what `written_time` wrote. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} names no time zone")
    return at
