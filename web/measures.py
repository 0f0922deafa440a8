"""Measures: what the web process counts of its watchers, and where the counts are read."""

from __future__ import annotations

from typing import Literal, Protocol

Kind = Literal["websocket", "sse", "wait"]


class Measures(Protocol):
    """Counts; nothing here waits or raises."""

    def watcher_came(self, kind: Kind) -> None:
        """Count a watcher in."""

    def watcher_left(self, kind: Kind) -> None:
        """Count a watcher out."""

    def event_told(self) -> None:
        """Count an event that was passed on to a watcher as it came."""

    def caught_up(self, events: int, *, gaps: int) -> None:
        """Count what a watcher was told of what it had missed: events, and gaps beside them."""

    def exposition(self) -> str:
        """Write all metrics in Prometheus' text format."""


class Unmeasured:
    """Counts nothing."""

    def watcher_came(self, kind: Kind) -> None:
        """Do nothing."""

    def watcher_left(self, kind: Kind) -> None:
        """Do nothing."""

    def event_told(self) -> None:
        """Do nothing."""

    def caught_up(self, events: int, *, gaps: int) -> None:
        """Do nothing."""

    def exposition(self) -> str:
        """Give nothing."""
        return ""
