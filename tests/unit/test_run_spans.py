"""The spans of one run, on the ports in memory."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory import ManualClock, MemoryJobStore, MemoryTaskQueue
from adapters.told_trace import split_trace, with_trace
from adapters.traced import TracedModel, TracedTaskQueue
from jobs.errors import ModelError
from jobs.events import EventType, message_of, queued_event
from jobs.job import InferenceConfig, Inline, Job
from jobs.prompt import Prompt
from jobs.redrive import redrive_job
from jobs.run import run_job
from jobs.task import Task
from jobs.trace import Trace, TraceId
from tests.builders import (
    JOB_ID,
    NOW,
    Answer,
    ScriptedModel,
    a_job,
    redrive_parts,
    run_parts,
)
from tests.spans import Recorder
from web.json_text import write_json

TRACE = Trace(
    id=TraceId("1-6922915b-0123456789abcdef01234567"), parent="53995c3f42cd8ad8", sampled=True
)
THROTTLED = ModelError(
    "too many", name="Bedrock.ThrottlingException", error_code="model_throttled", retryable=True
)


def run(seen: Recorder, job: Job, *script: Answer | Exception, trace: Trace = TRACE) -> Job:
    store = MemoryJobStore()
    store.add(job)
    model = TracedModel(
        model=ScriptedModel(*script),
        tracer=seen.tracer,
        clock=ManualClock(),
        endpoint="https://bedrock-runtime.eu-central-1.amazonaws.com",
        default_max_tokens=4096,
    )
    task = replace(Task.of(job, now=NOW, by="feed@test:1"), trace=trace)
    ended = run_job(task, run_parts(store=store, model=model, tracer=seen.tracer))
    assert isinstance(ended, Job)
    return ended


def test_a_call_and_what_follows_are_under_the_run() -> None:
    seen = Recorder()

    run(seen, a_job(trace=TRACE), Answer(pieces=("Hello " * 400,)))

    tree = {span.name: seen.parent_of(span) for span in seen.spans}
    assert tree == {
        "process longhaul.run": None,
        "chat amazon.nova-lite-v1:0": "process longhaul.run",
        "job.store": "process longhaul.run",
        "job.settle": "process longhaul.run",
    }


def test_a_native_call_is_an_invoke_and_nobody_looks_into_its_body() -> None:
    seen = Recorder()
    prompt = Inline(text=Prompt(body='{"max_tokens": 5}').to_json())

    run(seen, a_job(trace=TRACE, prompt=prompt), Answer(raw="{}"))

    [call] = seen.named_like("invoke amazon.nova-lite-v1:0")
    facts = dict(call.attributes or {})
    assert facts["gen_ai.operation.name"] == "invoke"
    assert "gen_ai.request.max_tokens" not in facts
    assert facts["server.address"] == "bedrock-runtime.eu-central-1.amazonaws.com"
    assert facts["server.port"] == 443


def test_what_is_asked_for_is_told_but_for_the_callers_own_words() -> None:
    seen = Recorder()
    inference = InferenceConfig(
        max_tokens=9, temperature=0.25, top_p=0.5, stop_sequences=("my words",)
    )

    run(seen, a_job(trace=TRACE, inference=inference), Answer(pieces=("An answer",)))

    [call] = seen.named_like("chat")
    facts = dict(call.attributes or {})
    asked = ("max_tokens", "temperature", "top_p")
    assert [facts[f"gen_ai.request.{name}"] for name in asked] == [9, 0.25, 0.5]
    everything = "".join(span.to_json() for span in seen.spans)
    for words in ("my words", "Say hello", "An answer"):
        assert words not in everything


def test_a_throttle_fails_its_call_and_not_its_run() -> None:
    seen = Recorder()

    run(seen, a_job(trace=TRACE), THROTTLED)

    [call], [whole] = seen.named_like("chat"), seen.named_like("process")
    assert not call.status.is_ok
    assert (call.attributes or {})["error.type"] == "Bedrock.ThrottlingException"
    assert whole.status.is_ok
    assert [event.name for event in whole.events] == ["job.claimed", "job.retrying"]


def test_a_task_of_another_trace_does_not_lead_its_job_astray() -> None:
    seen = Recorder()
    forged = Trace(id=TraceId("1-00000001-000000000000000000000001"), parent="1" * 16)

    ended = run(seen, a_job(trace=TRACE), Answer(), trace=forged)

    assert {span.context.trace_id for span in seen.spans if span.context} == {
        int(TRACE.id[2:].replace("-", ""), 16)
    }
    assert ended.trace.id == TRACE.id


def test_what_a_run_writes_leaves_the_rows_trace_as_it_was() -> None:
    seen = Recorder()
    under_the_feed = replace(TRACE, parent="a" * 16)

    store_job = run(seen, a_job(trace=TRACE), Answer(), trace=under_the_feed)

    assert store_job.trace == TRACE


def test_each_task_goes_on_under_a_span_of_its_own() -> None:
    seen, queue = Recorder(), MemoryTaskQueue()
    task = Task.of(a_job(trace=TRACE), now=NOW, by="feed@test:1")

    TracedTaskQueue(queue=queue, tracer=seen.tracer).enqueue([task, task])

    spans = [f"{span.context.span_id:016x}" for span in seen.spans if span.context]
    assert sorted(one.trace.parent or "" for one in queue.tasks) == sorted(spans)
    assert all(f"{span.parent.span_id:016x}" == TRACE.parent for span in seen.spans if span.parent)


def test_a_redriven_round_is_a_root_that_its_row_names() -> None:
    seen, store = Recorder(), MemoryJobStore()
    store.add(a_job(trace=TRACE))
    failed = run_to_failure(store)
    asked = replace(TRACE, id=TraceId("1-6922915b-fedcba987654321001234567"))

    again = redrive_job(failed, redrive_parts(store, tracer=seen.tracer), asked=asked)

    [root] = seen.spans
    assert root.context is not None
    assert root.parent is None
    assert len(root.links) == 2
    assert again.trace == replace(TRACE, parent=f"{root.context.span_id:016x}")
    assert store.get(again.id).trace == again.trace


def test_a_redrive_that_nobody_traces_leaves_the_trace_as_it_is() -> None:
    store = MemoryJobStore()
    store.add(a_job(trace=TRACE))

    again = redrive_job(run_to_failure(store), redrive_parts(store))

    assert again.trace == TRACE


def run_to_failure(store: MemoryJobStore) -> Job:
    refused = ModelError("no", name="Bedrock.ValidationException", error_code="x", retryable=False)
    task = Task.of(store.get(JOB_ID), now=NOW, by="feed@test:1")
    failed = run_job(task, run_parts(store=store, model=ScriptedModel(refused)))
    assert isinstance(failed, Job)
    return failed


@given(st.text())
def test_an_ends_trace_goes_along_and_comes_off_whatever_the_message_says(text: str) -> None:
    event = replace(queued_event(a_job(trace=TRACE)), type=EventType.COMPLETED, text=text)
    message = write_json(message_of(event))

    assert split_trace(with_trace(event, message)) == (message, TRACE)
    assert split_trace(message) == (message, None)


@pytest.mark.parametrize(
    "event",
    [
        queued_event(a_job(trace=TRACE)),
        replace(queued_event(a_job(trace=replace(TRACE, sampled=False))), type=EventType.COMPLETED),
    ],
    ids=["not an end", "not sampled"],
)
def test_nothing_goes_along_that_nobody_traces(event: object) -> None:
    assert with_trace(event, "{}") == "{}"  # type: ignore[arg-type] # events, of pytest's list
