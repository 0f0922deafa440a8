from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dynamodb_row import from_item, state_attributes, to_item
from jobs.document import Document, MediaType, UploadId
from jobs.due import due_shard
from jobs.errors import RecordUnreadable
from jobs.job import (
    InferenceConfig,
    Inline,
    Job,
    JobError,
    JobStatus,
    ModelId,
    ObjectKey,
    OnInterrupted,
    Payload,
    Result,
    Stored,
    Usage,
    UserId,
    new_job_id,
)
from jobs.receiver import DeliveryKind, Receiver
from jobs.timeline import Step, StepName
from jobs.times import written_time
from jobs.trace import Trace, TraceId
from tests.builders import JOB_ID, LEASE, NOW, a_job

HEX = "0123456789abcdef"
TIMES = st.integers(0, 10**13).map(
    lambda ms: datetime(2001, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
COUNTS = st.integers(0, 10**9)
PAYLOADS = st.builds(Inline, text=st.text()) | st.builds(
    Stored, key=st.text(min_size=1).map(ObjectKey), size=COUNTS
)
STEPS = st.builds(
    Step,
    name=st.sampled_from(StepName),
    at=TIMES,
    by=st.text(),
    attempt=st.none() | COUNTS,
    error=st.none() | st.text(),
    detail=st.none() | st.text(),
    until=st.none() | TIMES,
    settled_at=st.none() | TIMES,
)
TRACES = st.builds(
    lambda epoch, unique, parent, sampled: Trace(
        id=TraceId(f"1-{epoch}-{unique}"), parent=parent, sampled=sampled
    ),
    st.text(HEX, min_size=8, max_size=8),
    st.text(HEX, min_size=24, max_size=24),
    st.none() | st.text(HEX, min_size=16, max_size=16),
    st.none() | st.booleans(),
)
UNIT = st.floats(0, 1)
SPANS = st.none() | st.integers(1, 10**9).map(lambda ms: timedelta(milliseconds=ms))
ERRORS = st.builds(JobError, code=st.text(), message=st.text(), retryable=st.booleans())
RESULTS = st.builds(
    Result,
    payload=PAYLOADS,
    usage=st.none() | st.builds(Usage, input_tokens=COUNTS, output_tokens=COUNTS),
    stop_reason=st.none() | st.text(min_size=1),
)
RECEIVERS = st.builds(
    Receiver, kind=st.sampled_from(DeliveryKind), address=st.none() | st.text(min_size=1)
)
DOCUMENTS = st.builds(
    Document,
    upload=st.text().map(UploadId),
    name=st.text(),
    media_type=st.sampled_from(MediaType),
    size=COUNTS,
    key=st.text().map(ObjectKey),
)
# Rows of every kind but running ones, whose number is derived.
JOBS = st.builds(
    Job,
    id=st.builds(new_job_id, TIMES, st.binary(min_size=10, max_size=10)),
    user=st.text(min_size=1).map(UserId),
    status=st.sampled_from([status for status in JobStatus if status is not JobStatus.RUNNING]),
    model=st.text(min_size=1).map(ModelId),
    prompt=PAYLOADS,
    created_at=TIMES,
    updated_at=TIMES,
    trace=TRACES,
    max_attempts=COUNTS,
    documents=st.lists(DOCUMENTS, max_size=5).map(tuple),
    inference=st.builds(
        InferenceConfig,
        max_tokens=st.none() | COUNTS,
        temperature=st.none() | UNIT,
        top_p=st.none() | UNIT,
        stop_sequences=st.lists(st.text(), max_size=3).map(tuple),
    ),
    metadata=st.dictionaries(st.text(), st.text(), max_size=3),
    attempt=COUNTS,
    epoch=COUNTS,
    seq=st.integers(0, 2**53),
    on_interrupted=st.sampled_from(OnInterrupted),
    start_timeout=SPANS,
    run_timeout=SPANS,
    retention=SPANS,
    webhook=st.none() | st.text(min_size=1),
    also_tell=st.lists(RECEIVERS, max_size=3).map(tuple),
    queued_at=st.none() | TIMES,
    due_at=st.none() | TIMES,
    sweeps=COUNTS,
    retry_counts=st.lists(COUNTS, max_size=3).map(tuple),
    not_before=st.none() | TIMES,
    lease_until=st.none() | TIMES,
    started_at=st.none() | TIMES,
    ended_at=st.none() | TIMES,
    error=st.none() | ERRORS,
    result=st.none() | RESULTS,
    timeline=st.lists(STEPS, max_size=3).map(tuple),
)


VALUES = st.recursive(
    st.builds(lambda text: {"S": text}, st.text(max_size=5))
    | st.builds(lambda number: {"N": str(number)}, st.integers() | st.floats())
    | st.builds(lambda flag: {"BOOL": flag}, st.booleans())
    | st.just({"NULL": True}),
    lambda inner: (
        st.builds(lambda items: {"L": items}, st.lists(inner, max_size=2))
        | st.builds(
            lambda fields: {"M": fields}, st.dictionaries(st.text(max_size=3), inner, max_size=2)
        )
    ),
    max_leaves=4,
)


def an_item(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - DynamoDB's own shapes
    return {name: value for name, value in (to_item(a_job()) | changes).items() if value}


@settings(deadline=None)
@given(job=JOBS)
def test_a_job_survives_its_row(job: Job) -> None:
    assert from_item(to_item(job)) == job


@settings(deadline=None)
@given(before=JOBS, after=JOBS)
def test_a_rows_state_can_be_turned_into_any_other(before: Job, after: Job) -> None:
    """What a transition writes leaves nothing of the state that was there before."""
    state = state_attributes(after)
    row = to_item(before) | {name: value for name, value in state.items() if value is not None}
    row = {name: value for name, value in row.items() if state.get(name, value) is not None}

    kept = ("id", "user", "model", "prompt", "created_at", "trace", "inference", "metadata")
    rest = ("documents", "timeline", "on_interrupted")
    same = {name: getattr(before, name) for name in (*kept, *rest)}
    times = {name: getattr(before, name) for name in ("start_timeout", "run_timeout", "retention")}
    told = {name: getattr(before, name) for name in ("webhook", "also_tell")}
    expected = replace(after, **same, **times, **told)
    assert from_item(row) == expected


@settings(deadline=None)
@given(job=JOBS)
def test_only_a_job_that_has_not_ended_stands_in_the_sparse_index(job: Job) -> None:
    item = to_item(job)

    assert ("DueShard" in item, "DueAt" in item) == (job.due_at is not None,) * 2


def test_a_row_says_what_its_caller_said_of_time_and_interruption() -> None:
    item = to_item(
        a_job(
            start_timeout=timedelta(seconds=5),
            run_timeout=timedelta(seconds=1.5),
            retention=timedelta(days=1),
            on_interrupted=OnInterrupted.FAIL,
        )
    )

    assert item["OnInterrupted"] == {"S": "fail"}
    assert item["StartTimeoutS"] == {"N": "5.0"}
    assert item["RunTimeoutS"] == {"N": "1.5"}
    assert item["RetentionS"] == {"N": "86400.0"}
    assert not {"StartTimeoutS", "RunTimeoutS", "RetentionS"} & set(to_item(a_job()))


def test_a_row_has_the_patterns_own_names() -> None:
    item = to_item(a_job())

    assert item["JobId"] == {"S": JOB_ID}
    assert item["JobStatus"] == {"S": "PENDING"}
    assert item["UserId"] == {"S": "ada"}
    assert item["PromptContext"] == {"S": '{"prompt":"Say hello"}'}
    assert item["TraceId"] == {"S": a_job().trace.id}
    assert item["CreatedAt"] == {"S": "2026-11-23T04:38:00.000Z"}
    assert item["DueShard"] == {"S": due_shard(JOB_ID)}
    assert item["DueAt"] == {"S": "2026-11-23T04:38:30.000Z"}
    assert "NotBefore" not in item
    assert "InferenceConfig" not in item


def test_no_attribute_of_a_row_is_empty() -> None:
    for job in (a_job(), a_job(not_before=NOW, prompt=Stored(key=ObjectKey("k"), size=1))):
        assert all(value for value in to_item(job).values())


def a_completed_job(result: Result) -> Job:
    return a_job(
        status=JobStatus.COMPLETED,
        retry_counts=(2, 0),
        started_at=NOW,
        ended_at=NOW + LEASE,
        error=JobError(code="c", message="m", retryable=False),
        result=result,
    )


def test_a_result_in_the_row_has_the_patterns_own_names() -> None:
    item = to_item(
        a_completed_job(
            Result(
                payload=Inline(text="Hello"),
                usage=Usage(input_tokens=7, output_tokens=3),
                stop_reason="end_turn",
            )
        )
    )

    assert item["JobStatus"] == {"S": "COMPLETED"}
    assert item["RetryCounts"] == {"L": [{"N": "2"}, {"N": "0"}]}
    assert item["StartedAt"] == {"S": "2026-11-23T04:38:00.000Z"}
    assert item["EndedAt"] == {"S": "2026-11-23T04:39:00.000Z"}
    assert item["ResultData"] == {"S": "Hello"}
    assert item["StopReason"] == {"S": "end_turn"}
    assert item["Usage"] == {"M": {"InputTokens": {"N": "7"}, "OutputTokens": {"N": "3"}}}
    assert item["Error"] == {
        "M": {"Code": {"S": "c"}, "Message": {"S": "m"}, "Retryable": {"BOOL": False}}
    }
    assert not {"DueAt", "DueShard", "LeaseUntil", "ResultKey", "ResultBytes"} & set(item)


def test_a_stored_result_without_usage_stands_there_by_its_key() -> None:
    stored = Stored(key=ObjectKey("results/a"), size=70_000)
    job = a_completed_job(Result(payload=stored, usage=None, stop_reason=None))

    item = to_item(job)

    assert (item["ResultKey"], item["ResultBytes"]) == ({"S": "results/a"}, {"N": "70000"})
    assert not {"ResultData", "Usage", "StopReason"} & set(item)
    assert from_item(item) == job


@pytest.mark.parametrize("raw", [Inline(text="{}"), Stored(key=ObjectKey("results/b"), size=7)])
def test_a_native_answers_json_stands_beside_its_text(raw: Payload) -> None:
    result = Result(payload=Inline(text="Hello"), usage=None, stop_reason=None, raw=raw)

    item = to_item(a_completed_job(result))

    assert item["ResultData"] == {"S": "Hello"}
    assert {name for name in item if name.startswith("Raw")} in (
        {"RawData"},
        {"RawKey", "RawBytes"},
    )
    assert from_item(item) == a_completed_job(result)


def test_a_running_rows_number_is_its_epochs_first() -> None:
    lease = {"S": written_time(NOW)}
    item = an_item(JobStatus={"S": "RUNNING"}, Epoch={"N": "3"}, Seq={"N": "1"}, LeaseUntil=lease)

    assert from_item(item).seq == 3_000_001


def test_a_divided_rows_number_is_the_one_that_its_parts_raise() -> None:
    item = an_item(JobStatus={"S": "RUNNING"}, Epoch={"N": "3"}, Seq={"N": "3000004"})

    assert from_item(item).seq == 3_000_004


def test_a_row_without_a_trace_header_keeps_its_trace_id() -> None:
    assert from_item(an_item(TraceHeader=None)).trace == a_job().trace
    assert from_item(an_item(TraceHeader={"S": "nonsense"})).trace == a_job().trace


def test_attributes_that_nobody_knows_do_no_harm() -> None:
    assert from_item(an_item(SomethingNew={"NULL": True})) == a_job()


@pytest.mark.parametrize(
    "name",
    [
        "JobId",
        "UserId",
        "JobStatus",
        "Model",
        "PromptContext",
        "CreatedAt",
        "TraceId",
        "MaxAttempts",
        "Metadata",
        "Attempt",
        "Epoch",
        "Seq",
        "OnInterrupted",
        "RetryCounts",
        "Timeline",
    ],
)
def test_a_row_without_an_attribute_is_unreadable_and_the_attribute_named(name: str) -> None:
    changes = {name: None} if name != "TraceId" else {"TraceId": None, "TraceHeader": None}

    with pytest.raises(RecordUnreadable, match="PromptKey" if name == "PromptContext" else name):
        from_item(an_item(**changes))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JobStatus", {"S": "pending"}),
        ("JobStatus", {"N": "1"}),
        ("CreatedAt", {"S": "yesterday"}),
        ("Epoch", {"N": "1.5"}),
        ("Attempt", {"S": "1"}),
        ("Metadata", {"S": "{}"}),
        ("Metadata", {"M": {"a": {"N": "1"}}}),
        ("Timeline", {"L": [{"S": "accepted"}]}),
        ("Timeline", {"L": [{"M": {"Name": {"S": "dreamt"}}}]}),
        ("Error", {"M": {}}),
        ("NotBefore", {"NULL": True}),
        ("DueAt", {"S": "soon"}),
        ("Sweeps", {"N": "1.5"}),
        ("OnInterrupted", {"S": "pray"}),
        ("RunTimeoutS", {"S": "5"}),
        ("TraceHeader", {"N": "1"}),
        ("InferenceConfig", {"M": {"MaxTokens": {"N": "many"}}}),
    ],
)
def test_a_row_with_a_wrong_attribute_is_unreadable(name: str, value: object) -> None:
    with pytest.raises(RecordUnreadable):
        from_item(an_item(**{name: value}))


@settings(deadline=None)
@given(
    name=st.sampled_from(sorted(to_item(a_job(not_before=NOW)))),
    value=VALUES,
)
def test_a_row_that_others_wrote_is_read_or_unreadable(name: str, value: Any) -> None:  # noqa: ANN401 - DynamoDB's own shapes
    with suppress(RecordUnreadable):
        from_item(to_item(a_job(not_before=NOW)) | {name: value})
