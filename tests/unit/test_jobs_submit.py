from datetime import timedelta
from typing import cast

import pytest

from adapters.memory import ManualClock, MemoryEvents, MemoryJobStore, MemoryObjectStore
from jobs.errors import JobNotFound, Unavailable
from jobs.events import Event, EventType
from jobs.job import (
    InferenceConfig,
    Inline,
    JobId,
    JobStatus,
    ObjectKey,
    OnInterrupted,
    Stored,
    parse_job_id,
)
from jobs.prompt import Prompt
from jobs.submit import SubmitParts, submit_job
from jobs.timeline import StepName
from tests.builders import (
    NOW,
    RecordingLog,
    ShakyJobStore,
    ShakyObjectStore,
    a_request,
    a_trace,
    store_away,
    submit_parts,
)

BIG = Prompt(text="x" * 2000)


class OrderNotingEvents(MemoryEvents):
    """Reads the row at each event and nudge, and so fails where it is not there yet."""

    def __init__(self, store: MemoryJobStore) -> None:
        super().__init__()
        self._store = store
        self.order: list[str] = []

    def publish(self, event: Event) -> None:
        self._store.get(event.job)
        self.order.append("event")
        super().publish(event)

    def nudge(self) -> None:
        assert self._store.stream.shards(self._store.stream.name())
        self.order.append("nudge")
        super().nudge()


def told(parts: SubmitParts) -> list[Event]:
    return cast("MemoryEvents", parts.events).told


def test_a_submitted_job_waits_in_the_store() -> None:
    parts = submit_parts(clock=ManualClock(NOW))
    request = a_request(inference=InferenceConfig(top_p=0.5), metadata={"team": "ops"})

    job = submit_job(request, parts)

    assert parts.store.get(job.id) == job
    assert parse_job_id(job.id) == job.id
    assert (job.status, job.attempt, job.epoch, job.seq) == (JobStatus.PENDING, 0, 0, 1)
    assert (job.user, job.model, job.trace) == (request.user, request.model, request.trace)
    assert (job.inference, job.metadata) == (request.inference, request.metadata)
    assert (job.created_at, job.max_attempts) == (request.accepted_at, 5)
    assert job.prompt == Inline(text=request.prompt.to_json())


def test_what_the_caller_says_of_time_and_interruption_is_in_the_row() -> None:
    parts = submit_parts()
    minute, hour, day = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

    job = submit_job(
        a_request(
            start_timeout=minute,
            run_timeout=hour,
            retention=day,
            on_interrupted=OnInterrupted.FAIL,
        ),
        parts,
    )

    assert (job.start_timeout, job.run_timeout, job.retention) == (minute, hour, day)
    assert job.on_interrupted is OnInterrupted.FAIL
    assert (job.start_by, job.run_by) == (NOW + minute, None)


def test_a_submitted_job_is_looked_at_again_when_it_should_have_moved() -> None:
    assert submit_job(a_request(), submit_parts()).due_at == NOW + timedelta(seconds=30)


def test_a_submitted_job_is_looked_at_no_later_than_it_may_have_to_expire() -> None:
    soon = timedelta(seconds=5)

    assert submit_job(a_request(start_timeout=soon), submit_parts()).due_at == NOW + soon


def test_each_job_has_an_id_of_its_own() -> None:
    parts = submit_parts()

    ids = {submit_job(a_request(), parts).id for _ in range(10)}

    assert len(ids) == 10


def test_a_job_is_durable_before_anyone_hears_of_it() -> None:
    store = MemoryJobStore()
    events = OrderNotingEvents(store)

    submit_job(a_request(), submit_parts(store=store, events=events, feed=events))

    assert sorted(events.order) == ["event", "nudge"]


def test_the_first_event_is_of_the_row_that_was_written() -> None:
    parts = submit_parts()

    job = submit_job(a_request(trace=a_trace(sampled=True)), parts)

    assert told(parts) == [
        Event(
            job=job.id,
            user=job.user,
            seq=1,
            type=EventType.QUEUED,
            at=job.created_at,
            trace=job.trace,
            attempt=0,
        )
    ]
    assert cast("MemoryEvents", parts.feed).nudges == 1


def test_a_prompt_of_the_thresholds_size_stays_in_the_row() -> None:
    prompt = Prompt(text="é" * 100)
    size = Inline(text=prompt.to_json()).size

    assert submit_job(
        a_request(prompt=prompt), submit_parts(inline_prompt_bytes=size)
    ).prompt == Inline(text=prompt.to_json())
    assert isinstance(
        submit_job(a_request(prompt=prompt), submit_parts(inline_prompt_bytes=size - 1)).prompt,
        Stored,
    )


def test_a_big_prompt_is_in_the_object_store_before_its_row_is_written() -> None:
    objects = MemoryObjectStore()

    class CheckingStore(MemoryJobStore):
        def add(self, job):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - the port's
            assert Prompt.from_json(objects.get(job.prompt.key)) == BIG
            super().add(job)

    parts = submit_parts(objects=objects, store=CheckingStore())

    job = submit_job(a_request(prompt=BIG), parts)

    assert job.prompt == Stored(
        key=ObjectKey(f"prompts/{job.id}.json"), size=Inline(text=BIG.to_json()).size
    )


def test_an_object_store_that_is_away_leaves_no_row() -> None:
    store = ShakyJobStore()
    parts = submit_parts(store=store, objects=ShakyObjectStore(put=[Unavailable("objects", "no")]))

    with pytest.raises(Unavailable):
        submit_job(a_request(prompt=BIG), parts)

    assert store.calls == []
    assert told(parts) == []


def test_a_store_that_is_away_leaves_nothing_announced() -> None:
    parts = submit_parts(store=ShakyJobStore(add=[store_away()]))

    with pytest.raises(Unavailable):
        submit_job(a_request(), parts)

    assert told(parts) == []
    assert cast("MemoryEvents", parts.feed).nudges == 0
    assert cast("RecordingLog", parts.log).lines == []


def test_the_timeline_tells_when_it_was_accepted_and_when_written() -> None:
    clock = ManualClock(NOW)
    clock.sleep(NOW - NOW.replace(minute=37))

    job = submit_job(a_request(accepted_at=NOW), submit_parts(clock=clock))

    assert [(step.name, step.at, step.by) for step in job.timeline] == [
        (StepName.ACCEPTED, NOW, "web@test:1"),
        (StepName.WRITTEN, clock.now(), "web@test:1"),
    ]
    assert job.updated_at == clock.now()


def test_the_log_says_how_long_a_prompt_is_and_not_what_it_says() -> None:
    parts = submit_parts()

    job = submit_job(a_request(prompt=Prompt(text="the secret plan")), parts)

    (line,) = cast("RecordingLog", parts.log).lines
    assert line.event == "job_submitted"
    assert (line.keys["job_id"], line.keys["trace_id"]) == (job.id, job.trace.id)
    assert "secret" not in repr(line)


def test_no_job_is_there_before_it_is_submitted() -> None:
    with pytest.raises(JobNotFound):
        submit_parts().store.get(JobId("job_00000000000000000000000000"))
