"""Traces of the whole system: one tree from POST to push, as a collector gets it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import connect

from jobs.job import JobId, ModelId, UserId
from jobs.task import Task
from jobs.trace import Trace
from tests.collector import Collector, SeenSpan, collecting
from tests.free_ports import free_base
from tests.stack import LocalStack, System, http, wait_until
from tests.webhook_receiver import SECRET, SETTINGS, receiving
from workers.broker import CeleryTaskQueue, make_celery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MODEL = "amazon.nova-lite-v1:0"
TRACE = "6922915b0123456789abcdef01234567"
OTHER = "1-6922915b-fedcba987654321001234567"
CALLER = "53995c3f42cd8ad8"
LONG = "Go on. <<stand-in: duration_s=60; tokens=300; first_token_s=0>>"
SECRET_WORDS = "The quick brown fox"
POLICY = [
    {"ErrorEquals": ["Bedrock.ThrottlingException"], "IntervalSeconds": 1, "MaxAttempts": 3},
]
PROMPT = f"{SECRET_WORDS} <<stand-in: throttle_first=1; tokens=30>>"


@dataclass(frozen=True)
class Seen:
    """What was done to a fresh system that exports its spans, and what came of it."""

    collector: Collector
    job: dict[str, Any]
    failed: dict[str, Any]
    broken_off: dict[str, dict[str, Any]]
    amazon: dict[str, Any]
    traceparents: list[str | None]
    answered: str

    def of_job(self, job: dict[str, Any]) -> list[SeenSpan]:
        return [
            span
            for span in self.collector.spans
            if span.trace == job["trace_id"][2:].replace("-", "")
        ]


def submit(
    system: System, prompt: str, headers: Mapping[str, str], **body: object
) -> dict[str, Any]:
    answer = http.post(
        f"{system.url}/v1/jobs", json={"prompt": prompt, **body}, headers=dict(headers)
    ).raise_for_status()
    job: dict[str, Any] = answer.json()
    return {**job, "answered": answer.headers["X-Amzn-Trace-Id"]}


def wait_for(system: System, job: dict[str, Any], status: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        now: dict[str, Any] = http.get(f"{system.url}/v1/jobs/{job['id']}").json()
        return now if now["status"] == status else None

    found = wait_until(look, status)
    assert found is not None
    return found


@contextmanager
def watching(system: System) -> Iterator[None]:
    with connect(f"{system.url.replace('http', 'ws')}/v1/ws", proxy=None) as watcher:
        watcher.send(json.dumps({"type": "ping"}))
        watcher.recv(timeout=30)
        yield
        while json.loads(watcher.recv(timeout=30)).get("event") != "job.completed":
            pass


def call_begins(system: System, job: dict[str, Any]) -> None:
    wait_until(lambda: system.log_lines(event="first_token_came", job_id=job["id"]), "a call")


def break_off(system: System) -> dict[str, dict[str, Any]]:
    """Let calls be ended by a cancel, by a deadline, and (once the worker drains) by a SIGTERM."""
    cancelled, expired = submit(system, LONG, {}), submit(system, LONG, {}, run_timeout_s=2)
    call_begins(system, cancelled)
    http.post(f"{system.url}/v1/jobs/{cancelled['id']}/cancel").raise_for_status()
    wait_for(system, cancelled, "CANCELLED")
    wait_for(system, expired, "EXPIRED")
    handed_over = submit(system, LONG, {})
    call_begins(system, handed_over)
    return {"cancelled": cancelled, "expired": expired, "handed_over": handed_over}


def send_again(stack: LocalStack, job: dict[str, Any]) -> None:
    """Give the broker the task of a job that has ended, as a broker does that delivers twice."""
    now = datetime.now(UTC)
    trace = Trace.from_xray(f"Root={job['trace_id']};Parent={CALLER};Sampled=1")
    assert trace is not None
    task = Task(
        job_id=JobId(job["id"]),
        user=UserId("local"),
        model=ModelId(MODEL),
        trace=trace,
        seen_at=now,
        enqueued_at=now,
        by="test",
    )
    CeleryTaskQueue(make_celery(stack.redis_url, connections=2)).enqueue([task])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with (
        collecting() as collector,
        LocalStack(tmp_path_factory.mktemp("traces")) as stack,
        receiving(refusals=1) as receiver,
    ):
        settings = {
            **SETTINGS,
            "LONGHAUL_RETRY_POLICY": json.dumps(POLICY),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=of-the-collector",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "WEB_CONCURRENCY": "2",
            "LONGHAUL_DRAIN_SECONDS": "1",
        }
        with System(stack, settings=settings) as system:
            # A socket of each of the two processes might have it: one is enough to be told.
            with watching(system):
                traced = submit(
                    system,
                    PROMPT,
                    {"traceparent": f"00-{TRACE}-{CALLER}-01"},
                    webhook={"url": receiver.url},
                    inference_config={"temperature": 0.5},
                )
                job = wait_for(system, traced, "COMPLETED")
            wait_until(lambda: len(receiver.statuses) >= 2, "the webhook is told")
            send_again(stack, job)
            amazon = submit(system, "Hi", {"X-Amzn-Trace-Id": f"Root={OTHER};Sampled=1"})
            wait_for(system, amazon, "COMPLETED")
            unsampled = submit(system, "Hi", {"traceparent": f"00-{'a' * 32}-{CALLER}-00"})
            wait_for(system, unsampled, "COMPLETED")
            failed = submit(system, "No. <<stand-in: validation_error=no>>", {})
            failed = wait_for(system, failed, "FAILED")
            http.post(
                f"{system.url}/v1/jobs/{failed['id']}/redrive",
                headers={"X-Amzn-Trace-Id": f"Root={OTHER};Parent={CALLER};Sampled=1"},
            ).raise_for_status()
            wait_until(
                lambda: len(collector.named("chat " + MODEL, longhaul__job_id=failed["id"])) == 2,
                "the redriven job is called again",
            )
            broken_off = break_off(system)
        # All processes have ended, and have said their last words.
        yield Seen(
            collector=collector,
            job=job,
            failed=failed,
            broken_off=broken_off,
            amazon=amazon,
            traceparents=receiver.traceparents,
            answered=traced["answered"],
        )


def only(spans: list[SeenSpan]) -> SeenSpan:
    [span] = spans
    return span


def test_one_trace_goes_from_the_request_to_the_push(seen: Seen) -> None:
    spans = seen.of_job(seen.job)
    by_id = {span.id: span for span in spans}
    tree = sorted(
        (span.service, span.name, by_id[span.parent].name if span.parent in by_id else "caller")
        for span in spans
    )

    assert seen.job["trace_id"] == f"1-{TRACE[:8]}-{TRACE[8:]}"
    assert tree == sorted(
        [
            ("longhaul-web", "POST /v1/jobs", "caller"),
            ("longhaul-web", "job.accept", "POST /v1/jobs"),
            ("longhaul-feed", "send longhaul.run", "POST /v1/jobs"),
            ("longhaul-worker", "process longhaul.run", "send longhaul.run"),
            ("longhaul-worker", f"chat {MODEL}", "process longhaul.run"),
            ("longhaul-worker", "job.settle", "process longhaul.run"),
            ("longhaul-feed", "send longhaul.run", "POST /v1/jobs"),
            ("longhaul-worker", "process longhaul.run", "send longhaul.run"),
            ("longhaul-worker", f"chat {MODEL}", "process longhaul.run"),
            ("longhaul-worker", "job.settle", "process longhaul.run"),
            ("longhaul-feed", "send longhaul.announce", "POST /v1/jobs"),
            ("longhaul-worker", "tell webhook", "send longhaul.announce"),
            ("longhaul-web", "push job.completed", "process longhaul.run"),
        ]
    )


def test_the_request_is_the_callers_child_and_is_named_in_the_answer(seen: Seen) -> None:
    request = only([span for span in seen.of_job(seen.job) if span.kind == "SERVER"])

    assert request.parent == CALLER
    assert request.facts == {
        "http.request.method": "POST",
        "http.route": "/v1/jobs",
        "url.scheme": "http",
        "http.response.status_code": 202,
        "longhaul.job_id": seen.job["id"],
    }
    assert seen.answered == f"Root={seen.job['trace_id']};Parent={request.id};Sampled=1"


def test_each_attempt_is_a_call_by_the_genai_conventions(seen: Seen) -> None:
    throttled, answered = seen.collector.named(f"chat {MODEL}", longhaul__job_id=seen.job["id"])
    sent = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.max_tokens": 4096,
        "gen_ai.request.temperature": 0.5,
        "server.address": "127.0.0.1",
    }

    assert throttled.kind == answered.kind == "CLIENT"
    assert sent.items() <= throttled.facts.items()
    assert sent.items() <= answered.facts.items()
    assert throttled.has_failed
    assert throttled.facts["error.type"] == "Bedrock.ThrottlingException"
    assert not answered.has_failed
    assert answered.facts["gen_ai.usage.output_tokens"] == seen.job["usage"]["output_tokens"]
    assert answered.facts["gen_ai.usage.input_tokens"] == seen.job["usage"]["input_tokens"]
    assert answered.facts["gen_ai.response.finish_reasons"] == (seen.job["stop_reason"],)
    assert "first_token" in answered.events
    assert "first_token" not in throttled.events


def test_the_wait_between_attempts_shows(seen: Seen) -> None:
    first, second = seen.collector.named("process longhaul.run", longhaul__job_id=seen.job["id"])[
        :2
    ]

    assert first.events["job.retrying"] == {
        "error.type": "model_throttled",
        "longhaul.delay_seconds": 1.0,
    }
    assert (first.facts["longhaul.attempt"], second.facts["longhaul.attempt"]) == (1, 2)
    assert first.facts["longhaul.outcome"] == "retrying"
    assert second.facts["longhaul.outcome"] == "completed"
    assert second.began - first.ended >= 0.9e9


def test_the_receivers_traceparent_is_the_trys_span_and_a_later_try_links(seen: Seen) -> None:
    first, second = seen.collector.named("tell webhook")
    announced = only(seen.collector.named("send longhaul.announce"))

    assert seen.traceparents == [
        f"00-{first.trace}-{first.id}-01",
        f"00-{second.trace}-{second.id}-01",
    ]
    assert first.trace == TRACE
    assert (first.has_failed, first.facts["http.response.status_code"]) == (True, 500)
    assert second.trace != TRACE
    assert second.parent == ""
    assert second.links == [(TRACE, announced.id)]
    assert (second.has_failed, second.facts["longhaul.delivery.try"]) == (False, 2)


def test_a_task_that_comes_twice_links_to_the_job_and_is_not_in_its_trace(seen: Seen) -> None:
    again = only(seen.collector.named("process longhaul.run", longhaul__claim="refused"))

    assert again.trace != TRACE
    assert again.parent == ""
    assert again.links == [(TRACE, CALLER)]
    assert again.facts["longhaul.job_status"] == "COMPLETED"


def test_a_redrive_is_a_root_in_the_jobs_trace_that_links_to_both_requests(seen: Seen) -> None:
    spans = seen.of_job(seen.failed)
    submitted = only([span for span in spans if span.name == "POST /v1/jobs"])
    asked = only(seen.collector.named("POST /v1/jobs/<job_id>/redrive"))
    redriven = only([span for span in spans if span.name == "job.redrive"])
    sent = [span for span in spans if span.name == "send longhaul.run"]

    assert asked.trace == OTHER[2:].replace("-", "")
    assert redriven.parent == ""
    assert redriven.links == [(submitted.trace, submitted.id), (asked.trace, asked.id)]
    assert sorted(span.parent for span in sent) == sorted([submitted.id, redriven.id])
    failed_runs = [span for span in spans if span.name == "process longhaul.run"]
    assert all(span.has_failed for span in failed_runs)
    assert failed_runs[0].facts["error.type"] == "model_rejected_request"


@pytest.mark.parametrize("how", ["cancelled", "expired", "handed_over"])
def test_a_call_that_is_broken_off_is_no_error_and_says_why(seen: Seen, how: str) -> None:
    spans = seen.of_job(seen.broken_off[how])
    call = only([span for span in spans if span.name == f"chat {MODEL}"])
    run = only([span for span in spans if span.name == "process longhaul.run"])

    assert [span.name for span in spans if span.has_failed] == []
    assert [span.name for span in spans if "error.type" in span.facts] == []
    assert call.facts["longhaul.outcome"] == how
    assert run.facts["longhaul.outcome"] == ("retrying" if how == "handed_over" else how)


def test_every_span_of_a_job_names_it_and_its_attempt_where_there_is_one(seen: Seen) -> None:
    spans = seen.collector.spans
    of_attempts = ("process longhaul.run", "chat ", "job.settle", "job.store")

    assert [span.name for span in spans if "longhaul.job_id" not in span.facts] == []
    assert [
        span.name
        for span in spans
        if span.name.startswith(of_attempts)
        and "longhaul.attempt" not in span.facts
        and span.facts.get("longhaul.claim") != "refused"
    ] == []


def test_amazons_header_is_a_root_with_its_id_and_its_decision(seen: Seen) -> None:
    request = only([span for span in seen.of_job(seen.amazon) if span.name == "POST /v1/jobs"])

    assert seen.amazon["trace_id"] == OTHER
    assert request.parent == ""
    assert len(seen.of_job(seen.amazon)) >= 6


def test_what_the_caller_does_not_sample_is_not_exported(seen: Seen) -> None:
    assert not [span for span in seen.collector.spans if span.trace == "a" * 32]


def test_nothing_secret_leaves(seen: Seen) -> None:
    everything = b"".join(seen.collector.raw)

    for word in (SECRET_WORDS, "X-Amz-Signature", SECRET, "of-the-collector", "/hook"):
        assert word.encode() not in everything
    assert seen.collector.headers[0]["api-key"] == "of-the-collector"


def test_what_waits_to_be_sent_is_sent_when_a_process_ends(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with collecting() as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
        }
        with (
            LocalStack(tmp_path_factory.mktemp("ends")) as stack,
            System(stack, settings=settings) as system,
        ):
            wait_for(system, submit(system, "Hi", {}), "COMPLETED")
            before = list(collector.spans)

    assert before == []
    services = {span.service for span in collector.spans}
    assert services == {"longhaul-web", "longhaul-feed", "longhaul-worker"}


def test_a_collector_that_is_away_costs_one_line_and_no_job(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = f"127.0.0.1:{free_base(1)}"
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://me:{SECRET}@{place}",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    with (
        LocalStack(tmp_path_factory.mktemp("untold")) as stack,
        System(stack, settings=settings) as system,
    ):
        for _ in range(3):
            wait_for(system, submit(system, "Hi", {}), "COMPLETED")
        wait_until(lambda: system.log_lines(event="part_away"), "the outage is told")
        last = submit(system, "Hi", {})
        wait_for(system, last, "COMPLETED")
    told = system.log_lines(event="part_away")

    assert len(told) <= 3  # one a process
    assert {line["part"] for line in told} == {"traces: what the collector misses is lost"}
    assert {line["reason"] for line in told} == {
        f"traces: http://{place}/v1/traces cannot be reached: connection refused"
    }
    assert system.program is not None
    assert SECRET not in system.program.output
    assert "opentelemetry" not in system.program.output
