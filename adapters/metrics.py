"""Metrics: what a worker or a feed tells Prometheus, on a port of its own; or nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from adapters.line_meters import LineMeters
from adapters.listening import port_refused
from adapters.metrics_ports import PORTS_ON
from adapters.standing import FeedGauges, WorkerGauges

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.logs import Measure
    from adapters.settings import Settings
    from adapters.standing import FeedStanding, WorkerStanding


class Metrics(Protocol):
    """What a process top does with metrics."""

    @property
    def measure(self) -> Measure | None:
        """Take each line of the log; None where nobody wants to know."""

    def watch_feed(self, look: Callable[[], FeedStanding]) -> None:
        """Tell how a feed stands whenever Prometheus asks."""

    def watch_worker(self, look: Callable[[], WorkerStanding]) -> None:
        """Tell how a worker stands whenever Prometheus asks."""

    def serve(self) -> Callable[[], None]:
        """Answer Prometheus from now on; give what ends that. Raises Misconfigured."""


class NoMetrics:
    """Metrics that nobody asks for, and that cost nothing."""

    measure: Measure | None = None

    def watch_feed(self, look: Callable[[], FeedStanding]) -> None:
        """Do nothing."""

    def watch_worker(self, look: Callable[[], WorkerStanding]) -> None:
        """Do nothing."""

    def serve(self) -> Callable[[], None]:
        """Do nothing."""
        return lambda: None


class ServedMetrics:
    """Metrics of a process without children, answered from a thread."""

    def __init__(self, *, default_model: str, host: str, port: int) -> None:
        self._registry = CollectorRegistry()
        self._lines = LineMeters(self._registry, default_model=default_model)
        self._host = host
        self._port = port

    @property
    def measure(self) -> Measure | None:
        """Take each line of the log."""
        return self._lines.take

    def watch_feed(self, look: Callable[[], FeedStanding]) -> None:
        """Tell how a feed stands."""
        self._registry.register(FeedGauges(look))

    def watch_worker(self, look: Callable[[], WorkerStanding]) -> None:
        """Tell how a worker stands."""
        self._registry.register(WorkerGauges(look))

    def serve(self) -> Callable[[], None]:
        """Answer, and tell of the process itself, too."""
        ProcessCollector(registry=self._registry)
        try:
            server, thread = start_http_server(self._port, self._host, registry=self._registry)
        except OSError as error:
            raise port_refused("metrics", self._host, self._port, error) from error

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop


def open_metrics(settings: Settings, role: str) -> Metrics:
    """Make the metrics of a worker or a feed; none where no port is set."""
    if settings.metrics_port is None:
        return NoMetrics()
    return ServedMetrics(
        default_model=settings.default_model,
        host=settings.metrics_host,
        port=settings.metrics_port + PORTS_ON[role],
    )
