"""A tracer whose spans stay in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from adapters.memory import ManualClock
from adapters.otel import OtelTracer, make_provider
from adapters.settings import Settings
from tests.builders import FixedChance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan


def trace_settings(**named: object) -> Settings:
    """Make settings with what traces need."""
    needed = {"REDIS_URL": "redis://127.0.0.1:6379/0", "bucket": "results"}
    return Settings.model_validate({**needed, **named})


@dataclass
class Recorder:
    """The tracer, and what it has told."""

    named: Mapping[str, object] = field(default_factory=dict)
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def __post_init__(self) -> None:
        provider = make_provider(
            SimpleSpanProcessor(self.exporter),
            settings=trace_settings(**self.named),
            role="worker",
            process="worker@test:1",
        )
        self.tracer = OtelTracer(provider, clock=ManualClock(), entropy=FixedChance().entropy)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def named_like(self, start: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith(start)]

    def parent_of(self, span: ReadableSpan) -> str | None:
        """Name a span's parent, where it is one of ours."""
        by_id = {one.context.span_id: one.name for one in self.spans if one.context}
        return None if span.parent is None else by_id.get(span.parent.span_id)
