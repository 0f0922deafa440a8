"""Traces: the tracer of a process, which is none, and imports none, unless a collector is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.clock import SystemChance, SystemClock
from adapters.logs import get_log
from adapters.process import process_name
from jobs.outage import Outage
from jobs.tracing import UNTRACED

if TYPE_CHECKING:
    from adapters.settings import Settings
    from jobs.tracing import Tracer


def open_tracer(settings: Settings, role: str) -> Tracer:
    """Make a process's tracer, after its fork: it has a thread. Raises Misconfigured."""
    if settings.traces_url is None:
        return UNTRACED
    from adapters.otel import OtelTracer, make_provider, open_processor  # noqa: PLC0415 - see above

    clock = SystemClock()
    outage = Outage("traces: what the collector misses is lost", clock=clock, log=get_log())
    provider = make_provider(
        open_processor(settings, outage), settings=settings, role=role, process=process_name(role)
    )
    return OtelTracer(provider, clock=clock, entropy=SystemChance().entropy)
