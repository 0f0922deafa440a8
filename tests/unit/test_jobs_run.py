from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import pytest

from adapters.memory import ManualClock, MemoryEvents, MemoryJobStore, MemoryObjectStore
from jobs.claim import Claim, ClaimRefused, ClaimTerms
from jobs.errors import (
    ClaimLost,
    DeadlinePassed,
    HandedOver,
    Misconfigured,
    ModelError,
    NoResult,
    Unavailable,
)
from jobs.events import Event, EventType
from jobs.job import (
    InferenceConfig,
    Inline,
    Job,
    JobError,
    JobId,
    JobStatus,
    ObjectKey,
    OnInterrupted,
    Result,
    Stored,
    Usage,
)
from jobs.prompt import Prompt
from jobs.redrive import redrive_job
from jobs.retry import Retrier, RetryPolicy
from jobs.run import run_job
from jobs.running import RunParts
from jobs.timeline import Step, StepName
from tests.builders import (
    JOB_ID,
    LEASE,
    NOW,
    Answer,
    RecordingLog,
    ScriptedLeases,
    ScriptedModel,
    ShakyJobStore,
    ShakyObjectStore,
    a_job,
    a_task,
    claim_terms,
    lost,
    redrive_parts,
    rejected,
    run_parts,
    store_away,
    stream_broke,
    throttled,
)

QUEUED_AND_CLAIMED = [StepName.SEEN, StepName.ENQUEUED, StepName.CLAIMED]


class WitnessEvents(MemoryEvents):
    """Notes what the row said at the moment of each event."""

    def __init__(self, store: MemoryJobStore) -> None:
        super().__init__()
        self.rows: list[Job] = []
        self._store = store

    def publish(self, event: Event) -> None:
        self.rows.append(self._store.get(event.job))
        super().publish(event)


def time_over() -> DeadlinePassed:
    return DeadlinePassed("the job did not finish in its time")


def drained() -> HandedOver:
    return HandedOver("the job is handed over")


def told(parts: RunParts) -> list[Event]:
    return cast("MemoryEvents", parts.events).told


def words_told(parts: RunParts) -> list[str]:
    return [event.type for event in told(parts)]


def model_of(parts: RunParts) -> ScriptedModel:
    return cast("ScriptedModel", parts.model)


def log_of(parts: RunParts) -> RecordingLog:
    return cast("RecordingLog", parts.log)


def run(parts: RunParts, job: Job | None = None) -> Job:
    """Add a job and run it once."""
    job = job or a_job()
    parts.store.add(job)
    return run_again(parts, job)


def run_again(parts: RunParts, job: Job) -> Job:
    ended = run_job(a_task(job), parts)
    assert isinstance(ended, Job)
    return ended


def run_until_settled(parts: RunParts, job: Job | None = None) -> Job:
    """Run a job as the feed and the desk would: each attempt once its wait is over."""
    job = run(parts, job)
    while job.not_before is not None:
        parts.clock.sleep(job.not_before - parts.clock.now())
        job = run_again(parts, job)
    return job


def take_over(parts: RunParts) -> Callable[[int], None]:
    """Let another worker claim the job, once its lease has run out, before piece 1."""

    def before_piece(index: int) -> None:
        if index == 1:
            parts.clock.sleep(2 * LEASE)
            parts.store.claim(JOB_ID, claim_terms(at=parts.clock.now(), token="other"))

    return before_piece


def test_a_job_completes_with_the_models_whole_answer() -> None:
    parts = run_parts()

    job = run(parts)

    assert job.status is JobStatus.COMPLETED
    assert job.result == Result(
        payload=Inline(text="Hello, world"),
        usage=Usage(input_tokens=7, output_tokens=3),
        stop_reason="end_turn",
    )
    assert (job.attempt, job.epoch, job.lease_until, job.error) == (1, 1, None, None)
    assert job == parts.store.get(job.id)


def test_a_completed_job_tells_its_start_its_text_and_its_end() -> None:
    parts = run_parts()

    job = run(parts)

    assert words_told(parts) == ["job.started", "job.delta", "job.delta", "job.completed"]
    assert "".join(event.text or "" for event in told(parts)) == "Hello, world"
    assert [event.seq for event in told(parts)] == [1_000_001, 1_000_002, 1_000_003, 1_000_004]
    assert job.seq == 1_000_004


def test_an_answer_without_usage_completes_without_it() -> None:
    parts = run_parts(model=ScriptedModel(Answer(usage=None)))

    job = run(parts)

    assert job.result is not None
    assert job.result.usage is None


def test_an_answer_without_text_completes_with_none() -> None:
    parts = run_parts(model=ScriptedModel(Answer(pieces=())))

    job = run(parts)

    assert job.result is not None
    assert job.result.payload == Inline(text="")
    assert [step.name for step in job.timeline] == [
        *QUEUED_AND_CLAIMED,
        StepName.INVOKED,
        StepName.COMPLETED,
    ]


def test_the_model_is_asked_what_the_job_says() -> None:
    parts = run_parts()
    inference = InferenceConfig(max_tokens=5, stop_sequences=("END",))
    prompt = Prompt(messages=[{"role": "user", "content": [{"text": "hi"}]}], system="Be brief")

    job = run(parts, a_job(inference=inference, prompt=Inline(text=prompt.to_json())))

    (invocation,) = model_of(parts).invocations
    assert invocation.prompt == prompt
    assert invocation.inference == inference
    assert (invocation.job, invocation.attempt, invocation.model, invocation.trace) == (
        job.id,
        1,
        job.model,
        job.trace,
    )


def test_a_prompt_in_the_object_store_is_fetched_from_there() -> None:
    parts = run_parts()
    key = ObjectKey("prompts/big.json")
    prompt = Prompt(text="x" * 5000)
    parts.objects.put(key, prompt.to_json(), content_type="application/json")

    run(parts, a_job(prompt=Stored(key=key, size=5013)))

    assert model_of(parts).invocations[0].prompt == prompt


def test_an_object_store_that_is_away_for_a_while_delays_the_prompt_only() -> None:
    key = ObjectKey("prompts/big.json")
    objects = ShakyObjectStore(get=[Unavailable("objects", "away")] * 3)
    objects.put(key, Prompt(text="hi").to_json(), content_type="application/json")
    parts = run_parts(objects=objects)

    job = run(parts, a_job(prompt=Stored(key=key, size=15)))

    assert job.status is JobStatus.COMPLETED
    assert log_of(parts).count("prompt_waits") == 3


def test_a_prompt_that_is_gone_fails_the_job_before_the_model_is_called() -> None:
    parts = run_parts()

    job = run(parts, a_job(prompt=Stored(key=ObjectKey("prompts/gone.json"), size=1)))

    assert job.status is JobStatus.FAILED
    assert model_of(parts).invocations == []


@pytest.mark.parametrize("text", ["x" * 1024, "é" * 512])
def test_a_result_of_the_thresholds_size_stays_in_the_row(text: str) -> None:
    parts = run_parts(model=ScriptedModel(Answer(pieces=(text,))), inline_result_bytes=1024)

    job = run(parts)

    assert job.result is not None
    assert job.result.payload == Inline(text=text)
    assert StepName.STORED not in [step.name for step in job.timeline]


@pytest.mark.parametrize("text", ["x" * 1025, "é" * 512 + "x"])
def test_a_result_above_the_threshold_goes_to_the_object_store(text: str) -> None:
    parts = run_parts(model=ScriptedModel(Answer(pieces=(text,))), inline_result_bytes=1024)

    job = run(parts)

    assert job.result is not None
    assert job.result.payload == Stored(key=ObjectKey(f"results/{job.id}/1-1.txt"), size=1025)
    assert parts.objects.get(ObjectKey(f"results/{job.id}/1-1.txt")) == text
    assert [step.name for step in job.timeline][-2:] == [StepName.STORED, StepName.COMPLETED]


RAW = '{"completion":"Hello, world"}'


def test_a_native_answer_leaves_its_text_and_its_own_json() -> None:
    job = run(run_parts(model=ScriptedModel(Answer(raw=RAW))))

    assert job.result is not None
    assert (job.result.payload, job.result.raw) == (Inline(text="Hello, world"), Inline(text=RAW))


def test_text_and_json_have_the_room_of_one_result_in_the_row() -> None:
    room = len("Hello, world") + len(RAW)
    for left, is_inline in ((room, True), (room - 1, False)):
        parts = run_parts(model=ScriptedModel(Answer(raw=RAW)), inline_result_bytes=left)

        job = run(parts)

        key = ObjectKey(f"results/{job.id}/1-1.json")
        assert job.result is not None
        assert job.result.payload == Inline(text="Hello, world")
        expected = Inline(text=RAW) if is_inline else Stored(key=key, size=len(RAW))
        assert job.result.raw == expected
        assert is_inline or parts.objects.get(key) == RAW


def test_an_object_store_that_is_away_for_a_while_delays_the_result_only() -> None:
    parts = run_parts(
        objects=ShakyObjectStore(put=[Unavailable("objects", "away")] * 3), inline_result_bytes=0
    )

    job = run(parts)

    assert job.status is JobStatus.COMPLETED
    assert len(model_of(parts).invocations) == 1
    assert log_of(parts).count("result_waits") == 3


def test_an_empty_result_stays_in_the_row_even_at_a_threshold_of_nothing() -> None:
    objects = MemoryObjectStore()
    model = ScriptedModel(Answer(pieces=()))
    parts = run_parts(objects=objects, inline_result_bytes=0, model=model)

    run(parts)

    with pytest.raises(NoResult):
        objects.get(ObjectKey(f"results/{JOB_ID}/1-1.txt"))


def test_the_timeline_tells_each_step_of_an_attempt_and_who_took_it() -> None:
    parts = run_parts(inline_result_bytes=0)

    job = run(parts)

    assert [(step.name, step.by, step.attempt) for step in job.timeline] == [
        (StepName.SEEN, "feed@test:1", None),
        (StepName.ENQUEUED, "feed@test:1", None),
        (StepName.CLAIMED, "worker@test:1", None),
        (StepName.INVOKED, "worker@test:1", 1),
        (StepName.FIRST_TOKEN, "worker@test:1", 1),
        (StepName.STORED, "worker@test:1", 1),
        (StepName.COMPLETED, "worker@test:1", 1),
    ]


def test_a_throttled_job_is_released_for_a_retry() -> None:
    parts = run_parts(model=ScriptedModel(throttled("slow down")))

    job = run(parts)

    assert job.status is JobStatus.PENDING_RETRY
    assert job.not_before == NOW + timedelta(seconds=3)
    assert job.retry_counts == (1,)
    assert job.error == JobError(code="model_throttled", message="slow down", retryable=True)
    assert (job.attempt, job.lease_until, job.ended_at) == (1, None, None)
    assert (job.timeline[-1].name, job.timeline[-1].error, job.timeline[-1].detail) == (
        StepName.RETRYING,
        "model_throttled",
        "again in 3 s",
    )


def test_a_retry_is_told_with_its_delay_and_its_reason() -> None:
    parts = run_parts(model=ScriptedModel(throttled("slow down")))

    run(parts)

    last = told(parts)[-1]
    assert (last.type, last.attempt, last.delay) == (
        EventType.RETRYING,
        1,
        timedelta(seconds=3),
    )
    assert last.error == JobError(code="model_throttled", message="slow down", retryable=True)


def test_a_job_that_waits_is_refused_until_its_wait_is_over() -> None:
    parts = run_parts(model=ScriptedModel(throttled()))
    job = run(parts)

    refused = run_job(a_task(job), parts)

    assert refused == ClaimRefused(
        job_id=job.id, status=JobStatus.PENDING_RETRY, not_before=NOW + timedelta(seconds=3)
    )
    assert len(model_of(parts).invocations) == 1


def test_a_retried_job_completes_at_its_next_attempt() -> None:
    parts = run_parts(model=ScriptedModel(throttled(), throttled(), Answer()))

    job = run_until_settled(parts)

    assert job.status is JobStatus.COMPLETED
    assert (job.attempt, job.error, job.retry_counts) == (3, None, (2,))
    assert [call.attempt for call in model_of(parts).invocations] == [1, 2, 3]
    assert parts.clock.now() == NOW + timedelta(seconds=3 + 6)


def test_numbers_rise_strictly_across_attempts() -> None:
    broken = Answer(pieces=("Hel", "lo"), error=stream_broke())
    parts = run_parts(model=ScriptedModel(throttled(), broken, Answer()))

    job = run_until_settled(parts)

    numbers = [event.seq for event in told(parts)]
    assert all(before < after for before, after in pairwise(numbers))
    assert numbers[-1] == job.seq
    assert words_told(parts) == [
        *("job.started", "job.retrying"),
        *("job.started", "job.delta", "job.retrying"),
        *("job.started", "job.delta", "job.delta", "job.completed"),
    ]


def test_a_job_fails_after_five_calls_under_the_default_policy() -> None:
    parts = run_parts(model=ScriptedModel(*[throttled()] * 5))

    job = run_until_settled(parts)

    assert job.status is JobStatus.FAILED
    assert (job.attempt, len(model_of(parts).invocations)) == (5, 5)
    assert job.error == JobError(
        code="model_throttled", message="Too many requests", retryable=True
    )
    assert parts.clock.now() == NOW + timedelta(seconds=3 + 6 + 12 + 24)
    assert words_told(parts)[-1] == "job.failed"


def test_the_rows_own_limit_ends_retries_that_a_longer_policy_would_allow() -> None:
    parts = run_parts(model=ScriptedModel(*[throttled()] * 2))

    job = run_until_settled(parts, a_job(max_attempts=2))

    assert (job.status, job.attempt) == (JobStatus.FAILED, 2)


def test_jitter_comes_from_chance() -> None:
    policy = RetryPolicy.from_asl(
        [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 8, "JitterStrategy": "FULL"}]
    )
    parts = run_parts(model=ScriptedModel(throttled()), policy=policy)

    job = run(parts)

    assert job.not_before == NOW + timedelta(seconds=4)


def test_a_request_that_the_model_rejects_fails_once() -> None:
    parts = run_parts(model=ScriptedModel(rejected("no such field")))

    job = run(parts)

    assert job.status is JobStatus.FAILED
    assert job.error == JobError(
        code="model_rejected_request", message="no such field", retryable=False
    )
    assert len(model_of(parts).invocations) == 1
    assert words_told(parts) == ["job.started", "job.failed"]
    assert (job.timeline[-1].name, job.timeline[-1].error) == (
        StepName.FAILED,
        "model_rejected_request",
    )


def test_a_stream_that_breaks_after_text_is_retried_and_its_text_is_void() -> None:
    broken = Answer(pieces=("Once", " upon"), error=stream_broke())
    parts = run_parts(model=ScriptedModel(broken, Answer(pieces=("Twice",))))

    job = run_until_settled(parts)

    assert job.result is not None
    assert job.result.payload == Inline(text="Twice")
    assert job.attempt == 2


def test_every_call_is_closed_however_it_ends() -> None:
    broken = Answer(pieces=("Once",), error=stream_broke())
    parts = run_parts(model=ScriptedModel(broken, Answer()))

    run_until_settled(parts)

    assert [answering.closed for answering in model_of(parts).answerings] == [1, 1]


def test_a_call_that_may_have_been_paid_is_not_repeated_by_the_default_policy() -> None:
    error = ModelError(
        "the stream broke off",
        name="Longhaul.ConnectionLost",
        error_code="model_connection_lost",
        retryable=True,
        may_be_paid=True,
    )
    parts = run_parts(model=ScriptedModel(Answer(error=error)))

    job = run(parts)

    assert (job.status, job.error and job.error.code) == (
        JobStatus.FAILED,
        "model_connection_lost",
    )


def test_a_models_message_is_cut_at_2000_characters() -> None:
    parts = run_parts(model=ScriptedModel(rejected("x" * 2001)))

    job = run(parts)

    assert job.error is not None
    assert job.error.message == "x" * 2000


@pytest.mark.parametrize(
    "status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED]
)
def test_an_ended_job_is_refused(status: JobStatus) -> None:
    parts = run_parts()
    job = a_job(status=status, ended_at=NOW)
    parts.store.add(job)

    assert run_job(a_task(job), parts) == ClaimRefused(job_id=job.id, status=status)
    assert model_of(parts).invocations == []
    assert told(parts) == []
    assert log_of(parts).count("claim_refused") == 1


def test_a_job_that_is_gone_is_refused() -> None:
    parts = run_parts()

    assert run_job(a_task(a_job()), parts) == ClaimRefused(job_id=JOB_ID, status=None)


def test_a_redelivered_task_does_not_run_a_completed_job_twice() -> None:
    parts = run_parts()
    job = run(parts)

    assert isinstance(run_job(a_task(job), parts), ClaimRefused)
    assert len(model_of(parts).invocations) == 1


def test_a_redelivered_task_does_not_run_a_running_job_twice() -> None:
    refusals: list[object] = []
    parts = run_parts()
    answer = Answer(
        before_piece=lambda _: refusals.append(run_job(a_task(a_job()), parts)),
    )
    parts = run_parts(
        model=ScriptedModel(answer),
        store=parts.store,
        chance=parts.chance,
        clock=parts.clock,
    )

    job = run(parts)

    assert job.status is JobStatus.COMPLETED
    assert refusals == [ClaimRefused(job_id=JOB_ID, status=JobStatus.RUNNING)] * 3


def test_a_claim_that_is_lost_before_the_call_costs_nothing() -> None:
    parts = run_parts(leases=ScriptedLeases(lost()))

    with pytest.raises(ClaimLost):
        run(parts)

    assert model_of(parts).invocations == []
    assert StepName.INVOKED not in [step.name for step in parts.store.get(JOB_ID).timeline]


def test_a_claim_that_the_row_no_longer_knows_costs_nothing() -> None:
    parts = run_parts(store=ShakyJobStore(mark_invoked=[lost()]))

    with pytest.raises(ClaimLost):
        run(parts)

    assert model_of(parts).invocations == []
    assert words_told(parts) == ["job.started"]


def test_a_claim_that_is_lost_in_mid_stream_tells_and_writes_nothing_more() -> None:
    leases = ScriptedLeases(None, None, None, lost())
    parts = run_parts(leases=leases)

    with pytest.raises(ClaimLost):
        run(parts)

    assert words_told(parts) == ["job.started", "job.delta"]
    row = parts.store.get(JOB_ID)
    assert (row.status, row.result, row.timeline[-1].name) == (
        JobStatus.RUNNING,
        None,
        StepName.INVOKED,
    )
    assert model_of(parts).answerings[0].closed == 1
    assert leases.ended == 1


def test_a_stream_that_was_broken_off_for_a_lost_claim_is_no_error_of_the_models() -> None:
    broken = Answer(pieces=("Hel",), error=stream_broke())
    parts = run_parts(model=ScriptedModel(broken), leases=ScriptedLeases(None, None, None, lost()))

    with pytest.raises(ClaimLost):
        run(parts)

    assert words_told(parts) == ["job.started", "job.delta"]
    assert parts.store.get(JOB_ID).status is JobStatus.RUNNING


def test_losing_the_claim_breaks_off_the_call() -> None:
    leases = ScriptedLeases()
    parts = run_parts(leases=leases)

    run(parts)
    for break_off in leases.break_offs:
        break_off()

    assert model_of(parts).answerings[0].closed == 2


def test_a_claim_that_is_lost_at_the_settling_announces_nothing() -> None:
    parts = run_parts(store=ShakyJobStore(settle=[lost()]))

    with pytest.raises(ClaimLost):
        run(parts)

    assert words_told(parts) == ["job.started", "job.delta", "job.delta"]


def test_whoever_lost_the_job_to_another_worker_cannot_settle_it() -> None:
    parts = run_parts()
    answer = Answer(before_piece=take_over(parts))
    parts = run_parts(
        model=ScriptedModel(answer), store=parts.store, clock=parts.clock, events=parts.events
    )

    with pytest.raises(ClaimLost):
        run(parts)

    row = parts.store.get(JOB_ID)
    assert (row.status, row.epoch, row.result) == (JobStatus.RUNNING, 2, None)
    assert not any(event.type.is_terminal for event in told(parts))


def test_a_store_that_is_away_at_the_settling_is_waited_for_without_a_second_call() -> None:
    store = ShakyJobStore(settle=[store_away()] * 4)
    parts = run_parts(store=store)

    job = run(parts)

    assert job.status is JobStatus.COMPLETED
    assert store.calls.count("settle") == 5
    assert len(model_of(parts).invocations) == 1
    assert words_told(parts).count("job.completed") == 1
    assert log_of(parts).count("settle_waits") == 4
    end = job.timeline[-1]
    assert (end.name, end.at, job.ended_at) == (StepName.COMPLETED, NOW, NOW)
    assert end.settled_at == NOW + timedelta(seconds=0.25 + 0.5 + 1 + 1)


def test_a_settling_whose_answer_was_lost_is_settled_once() -> None:
    class ForgetfulStore(ShakyJobStore):
        """Writes, and then cannot say so."""

        def settle(self, claim, outcome):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - the port's
            job = super().settle(claim, outcome)
            if self.calls.count("settle") == 1:
                raise store_away()
            return job

    parts = run_parts(store=ForgetfulStore())

    job = run(parts)

    assert job.status is JobStatus.COMPLETED
    assert [step.name for step in job.timeline].count(StepName.COMPLETED) == 1
    assert words_told(parts).count("job.completed") == 1


def test_a_store_that_stays_away_at_the_settling_leaves_the_claim_to_lapse() -> None:
    parts = run_parts(
        store=ShakyJobStore(settle=[store_away()] * 99), patience=timedelta(seconds=10)
    )

    with pytest.raises(Unavailable):
        run(parts)

    assert "job.completed" not in words_told(parts)
    assert parts.store.get(JOB_ID).status is JobStatus.RUNNING


class ForgetfulJobStore(MemoryJobStore):
    """Its first claim is written, and its answer is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = 0

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        claim = super().claim(job_id, terms)
        self.answered += 1
        if self.answered == 1:
            raise store_away()
        return claim


def test_a_claim_whose_answer_was_lost_is_given_again_and_costs_no_attempt() -> None:
    parts = run_parts(store=ForgetfulJobStore())

    job = run(parts)

    assert (job.status, job.attempt, job.epoch) == (JobStatus.COMPLETED, 1, 1)


def test_a_prompt_that_is_no_longer_stored_ends_the_job_and_is_not_retried() -> None:
    parts = run_parts()
    stored = Stored(key=ObjectKey("prompts/gone.json"), size=500_000)

    job = run(parts, a_job(prompt=stored))

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("prompt_gone", False)
    assert model_of(parts).invocations == []


def test_a_store_that_stays_away_at_the_claim_is_the_callers_to_wait_for() -> None:
    parts = run_parts(store=ShakyJobStore(claim=[store_away()] * 100))

    with pytest.raises(Unavailable):
        run(parts)

    assert parts.store.get(JOB_ID).status is JobStatus.PENDING


def test_a_store_that_is_away_right_before_the_call_does_not_fail_the_job() -> None:
    store = ShakyJobStore(mark_invoked=[store_away()] * 2)
    parts = run_parts(store=store)

    try:
        run(parts)
    except Unavailable:  # then the claim lapses, and the job is found again
        assert store.get(JOB_ID).status is JobStatus.RUNNING
    else:
        assert store.get(JOB_ID).status is JobStatus.COMPLETED
    assert len(model_of(parts).invocations) <= 1


def test_a_store_that_is_away_while_the_model_talks_does_not_fail_the_job() -> None:
    parts = run_parts(leases=ScriptedLeases(None, None, None, store_away(), store_away()))

    try:
        run(parts)
    except Unavailable:  # then the claim lapses, and the job is found again
        assert parts.store.get(JOB_ID).status is JobStatus.RUNNING
    else:
        assert parts.store.get(JOB_ID).status is JobStatus.COMPLETED


def test_whatever_breaks_unforeseen_the_job_fails_as_an_internal_error() -> None:
    parts = run_parts(model=ScriptedModel(RuntimeError("a secret of ours")))

    job = run(parts)

    assert job.status is JobStatus.FAILED
    assert job.error == JobError(
        code="internal_error", message="Longhaul itself failed", retryable=True
    )
    assert words_told(parts) == ["job.started", "job.failed"]
    assert log_of(parts).count("attempt_broke") == 1


def test_a_prompt_that_is_no_prompt_fails_the_job_as_an_internal_error() -> None:
    parts = run_parts()

    job = run(parts, a_job(prompt=Inline(text="not JSON")))

    assert (job.status, job.error and job.error.code) == (JobStatus.FAILED, "internal_error")
    assert model_of(parts).invocations == []


def an_interrupted_job(*, attempt: int) -> Job:
    """A job whose worker died in mid-call."""
    return a_job(
        status=JobStatus.RUNNING,
        attempt=attempt,
        epoch=attempt,
        seq=attempt * 1_000_000 + 1,
        lease_until=NOW,
        started_at=NOW,
        max_attempts=5,
    )


def after_the_lease() -> ManualClock:
    return ManualClock(NOW + timedelta(seconds=1))


def test_a_job_whose_worker_died_is_run_again_as_its_next_attempt() -> None:
    parts = run_parts(clock=after_the_lease())

    job = run(parts, an_interrupted_job(attempt=1))

    assert (job.status, job.attempt, job.epoch) == (JobStatus.COMPLETED, 2, 2)


def test_a_job_whose_workers_all_died_fails_without_another_call() -> None:
    parts = run_parts(clock=after_the_lease())

    job = run(parts, an_interrupted_job(attempt=5))

    assert job.status is JobStatus.FAILED
    assert job.error == JobError(
        code="attempts_exhausted",
        message="5 attempts ended without an outcome",
        retryable=True,
    )
    assert model_of(parts).invocations == []
    assert words_told(parts) == ["job.started", "job.failed"]


def an_interrupted_call(parts: RunParts, **changes: Any) -> None:  # noqa: ANN401 - a Job's fields
    """Let a worker claim the job, begin its call, and be gone until its lease is over."""
    parts.store.add(a_job(**changes))
    claim = parts.store.claim(JOB_ID, claim_terms(at=parts.clock.now(), token="dead"))
    assert isinstance(claim, Claim)
    parts.store.mark_invoked(
        claim, Step(name=StepName.INVOKED, at=parts.clock.now(), by="worker@test:0", attempt=1)
    )
    parts.clock.sleep(LEASE + timedelta(seconds=1))


def test_a_call_that_was_interrupted_is_made_again_and_the_timeline_says_why() -> None:
    parts = run_parts()
    an_interrupted_call(parts)

    job = run_again(parts, a_job())

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)
    assert len(model_of(parts).invocations) == 1
    (step,) = [step for step in job.timeline if step.name is StepName.INTERRUPTED]
    assert step.detail == "the call begun at 2026-11-23T04:38:00.000Z may have been paid"


def test_a_call_that_nobody_may_pay_twice_fails_the_job_when_it_was_interrupted() -> None:
    parts = run_parts()
    an_interrupted_call(parts, on_interrupted=OnInterrupted.FAIL)

    job = run_again(parts, a_job())

    assert job.status is JobStatus.FAILED
    assert (job.error and job.error.code, job.error and job.error.retryable) == (
        "interrupted",
        True,
    )
    assert model_of(parts).invocations == []
    assert words_told(parts) == ["job.retrying", "job.started", "job.failed"]
    assert [step.name for step in job.timeline[-2:]] == [StepName.INTERRUPTED, StepName.FAILED]


def test_a_worker_that_died_before_its_call_interrupted_nothing() -> None:
    parts = run_parts()
    parts.store.add(a_job(on_interrupted=OnInterrupted.FAIL))
    parts.store.claim(JOB_ID, claim_terms(token="dead"))
    parts.clock.sleep(2 * LEASE)

    job = run_again(parts, a_job())

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)
    assert StepName.INTERRUPTED not in [step.name for step in job.timeline]


def test_a_worker_that_dies_before_it_says_so_does_not_hide_the_interruption() -> None:
    """The second claimer knows of the call, and is gone before its outcome is written."""
    parts = run_parts()
    an_interrupted_call(parts, on_interrupted=OnInterrupted.FAIL)
    parts.store.claim(JOB_ID, claim_terms(at=parts.clock.now(), token="dead too"))
    parts.clock.sleep(2 * LEASE)

    job = run_again(parts, a_job())

    assert (job.status, job.error and job.error.code) == (JobStatus.FAILED, "interrupted")
    assert model_of(parts).invocations == []


def test_a_call_that_has_its_outcome_was_not_interrupted() -> None:
    parts = run_parts(model=ScriptedModel(throttled(), Answer()))

    job = run_until_settled(parts, a_job(on_interrupted=OnInterrupted.FAIL))

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)
    assert StepName.INTERRUPTED not in [step.name for step in job.timeline]


def test_a_redriven_job_has_left_its_interruption_behind() -> None:
    parts = run_parts()
    an_interrupted_call(parts, on_interrupted=OnInterrupted.FAIL)
    store = cast("MemoryJobStore", parts.store)
    redrive_job(run_again(parts, a_job()), redrive_parts(store, clock=parts.clock))

    job = run_again(parts, a_job())

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 3)


def test_a_late_answer_of_a_claim_that_lapsed_is_taken_while_nobody_else_has_claimed() -> None:
    parts = run_parts()
    answer = Answer(before_piece=lambda _: parts.clock.sleep(2 * LEASE))
    parts = run_parts(model=ScriptedModel(answer), store=parts.store, clock=parts.clock)

    assert run(parts).status is JobStatus.COMPLETED


MAY_BE_PAID = "the call gave no answer; it may have been paid"


def test_an_error_that_leaves_open_whether_the_call_was_paid_is_noted() -> None:
    broken = Answer(pieces=("Once",), error=stream_broke())
    parts = run_parts(model=ScriptedModel(broken, Answer()))

    job = run_until_settled(parts)

    (step,) = [step for step in job.timeline if step.name is StepName.INTERRUPTED]
    assert (step.attempt, step.detail) == (1, MAY_BE_PAID)
    names = [step.name for step in job.timeline]
    assert names.index(StepName.INTERRUPTED) < names.index(StepName.RETRYING)


def test_an_error_of_a_call_that_was_not_paid_is_not_noted_as_paid() -> None:
    parts = run_parts(model=ScriptedModel(throttled(), rejected()))

    job = run_until_settled(parts)

    assert StepName.INTERRUPTED not in [step.name for step in job.timeline]


def a_slow_job(**changes: Any) -> Job:  # noqa: ANN401 - a Job's own fields
    return a_job(run_timeout=timedelta(seconds=10), **changes)


def test_a_job_whose_time_is_over_at_its_claim_expires_without_a_call() -> None:
    parts = run_parts(clock=ManualClock(NOW + timedelta(seconds=10)))
    waiting = a_slow_job(
        status=JobStatus.PENDING_RETRY, attempt=1, epoch=1, seq=1_000_002, started_at=NOW
    )

    job = run(parts, waiting)

    assert job.status is JobStatus.EXPIRED
    assert job.error == JobError(
        code="run_timeout", message="it did not finish within 10 s", retryable=True
    )
    assert model_of(parts).invocations == []
    assert words_told(parts) == ["job.started", "job.expired"]
    assert (job.due_at, job.lease_until, job.ended_at) == (None, None, parts.clock.now())


def test_a_job_that_is_claimed_after_its_time_to_start_expires_without_a_call() -> None:
    parts = run_parts(clock=ManualClock(NOW + timedelta(hours=5)))

    job = run(parts, a_job(start_timeout=timedelta(seconds=5)))

    assert job.status is JobStatus.EXPIRED
    assert job.error == JobError(
        code="start_timeout", message="it did not start in its time", retryable=True
    )
    assert model_of(parts).invocations == []


def test_a_job_that_started_in_its_time_may_be_retried_after_it() -> None:
    parts = run_parts(clock=ManualClock(NOW + timedelta(hours=5)))
    waiting = a_job(
        status=JobStatus.PENDING_RETRY,
        attempt=1,
        epoch=1,
        seq=1_000_002,
        started_at=NOW + timedelta(seconds=1),
        start_timeout=timedelta(seconds=5),
    )

    assert run(parts, waiting).status is JobStatus.COMPLETED


def test_a_job_that_has_a_moment_left_at_its_claim_is_run() -> None:
    parts = run_parts(clock=ManualClock(NOW + timedelta(seconds=9)))

    job = run(parts, a_slow_job(status=JobStatus.PENDING_RETRY, started_at=NOW))

    assert job.status is JobStatus.COMPLETED


def test_a_job_whose_time_is_over_in_mid_stream_expires() -> None:
    leases = ScriptedLeases(None, None, None, time_over())
    parts = run_parts(leases=leases)

    job = run(parts, a_slow_job())

    assert (job.status, job.result) == (JobStatus.EXPIRED, None)
    assert job.error is not None
    assert job.error.code == "run_timeout"
    assert words_told(parts) == ["job.started", "job.delta", "job.expired"]
    assert model_of(parts).answerings[0].closed == 1
    assert (job.timeline[-1].name, job.timeline[-1].error) == (StepName.EXPIRED, "run_timeout")


def test_a_stream_that_was_broken_off_at_the_deadline_is_no_error_of_the_models() -> None:
    broken = Answer(pieces=("Hel",), error=stream_broke())
    parts = run_parts(
        model=ScriptedModel(broken), leases=ScriptedLeases(None, None, None, time_over())
    )

    job = run(parts, a_slow_job())

    assert job.status is JobStatus.EXPIRED
    assert len(model_of(parts).invocations) == 1


def test_a_job_whose_time_is_over_right_before_the_call_costs_nothing() -> None:
    parts = run_parts(leases=ScriptedLeases(time_over()))

    assert run(parts, a_slow_job()).status is JobStatus.EXPIRED
    assert model_of(parts).invocations == []


def test_a_worker_that_drains_before_the_call_gives_the_attempt_back() -> None:
    parts = run_parts(leases=ScriptedLeases(drained()))

    job = run(parts)

    assert (job.status, job.attempt, job.epoch) == (JobStatus.PENDING_RETRY, 0, 1)
    assert (job.not_before, job.retry_counts) == (NOW, ())
    assert job.error == JobError(
        code="interrupted", message="its worker was shut down", retryable=True
    )
    assert model_of(parts).invocations == []
    assert words_told(parts) == ["job.started", "job.retrying"]
    assert StepName.INTERRUPTED not in [step.name for step in job.timeline]


def test_a_job_that_is_handed_over_runs_at_once_elsewhere() -> None:
    parts = run_parts(leases=ScriptedLeases(drained()))
    run(parts, a_job(max_attempts=1))

    job = run_again(replace(parts, leases=ScriptedLeases()), a_job())

    assert (job.status, job.attempt, job.epoch) == (JobStatus.COMPLETED, 1, 2)


def test_a_worker_that_drains_in_mid_call_counts_it_and_says_it_may_be_paid() -> None:
    parts = run_parts(leases=ScriptedLeases(None, None, None, drained()))

    job = run(parts)

    assert (job.status, job.attempt, job.not_before) == (JobStatus.PENDING_RETRY, 1, NOW)
    assert [step.name for step in job.timeline[-3:]] == [
        StepName.FIRST_TOKEN,
        StepName.INTERRUPTED,
        StepName.RETRYING,
    ]
    assert job.timeline[-2].detail == "the worker drains; the call may have been paid"
    assert words_told(parts) == ["job.started", "job.delta", "job.retrying"]
    assert model_of(parts).answerings[0].closed == 1


def test_a_worker_that_drains_in_a_call_that_nobody_may_pay_twice_fails_the_job() -> None:
    parts = run_parts(leases=ScriptedLeases(None, None, None, drained()))

    job = run(parts, a_job(on_interrupted=OnInterrupted.FAIL))

    assert (job.status, job.error and job.error.code) == (JobStatus.FAILED, "interrupted")


def test_a_worker_that_drains_before_such_a_call_hands_it_over() -> None:
    parts = run_parts(leases=ScriptedLeases(drained()))

    job = run(parts, a_job(on_interrupted=OnInterrupted.FAIL))

    assert (job.status, job.attempt) == (JobStatus.PENDING_RETRY, 0)


def test_a_worker_that_drains_in_the_last_call_leaves_none() -> None:
    parts = run_parts(leases=ScriptedLeases(None, None, None, drained()))

    job = run(parts, a_job(max_attempts=1))

    assert (job.status, job.error and job.error.code) == (JobStatus.FAILED, "attempts_exhausted")


def test_a_worker_that_drains_leaves_the_policys_counters_as_they_are() -> None:
    parts = run_parts(leases=ScriptedLeases(None, None, drained()))
    waiting = a_job(status=JobStatus.PENDING_RETRY, attempt=2, epoch=2, retry_counts=(2,))

    assert run(parts, waiting).retry_counts == (2,)


def test_what_an_operator_can_mend_is_waited_for_with_a_paid_answer_in_hand() -> None:
    store = ShakyJobStore(settle=[Misconfigured("the security token has expired")] * 3)
    parts = run_parts(store=store)

    job = run(parts)

    assert job.status is JobStatus.COMPLETED
    assert len(model_of(parts).invocations) == 1
    assert log_of(parts).count("settle_waits") == 3


def test_a_store_that_is_away_right_before_the_call_is_waited_for() -> None:
    store = ShakyJobStore(mark_invoked=[store_away()] * 3)
    parts = run_parts(store=store)

    job = run(parts)

    assert job.status is JobStatus.COMPLETED
    assert log_of(parts).count("call_waits") == 3
    assert [step.name for step in job.timeline].count(StepName.INVOKED) == 1


def test_a_mark_whose_answer_was_lost_is_made_once() -> None:
    class ForgetfulStore(ShakyJobStore):
        """Writes, and then cannot say so."""

        def mark_invoked(self, claim: Claim, invoked: Step) -> None:
            super().mark_invoked(claim, invoked)
            if self.calls.count("mark_invoked") == 1:
                raise store_away()

    parts = run_parts(store=ForgetfulStore())

    job = run(parts)

    assert job.status is JobStatus.COMPLETED
    assert [step.name for step in job.timeline].count(StepName.INVOKED) == 1


def test_a_worker_that_wakes_up_after_a_long_wait_for_its_mark_does_not_pay() -> None:
    """Another has claimed meanwhile: the mark is refused, however patiently it was tried."""

    class StolenStore(ShakyJobStore):
        def mark_invoked(self, claim: Claim, invoked: Step) -> None:
            if self.calls.count("mark_invoked") == 2:
                parts.clock.sleep(2 * LEASE)
                self.claim(JOB_ID, claim_terms(at=parts.clock.now(), token="other"))
            super().mark_invoked(claim, invoked)

    parts = run_parts(store=StolenStore(mark_invoked=[store_away()] * 2))

    with pytest.raises(ClaimLost):
        run(parts)

    assert model_of(parts).invocations == []


def test_an_exhausted_jobs_last_number_leaves_no_hole_in_its_block() -> None:
    """`Within a block the numbers have no holes: a hole is a missed event` (jobs/seq.py)."""
    parts = run_parts(clock=after_the_lease())

    run(parts, an_interrupted_job(attempt=5))

    numbers = [event.seq for event in told(parts)]
    assert numbers == list(range(6_000_001, 6_000_001 + len(numbers)))


def test_nothing_is_told_before_the_row_says_so() -> None:
    store = MemoryJobStore()
    events = WitnessEvents(store)
    parts = run_parts(store=store, events=events, model=ScriptedModel(throttled(), Answer()))

    run_until_settled(parts)

    said = list(zip((event.type for event in events.told), events.rows, strict=True))
    assert [(kind, row.status) for kind, row in said] == [
        (EventType.STARTED, JobStatus.RUNNING),
        (EventType.RETRYING, JobStatus.PENDING_RETRY),
        (EventType.STARTED, JobStatus.RUNNING),
        (EventType.DELTA, JobStatus.RUNNING),
        (EventType.DELTA, JobStatus.RUNNING),
        (EventType.COMPLETED, JobStatus.COMPLETED),
    ]
    for event, row in zip(events.told, events.rows, strict=True):
        assert event.type is EventType.DELTA or row.seq == event.seq


def test_the_log_names_the_job_and_never_says_prompt_or_result() -> None:
    parts = run_parts()

    run(parts)

    log = log_of(parts)
    assert [line.event for line in log.lines] == [
        "job_claimed",
        "call_begun",
        "first_token_came",
        "job_settled",
    ]
    assert all(line.keys["job_id"] == JOB_ID for line in log.lines)
    assert all(line.keys["trace_id"] == a_job().trace.id for line in log.lines)
    assert "hello" not in repr(log.lines).lower()


def test_a_retrier_with_no_retries_fails_the_job_at_once() -> None:
    policy = RetryPolicy(
        retriers=(Retrier(error_equals=("Bedrock.ThrottlingException",), max_attempts=0),)
    )
    parts = run_parts(model=ScriptedModel(throttled()), policy=policy)

    assert run(parts).status is JobStatus.FAILED
