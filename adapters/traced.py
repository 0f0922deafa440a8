"""Ports with a span around what they do; put around the real ones only where spans are exported."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobs.delivery import is_success
from jobs.tracing import SpanKind, messaging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta

    from jobs.delivery import Answered, Delivery
    from jobs.delivery_ports import Announcer
    from jobs.model_ports import Answering, Invocation, Model
    from jobs.ports import Clock, TaskQueue
    from jobs.task import Task
    from jobs.tracing import Facts, Span, Tracer


@dataclass(frozen=True, kw_only=True)
class TracedModel:
    """jobs.model_ports.Model with the GenAI conventions: one CLIENT span an attempt.

    https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
    `endpoint` is Bedrock's URL, and `default_max_tokens` what Converse is sent where a job says
    nothing.
    """

    model: Model
    tracer: Tracer
    clock: Clock
    endpoint: str
    default_max_tokens: int

    @contextmanager
    def invoke(self, invocation: Invocation) -> Iterator[Answering]:
        """Call the model once, and tell how that went, whatever it raises."""
        operation = "chat" if invocation.prompt.body is None else "invoke"
        began = self.clock.elapsed()
        with self.tracer.begin(
            f"{operation} {invocation.model}",
            SpanKind.CLIENT,
            invocation.trace,
            facts=self._facts(invocation, operation),
        ) as span:
            with self.model.invoke(invocation) as answering:
                yield TracedAnswering(answering=answering, span=span, clock=self.clock, began=began)
            span.tell(_answered(answering))

    def _facts(self, invocation: Invocation, operation: str) -> Facts:
        url, inference = urlsplit(self.endpoint), invocation.inference
        facts: dict[str, str | int | float | bool] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "aws.bedrock",
            "gen_ai.request.model": invocation.model,
            "gen_ai.request.stream": True,
            "server.address": url.hostname or "",
            "server.port": url.port or (80 if url.scheme == "http" else 443),
            "longhaul.job_id": invocation.job,
            "longhaul.attempt": invocation.attempt,
        }
        if operation == "invoke":
            return facts  # a native body is passed on as it came, and nobody looks into it
        facts["gen_ai.request.max_tokens"] = inference.max_tokens or self.default_max_tokens
        if inference.temperature is not None:
            facts["gen_ai.request.temperature"] = inference.temperature
        if inference.top_p is not None:
            facts["gen_ai.request.top_p"] = inference.top_p
        return facts


@dataclass(kw_only=True)
class TracedAnswering:
    """jobs.model_ports.Answering that notes its first text."""

    answering: Answering
    span: Span
    clock: Clock
    began: timedelta
    has_begun: bool = field(default=False, init=False)

    def read(self, take: Callable[[str], object]) -> None:
        """Hand over the text piece by piece."""

        def note_and_take(text: str) -> None:
            if not self.has_begun:
                self.has_begun = True
                after = (self.clock.elapsed() - self.began).total_seconds()
                self.span.note("first_token")
                self.span.tell({"gen_ai.response.time_to_first_chunk": round(after, 6)})
            take(text)

        self.answering.read(note_and_take)

    def close(self) -> None:
        """Break the call off."""
        self.answering.close()

    @property
    def usage(self) -> tuple[int, int] | None:
        """Input and output tokens."""
        return self.answering.usage

    @property
    def stop_reason(self) -> str | None:
        """Why the text ended."""
        return self.answering.stop_reason

    @property
    def raw(self) -> str | None:
        """The answer's own JSON."""
        return self.answering.raw


def _answered(answering: Answering) -> Facts:
    facts: dict[str, int | Sequence[str]] = {}
    if answering.usage is not None:
        facts["gen_ai.usage.input_tokens"], facts["gen_ai.usage.output_tokens"] = answering.usage
    if answering.stop_reason is not None:
        facts["gen_ai.response.finish_reasons"] = (answering.stop_reason,)
    return facts


@dataclass(frozen=True, kw_only=True)
class TracedTaskQueue:
    """jobs.ports.TaskQueue that makes each task go on under a PRODUCER span of its own."""

    queue: TaskQueue
    tracer: Tracer
    facts: Facts = field(default_factory=dict)

    def enqueue(self, tasks: Sequence[Task]) -> None:
        """Hand tasks to the broker."""
        with ExitStack() as spans:
            self.queue.enqueue([self._under_span(task, spans) for task in tasks])

    def _under_span(self, task: Task, spans: ExitStack) -> Task:
        span = self.tracer.begin(
            "send longhaul.run",
            SpanKind.PRODUCER,
            task.trace,
            facts={**messaging("send", "longhaul.run", task.job_id), **self.facts},
            at=task.seen_at,
        )
        return replace(task, trace=spans.enter_context(span).trace)


@dataclass(frozen=True, kw_only=True)
class TracedAnnouncer:
    """jobs.delivery_ports.Announcer: the first try is part of the job's trace.

    Each later one, which may be days later, is a trace of its own that links to it. What the
    receiver is sent is the try's own.
    """

    announcer: Announcer
    tracer: Tracer

    def tell(self, delivery: Delivery, body: str) -> Answered:
        """Tell once."""
        begin = self.tracer.begin if delivery.tries <= 1 else self.tracer.begin_apart
        facts: dict[str, str | int] = {
            "longhaul.job_id": delivery.event.job,
            "longhaul.delivery.kind": delivery.kind,
            "longhaul.delivery.try": delivery.tries,
        }
        if (host := _host_of(delivery)) is not None:
            facts |= {"server.address": host, "http.request.method": "POST"}
        with begin(
            f"tell {delivery.kind}", SpanKind.CLIENT, delivery.event.trace, facts=facts
        ) as span:
            event = replace(delivery.event, trace=span.trace)
            answered = self.announcer.tell(replace(delivery, event=event), body)
            _tell_answer(span, answered)
        return answered


def _host_of(delivery: Delivery) -> str | None:
    """Give a webhook's host: its path and query may hold its receiver's secrets."""
    address = delivery.receiver.address or ""
    return urlsplit(address).hostname if address.startswith(("http://", "https://")) else None


def _tell_answer(span: Span, answered: Answered) -> None:
    if answered.status is not None:
        span.tell({"http.response.status_code": answered.status})
    if answered.error is not None:
        span.fail(answered.error)
    elif answered.status is not None and not is_success(answered.status):
        span.fail(str(answered.status))
