"""jobs.tracing.Tracer: the promises, on the one that traces nothing and on OpenTelemetry's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.errors import ClaimLost
from jobs.trace import Trace, TraceId
from jobs.tracing import UNTRACED, SpanKind
from tests.builders import NOW
from tests.spans import Recorder

if TYPE_CHECKING:
    from jobs.tracing import Span, Tracer

ID = TraceId("1-6922915b-0123456789abcdef01234567")
SPAN = "53995c3f42cd8ad8"
TRACES = [
    Trace(id=ID),
    Trace(id=ID, sampled=True),
    Trace(id=ID, sampled=False),
    Trace(id=ID, parent=SPAN),
    Trace(id=ID, parent=SPAN, sampled=True),
    Trace(id=ID, parent=SPAN, sampled=False),
]
FOREIGN = [
    Trace(id=TraceId("")),
    Trace(id=TraceId("job-17")),
    Trace(id=TraceId(f"1-{'0' * 8}-{'0' * 24}"), parent=SPAN, sampled=True),
]


@pytest.fixture(params=["untraced", "otel"])
def tracer(request: pytest.FixtureRequest) -> Tracer:
    return UNTRACED if request.param == "untraced" else Recorder().tracer


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.header)
def test_what_goes_on_from_a_span_has_the_traces_id_and_decision(
    tracer: Tracer, trace: Trace
) -> None:
    with tracer.begin("work", SpanKind.INTERNAL, trace) as span:
        under = span.trace

    assert under.id == trace.id
    if trace.sampled is not None:
        assert under.sampled is trace.sampled


@pytest.mark.parametrize("trace", FOREIGN, ids=lambda trace: trace.header)
def test_a_trace_that_is_not_of_our_form_is_passed_on_as_it_is(
    tracer: Tracer, trace: Trace
) -> None:
    with tracer.begin("work", SpanKind.INTERNAL, trace, links=[trace]) as span:
        assert span.trace == trace


def test_what_has_ended_can_be_sent_at_any_time(tracer: Tracer) -> None:
    tracer.flush()
    tracer.begin("work", SpanKind.INTERNAL, Trace(id=ID)).end()
    tracer.flush()


def fail_in(span: Span) -> None:
    with span:
        span.tell({"longhaul.attempt": 1})
        span.note("job.claimed", {"of": "it"})
        span.fail("before")
        raise ClaimLost("another has it")


def test_an_error_goes_on_its_way(tracer: Tracer) -> None:
    span = tracer.begin("work", SpanKind.CLIENT, Trace(id=ID), at=NOW)

    with pytest.raises(ClaimLost):
        fail_in(span)


@pytest.mark.parametrize("sampled", [True, False])
def test_what_is_apart_keeps_the_decision_of_its_origin(tracer: Tracer, *, sampled: bool) -> None:
    with tracer.begin_apart(
        "again", SpanKind.CONSUMER, Trace(id=ID, parent=SPAN, sampled=sampled)
    ) as span:
        assert span.trace.sampled is sampled
