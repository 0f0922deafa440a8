import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler

import pytest
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from adapters import otel
from adapters.memory import ManualClock
from adapters.otel import ForgivingExporter, open_processor
from deploy.local.environment import REPO_ROOT
from jobs.errors import (
    ClaimLost,
    DeadlinePassed,
    HandedOver,
    LeaseLost,
    LonghaulError,
    ModelError,
)
from jobs.job import JobStatus
from jobs.outage import Outage
from jobs.trace import Trace, TraceId
from jobs.tracing import SpanKind
from tests.builders import NOW, RecordingLog
from tests.free_ports import free_base
from tests.serving import serving
from tests.spans import Recorder, trace_settings
from tests.stack import clean_environ

ID = TraceId("1-6922915b-0123456789abcdef01234567")
NUMBER = 0x6922915B0123456789ABCDEF01234567
SPAN = "53995c3f42cd8ad8"


def test_a_span_is_under_the_traces_parent_and_has_its_id() -> None:
    seen = Recorder()

    with seen.tracer.begin("one", SpanKind.CLIENT, Trace(id=ID, parent=SPAN), at=NOW) as span:
        under = span.trace

    [one] = seen.spans
    assert one.context is not None
    assert one.parent is not None
    assert one.context.trace_id == NUMBER
    assert f"{one.parent.span_id:016x}" == SPAN
    assert under == Trace(id=ID, parent=f"{one.context.span_id:016x}", sampled=True)
    assert one.start_time == int(NOW.timestamp() * 1e9)


def test_a_trace_without_a_parent_gets_a_root_with_its_own_id() -> None:
    seen = Recorder()

    seen.tracer.begin("one", SpanKind.SERVER, Trace(id=ID)).end()

    assert seen.spans[0].parent is None
    assert seen.spans[0].context is not None
    assert seen.spans[0].context.trace_id == NUMBER


@pytest.mark.parametrize(
    ("sampler", "decided", "is_told"),
    [
        ("parentbased_always_on", None, True),
        ("parentbased_always_on", False, False),
        ("parentbased_always_off", None, False),
        ("parentbased_always_off", True, True),
        ("parentbased_traceidratio", True, True),
        ("parentbased_traceidratio", None, False),
        ("always_on", False, True),
        ("always_off", True, False),
        ("traceidratio", True, False),
    ],
)
@pytest.mark.parametrize("parent", [None, SPAN])
def test_sampling_is_as_the_trace_says_and_else_as_the_settings_do(
    sampler: str, parent: str | None, *, decided: bool | None, is_told: bool
) -> None:
    seen = Recorder({"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0"})

    trace = Trace(id=ID, parent=parent, sampled=decided)
    with seen.tracer.begin("one", SpanKind.SERVER, trace) as span:
        assert span.trace.sampled is is_told

    assert len(seen.spans) == int(is_told)


def test_an_error_names_itself_and_says_nothing_of_what_was_sent() -> None:
    seen = Recorder()
    refused = ModelError(
        "your prompt: Tell me", name="Bedrock.ThrottlingException", error_code="x", retryable=True
    )
    for error in (refused, LeaseLost("gone"), ValueError("Tell me")):
        with (
            pytest.raises(type(error)),
            seen.tracer.begin("one", SpanKind.CLIENT, Trace(id=ID)),
        ):
            raise error

    words = [dict(span.attributes or {}) for span in seen.spans]
    assert words == [
        {"error.type": "Bedrock.ThrottlingException"},
        {"error.type": "lease_lost"},
        {"error.type": "ValueError"},
    ]
    assert all(span.status.description is None and not span.events for span in seen.spans)
    assert not any(span.status.is_ok for span in seen.spans)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ClaimLost("gone", status=JobStatus.CANCELLED), "cancelled"),
        (ClaimLost("gone", status=JobStatus.EXPIRED), "expired"),
        (ClaimLost("gone", status=JobStatus.RUNNING), "claim_lost"),
        (ClaimLost("gone"), "claim_lost"),
        (DeadlinePassed("too late"), "expired"),
        (HandedOver("drains"), "handed_over"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_broken_off_has_not_failed_and_says_why(error: LonghaulError, outcome: str) -> None:
    seen = Recorder()

    with pytest.raises(type(error)), seen.tracer.begin("one", SpanKind.CLIENT, Trace(id=ID)):
        raise error

    [one] = seen.spans
    assert one.status.status_code is StatusCode.UNSET
    assert dict(one.attributes or {}) == {"longhaul.outcome": outcome}


def test_what_is_apart_begins_a_trace_that_links_to_its_origin() -> None:
    seen = Recorder()
    origin = Trace(id=ID, parent=SPAN, sampled=True)

    seen.tracer.begin_apart("again", SpanKind.CONSUMER, origin, at=NOW).end()

    [again] = seen.spans
    assert again.context is not None
    assert again.context.trace_id != NUMBER
    assert again.context.trace_id >> 96 == int(NOW.timestamp())  # as X-Ray wants it
    assert again.parent is None
    assert [f"{link.context.span_id:016x}" for link in again.links] == [SPAN]


def test_the_service_has_the_kind_of_process_for_its_name_unless_it_is_named() -> None:
    plain = Recorder()
    named = Recorder(
        {"OTEL_SERVICE_NAME": "llm", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=a%20b"}
    )
    for seen in (plain, named):
        seen.tracer.begin("one", SpanKind.SERVER, Trace(id=ID)).end()

    assert plain.spans[0].resource.attributes["service.name"] == "longhaul-worker"
    assert plain.spans[0].resource.attributes["service.instance.id"] == "worker@test:1"
    assert named.spans[0].resource.attributes["service.name"] == "llm"
    assert named.spans[0].resource.attributes["deployment.environment"] == "a b"


class Away(SpanExporter):
    """A collector that comes back."""

    def __init__(self) -> None:
        self.answers = [SpanExportResult.FAILURE] * 3 + [SpanExportResult.SUCCESS]

    def export(self, _: object) -> SpanExportResult:
        return self.answers.pop(0)


def test_a_collector_that_is_away_is_told_of_once_and_once_when_it_is_back() -> None:
    log = RecordingLog()
    outage = Outage("traces", clock=ManualClock(), log=log)
    exporter = ForgivingExporter(Away(), outage, lambda: "http://c:4318 hangs")

    results = [exporter.export([]) for _ in range(4)]

    assert [result.name for result in results] == ["FAILURE"] * 3 + ["SUCCESS"]
    assert [line.event for line in log.lines] == ["part_away", "part_back"]
    assert log.lines[0].keys == {"part": "traces", "reason": "traces: http://c:4318 hangs"}


def reason_of(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Export to a collector by way of the process's own parts, and give what the log says."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0.5")
    log, span = RecordingLog(), Recorder()
    span.tracer.begin("one", SpanKind.SERVER, Trace(id=ID)).end()
    settings = trace_settings(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=url)
    processor = open_processor(settings, Outage("traces", clock=ManualClock(), log=log))
    processor.on_end(span.spans[0])
    processor.force_flush()
    processor.shutdown()  # type: ignore[no-untyped-call] # the SDK's
    [line] = log.lines
    return str(line.keys["reason"])


def test_a_collector_where_nothing_listens_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = f"127.0.0.1:{free_base(1)}/v1/traces"

    reason = reason_of(f"http://me:word@{place}?key=word", monkeypatch)

    assert reason == f"traces: http://{place} cannot be reached: connection refused"


def test_a_collector_whose_name_nobody_knows_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = reason_of("http://collector.invalid/v1/traces", monkeypatch)

    assert reason.startswith("traces: http://collector.invalid/v1/traces cannot be reached: ")


def test_a_collector_that_hangs_is_said_to_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"

        reason = reason_of(url, monkeypatch)

    assert reason == f"traces: {url} hangs: it took the spans and did not answer in time"


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_a_collector_that_refuses_is_told_with_its_answer(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    with serving(Handler) as url:
        reason = reason_of(f"{url}/v1/traces", monkeypatch)

    assert reason == f"traces: {url}/v1/traces refuses spans: it answers {status}"


class Frozen(SpanExporter):
    """A collector that takes the connection and says nothing."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self.thaws = threading.Event()

    def export(self, _: object) -> SpanExportResult:
        self.is_asked.set()
        self.thaws.wait(60)
        return SpanExportResult.FAILURE


@pytest.mark.parametrize(("drain", "last_words"), [(0, 1), (3, 1), (6, 2), (25, 3)])
def test_last_words_have_less_time_where_the_drain_has_little(
    drain: float, last_words: float
) -> None:
    assert otel._last_words_after(drain) == last_words  # noqa: SLF001 - what atexit is given


def test_last_words_are_not_waited_for_when_nobody_listens() -> None:
    frozen = Frozen()
    processor = BatchSpanProcessor(frozen, schedule_delay_millis=1)
    seen = Recorder()
    seen.tracer.begin("one", SpanKind.SERVER, Trace(id=ID)).end()
    processor.on_end(seen.spans[0])
    assert frozen.is_asked.wait(10)

    otel._say_last_words(processor, 0.05)  # noqa: SLF001 - what atexit calls

    assert not frozen.thaws.is_set()
    frozen.thaws.set()


WITHOUT_A_COLLECTOR = """
import os, sys
import workers.worker_entry, workers.feed_entry, web.app
from adapters.settings import read_settings
from adapters.traces import open_tracer
from jobs.tracing import UNTRACED
assert open_tracer(read_settings(os.environ), "worker") is UNTRACED
ours = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf", "requests")
print([name for name in sys.modules if name.startswith(ours)])
"""  # redis-py takes in OpenTelemetry's metrics wherever they are installed


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
    ids=["unset", "empty", "disabled", "no exporter"],
)
def test_neither_spans_nor_their_exporter_are_imported_unless_a_collector_is_named(
    named: dict[str, str],
) -> None:
    needed = {"REDIS_URL": "redis://127.0.0.1:6379/0", "LONGHAUL_BUCKET": "results"}

    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", WITHOUT_A_COLLECTOR],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=REPO_ROOT,
        env={**clean_environ(), **needed, **named},
    )

    assert ran.stdout == "[]\n"
