"""Metrics of the web process: what its log tells, and what its watchers do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from adapters.line_meters import LineMeters
from adapters.metrics_sharing import FOLDER

if TYPE_CHECKING:
    from adapters.logs import Measure


class WebMetrics:
    """web.measures.Measures for Prometheus."""

    def __init__(self, *, default_model: str) -> None:
        self._registry = CollectorRegistry()
        self._lines = LineMeters(self._registry, default_model=default_model)
        watchers = Gauge(
            "longhaul_watchers",
            "Connections that hear of events",
            ["kind"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        told = Counter(
            "longhaul_events_told",
            "Events told to watchers: live, or read from the log and the row",
            ["way"],
            registry=self._registry,
        )
        self._watchers = {kind: watchers.labels(kind) for kind in ("websocket", "sse", "wait")}
        self._live, self._replayed = told.labels("live"), told.labels("replay")
        self._gaps = Counter(
            "longhaul_gaps", "Watchers told that something is missing", registry=self._registry
        )

    @property
    def measure(self) -> Measure:
        """Take each line of the log."""
        return self._lines.take

    def watcher_came(self, kind: str) -> None:
        """Count a watcher in."""
        self._watchers[kind].inc()

    def watcher_left(self, kind: str) -> None:
        """Count a watcher out."""
        self._watchers[kind].dec()

    def event_told(self) -> None:
        """Count an event that was passed on as it came."""
        self._live.inc()

    def caught_up(self, events: int, *, gaps: int) -> None:
        """Count what a watcher was told of what it had missed."""
        self._replayed.inc(events)
        self._gaps.inc(gaps)

    def exposition(self) -> str:
        """Write all metrics of all workers, in Prometheus' text format 0.0.4."""
        registry = self._registry
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # it has no types
        return generate_latest(registry).decode()
