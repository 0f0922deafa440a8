"""OpenTelemetry: spans of jobs/tracing.py, exported over OTLP/HTTP in batches by one thread.

Imported only where a collector is named. A collector that is away costs its spans and one line.
"""

from __future__ import annotations

import atexit
import logging
import random
import re
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Self

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import SpanKind as OtelKind

from adapters.collector_session import CollectorSession
from jobs.errors import LonghaulError, Misconfigured, Unavailable
from jobs.trace import Trace, TraceId
from jobs.tracing import SpanKind, Unspanned, error_word, outcome_word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from types import TracebackType

    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import TraceState
    from opentelemetry.util.types import Attributes

    from adapters.settings import Settings
    from jobs.outage import Outage
    from jobs.ports import Clock
    from jobs.tracing import Facts, Span

_KINDS = {kind: OtelKind[kind.value] for kind in SpanKind}
_TRACE_ID = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_LONGEST_FACT = 2_048
_LAST_WORDS_SECONDS = (1.0, 3.0)  # at least, and at most
_QUEUE = 8_192  # spans that may wait for a collector; what is more is dropped
_BATCH = 512

# The trace of the span that is being begun, for the SDK's two call-backs in the same call.
_asked: ContextVar[Trace] = ContextVar("longhaul_asked_trace")


class SdkSpan:
    """jobs.tracing.Span over the SDK's."""

    def __init__(self, span: OtelSpan, trace: Trace) -> None:
        self._span = span
        self.trace = trace

    def tell(self, facts: Facts) -> None:
        """Add attributes."""
        self._span.set_attributes(facts)

    def note(self, event: str, facts: Facts | None = None) -> None:
        """Add an event."""
        self._span.add_event(event, facts)

    def fail(self, error: str) -> None:
        """Set the status, and `error.type`; an error's message may quote what was sent."""
        self._span.set_attribute("error.type", error)
        self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """End it."""
        self._span.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        if error is not None and not isinstance(error, GeneratorExit):
            self._tell_end_by(error)
        self.end()

    def _tell_end_by(self, error: BaseException) -> None:
        if (outcome := outcome_word(error)) is None:
            self.fail(error_word(error))
        else:
            self.tell({"longhaul.outcome": outcome})


class OtelTracer:
    """jobs.tracing.Tracer on the SDK; a trace whose id is not one of ours is passed on as it is."""

    def __init__(
        self, provider: TracerProvider, *, clock: Clock, entropy: Callable[[int], bytes]
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("longhaul")
        self._clock = clock
        self._entropy = entropy

    def begin(  # noqa: PLR0913 - the port's
        self,
        name: str,
        kind: SpanKind,
        trace: Trace,
        *,
        facts: Facts | None = None,
        links: Sequence[Trace] = (),
        at: datetime | None = None,
    ) -> Span:
        """Begin a span; the trace alone says under what."""
        if (number := _number_of(trace.id)) is None:
            return Unspanned(trace)
        parent = _context_of(trace)
        reset = _asked.set(trace)
        try:
            span = self._tracer.start_span(
                name,
                set_span_in_context(NonRecordingSpan(parent), Context()) if parent else Context(),
                _KINDS[kind],
                facts,
                [Link(context) for one in links if (context := _context_of(one)) is not None],
                start_time=None if at is None else int(at.timestamp() * 1e9),
            )
        finally:
            _asked.reset(reset)
        made = span.get_span_context()
        if made.trace_id != number:
            return Unspanned(trace)
        return SdkSpan(
            span,
            Trace(
                id=trace.id, parent=f"{made.span_id:016x}", sampled=bool(made.trace_flags.sampled)
            ),
        )

    def begin_apart(
        self,
        name: str,
        kind: SpanKind,
        origin: Trace,
        *,
        facts: Facts | None = None,
        at: datetime | None = None,
    ) -> Span:
        """Begin a new trace with a link."""
        new = Trace.start(at or self._clock.now(), self._entropy(12))
        new = Trace(id=new.id, sampled=origin.sampled)
        return self.begin(name, kind, new, facts=facts, links=(origin,), at=at)

    def flush(self) -> None:
        """Send what has ended."""
        self._provider.force_flush()


class AskedIds(IdGenerator):
    """The trace ids of our own traces, which are X-Ray's too; random span ids."""

    def generate_trace_id(self) -> int:
        """Give the id of the trace whose root is being begun."""
        return _number_of(_asked.get().id) or 0

    def generate_span_id(self) -> int:
        """Give 64 random bits."""
        return random.getrandbits(64) or 1

    def is_trace_id_random(self) -> bool:
        """Say no: X-Ray's ids begin with the time."""
        return False


class AskedSampler(Sampler):
    """Follows the decision that the trace carries; where there is none, `root` decides.

    With `is_parent_based` off, `root` decides always.
    """

    def __init__(self, root: Sampler, *, is_parent_based: bool) -> None:
        self._root = root
        self._is_parent_based = is_parent_based

    def should_sample(  # noqa: PLR0913, PLR0917 - the SDK's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: OtelKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Decide."""
        decided = _asked.get().sampled if self._is_parent_based else None
        sampler = {None: self._root, True: ALWAYS_ON, False: ALWAYS_OFF}[decided]
        return sampler.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Name it."""
        return f"Asked({self._root.get_description()})"


class ForgivingExporter(SpanExporter):
    """Says once that the collector is away and once that it is back, and drops what it missed.

    `why` says what became of the last batch.
    """

    def __init__(self, exporter: SpanExporter, outage: Outage, why: Callable[[], str]) -> None:
        self._exporter = exporter
        self._outage = outage
        self._why = why

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        try:
            with self._outage.watched():
                if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
                    raise Unavailable("traces", self._why())
        except LonghaulError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """End what is under way."""
        self._exporter.shutdown()


def make_provider(
    processor: SpanProcessor, *, settings: Settings, role: str, process: str
) -> TracerProvider:
    """Make the SDK's provider, which is not made global: nothing of ours looks for it there."""
    named = {"service.name": f"longhaul-{role}", "service.instance.id": process}
    if settings.otel_service_name is not None:
        named["service.name"] = settings.otel_service_name
    resource = Resource.create({**named, **settings.otel_resource_attributes})
    provider = TracerProvider(
        sampler=_sampler(settings),
        resource=resource,
        shutdown_on_exit=False,
        id_generator=AskedIds(),
        span_limits=SpanLimits(max_attribute_length=_LONGEST_FACT),
    )
    provider.add_span_processor(processor)
    return provider


def open_processor(settings: Settings, outage: Outage) -> BatchSpanProcessor:
    """Make what sends, and let it send what is left when the process ends. Raises Misconfigured.

    The SDK's own words about a collector that is away would be two lines a batch.
    """
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
    session = CollectorSession(settings.traces_url or "")
    try:
        exporter = OTLPSpanExporter(endpoint=settings.traces_url, session=session)
    except Exception as error:
        raise Misconfigured(f"traces cannot be exported: {type(error).__name__}") from error
    processor = BatchSpanProcessor(
        ForgivingExporter(exporter, outage, lambda: session.problem),
        max_queue_size=_QUEUE,
        schedule_delay_millis=settings.otel_bsp_schedule_delay,
        max_export_batch_size=_BATCH,
    )
    atexit.register(_say_last_words, processor, _last_words_after(settings.drain_seconds))
    return processor


def _last_words_after(drain_seconds: float) -> float:
    """Say how long spans may be sent after a drain: who has little time for that has little for it.

    honcho kills after five seconds, of which three are the drain's.
    """
    least, most = _LAST_WORDS_SECONDS
    return min(most, max(least, drain_seconds / 3))


def _say_last_words(processor: BatchSpanProcessor, seconds: float) -> None:
    """Send what is left, for a moment: a collector that is away must not hold up a drain."""
    thread = threading.Thread(target=processor.shutdown, name="last-spans", daemon=True)
    thread.start()
    thread.join(seconds)


def _sampler(settings: Settings) -> AskedSampler:
    name = settings.otel_traces_sampler
    kind = name.removeprefix("parentbased_")
    roots: dict[str, Sampler] = {
        "always_on": ALWAYS_ON,
        "always_off": ALWAYS_OFF,
        "traceidratio": TraceIdRatioBased(settings.otel_traces_sampler_arg),
    }
    return AskedSampler(roots[kind], is_parent_based=kind != name)


def _number_of(trace_id: TraceId) -> int | None:
    """Give W3C's 128 bits; None where another system's row has something else, or nothing."""
    found = _TRACE_ID.fullmatch(trace_id)
    return (int(found[1] + found[2], 16) or None) if found else None


def _context_of(trace: Trace) -> SpanContext | None:
    """Give the SDK's form of a trace with a parent."""
    number = _number_of(trace.id)
    if number is None or trace.parent is None or not int(trace.parent, 16):
        return None
    flags = TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT
    return SpanContext(number, int(trace.parent, 16), is_remote=True, trace_flags=TraceFlags(flags))
