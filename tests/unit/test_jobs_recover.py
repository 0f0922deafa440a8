"""An answer that was paid for and could not be written is kept, found, and never another job's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from adapters.kept_answers import AnswersInEither, AnswersInObjects
from adapters.memory import ManualClock, MemoryEvents, MemoryJobStore, MemoryObjectStore
from adapters.spool import AnswerSpool
from jobs.cancel import cancel_job
from jobs.errors import ClaimLost, DeadlinePassed, HandedOver, Unavailable
from jobs.job import Inline, Job, JobStatus, ObjectKey, OnInterrupted, Result, Stored, Usage
from jobs.redrive import redrive_job
from jobs.results import result_of
from jobs.run import run_job
from jobs.timeline import Step, StepName, unended_calls
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
    cancel_parts,
    claim_terms,
    lost,
    redrive_parts,
    run_parts,
    store_away,
    throttled,
)

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.answer import KeptAnswers, PaidAnswer
    from jobs.claim import Claim
    from jobs.outcome import Outcome
    from jobs.running import RunParts

TEXT = "Hello, world"
SOON = timedelta(seconds=10)


def objects_away() -> Unavailable:
    return Unavailable("objects", "cannot be reached (test)")


def model_of(parts: RunParts) -> ScriptedModel:
    return cast("ScriptedModel", parts.model)


def log_of(parts: RunParts) -> RecordingLog:
    return cast("RecordingLog", parts.log)


def store_of(parts: RunParts) -> ShakyJobStore:
    return cast("ShakyJobStore", parts.store)


def kept_in(objects: MemoryObjectStore) -> AnswersInObjects:
    return AnswersInObjects(objects=objects, log=RecordingLog())


def a_worker_that_dies_with_its_answer(job: Job | None = None, **changes: Any) -> RunParts:  # noqa: ANN401 - RunParts' own fields
    """Let a worker answer the job while the store is away, and be gone when its lease is over."""
    store = ShakyJobStore()
    store.add(job or a_job())
    parts = run_parts(store=store, patience=SOON, **changes)
    answer_and_die(parts)
    return parts


def answer_and_die(parts: RunParts) -> None:
    """Run the job with a store that goes away before the answer is written; give up; lapse."""
    store = store_of(parts)
    store.failures["settle"] = [store_away()] * 99
    with pytest.raises(Unavailable):
        run_job(a_task(a_job()), parts)
    store.failures["settle"] = []
    parts.clock.sleep(2 * LEASE)


def the_next_worker(parts: RunParts, *script: Answer | Exception, **changes: Any) -> RunParts:  # noqa: ANN401 - RunParts' own fields
    """Make another worker with a model that says `script`, and nothing more than that."""
    return replace(
        parts, model=ScriptedModel(*script), log=RecordingLog(), events=MemoryEvents(), **changes
    )


def run_by(parts: RunParts) -> Job:
    job = run_job(a_task(a_job()), parts)
    assert isinstance(job, Job)
    return job


def test_the_next_worker_completes_the_job_without_a_call() -> None:
    dead = a_worker_that_dies_with_its_answer()
    parts = the_next_worker(dead)

    job = run_by(parts)

    assert (job.status, job.attempt, job.error) == (JobStatus.COMPLETED, 2, None)
    assert job.result == Result(
        payload=Inline(text=TEXT),
        usage=Usage(input_tokens=7, output_tokens=3),
        stop_reason="end_turn",
    )
    assert len(model_of(dead).invocations) == 1
    assert model_of(parts).invocations == []


def test_a_native_answer_comes_back_with_its_own_json() -> None:
    native = ScriptedModel(Answer(raw='{"a":1}'))

    job = run_by(the_next_worker(a_worker_that_dies_with_its_answer(model=native)))

    assert result_of(job).raw == Inline(text='{"a":1}')


def test_the_timeline_says_whose_answer_it_was() -> None:
    job = run_by(the_next_worker(a_worker_that_dies_with_its_answer()))

    assert [(step.name, step.attempt) for step in job.timeline[-2:]] == [
        (StepName.RECOVERED, 2),
        (StepName.COMPLETED, 2),
    ]
    kept = "the answer of attempt 1 was kept while it could not be written"
    assert job.timeline[-2].detail == kept
    assert StepName.INTERRUPTED not in [step.name for step in job.timeline]


def test_watchers_are_told_the_text_that_the_result_has() -> None:
    text = "x" * 20_000
    dead = a_worker_that_dies_with_its_answer(
        model=ScriptedModel(Answer(pieces=(text,))), inline_result_bytes=65_536
    )
    parts = the_next_worker(dead)

    job = run_by(parts)

    told = cast("MemoryEvents", parts.events).told
    assert [event.type for event in told] == [
        "job.retrying",
        "job.started",
        *["job.delta"] * 3,
        "job.completed",
    ]
    assert "".join(event.text or "" for event in told) == text
    assert [event.seq for event in told] == list(range(2_000_001, 2_000_007))
    assert job.seq == 2_000_006


def test_a_large_answer_is_stored_under_the_key_of_who_recovered_it() -> None:
    dead = a_worker_that_dies_with_its_answer(inline_result_bytes=5)

    job = run_by(the_next_worker(dead))

    assert job.result is not None
    key = ObjectKey(f"results/{JOB_ID}/2-2.txt")
    assert job.result.payload == Stored(key=key, size=len(TEXT))
    assert dead.objects.get(key) == TEXT


def test_a_job_that_nobody_may_pay_twice_completes_as_well() -> None:
    dead = a_worker_that_dies_with_its_answer(a_job(on_interrupted=OnInterrupted.FAIL))

    assert run_by(the_next_worker(dead)).status is JobStatus.COMPLETED


def test_a_job_whose_attempts_are_spent_completes_as_well() -> None:
    dead = a_worker_that_dies_with_its_answer(a_job(max_attempts=1))

    assert run_by(the_next_worker(dead)).status is JobStatus.COMPLETED


def test_an_answer_that_came_in_time_is_written_after_it() -> None:
    dead = a_worker_that_dies_with_its_answer(a_job(run_timeout=timedelta(seconds=60)))

    assert run_by(the_next_worker(dead)).status is JobStatus.COMPLETED


@pytest.mark.parametrize("reason", [HandedOver("drains"), DeadlinePassed("too late")])
def test_an_answer_that_was_found_is_written_though_the_run_must_end(reason: Exception) -> None:
    dead = a_worker_that_dies_with_its_answer()

    job = run_by(the_next_worker(dead, leases=ScriptedLeases(reason)))

    assert job.status is JobStatus.COMPLETED


def test_whoever_lost_the_claim_while_looking_tells_nothing_of_the_answer() -> None:
    dead = a_worker_that_dies_with_its_answer()
    parts = the_next_worker(dead, leases=ScriptedLeases(lost()))

    with pytest.raises(ClaimLost):
        run_by(parts)

    assert [event.type for event in cast("MemoryEvents", parts.events).told] == [
        "job.retrying",
        "job.started",
    ]


def test_an_answer_is_kept_at_the_first_wait_and_once() -> None:
    objects = CountingObjectStore()
    store = ShakyJobStore(settle=[store_away()] * 4)
    parts = run_parts(store=store, kept=kept_in(objects))
    store.add(a_job())

    job = run_by(parts)

    assert job.status is JobStatus.COMPLETED
    assert objects.puts == 1
    assert log_of(parts).count("answer_kept") == 1


class CountingObjectStore(MemoryObjectStore):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0
        self.gets = 0

    def put(self, key: ObjectKey, text: str, *, content_type: str) -> None:
        self.puts += 1
        super().put(key, text, content_type=content_type)

    def get(self, key: ObjectKey) -> str:
        self.gets += 1
        return super().get(key)


def test_an_answer_that_is_written_at_once_is_neither_kept_nor_looked_for() -> None:
    objects = CountingObjectStore()
    model = ScriptedModel(throttled(), Answer())
    parts = run_parts(kept=kept_in(objects), model=model, store=ShakyJobStore())
    parts.store.add(a_job())
    waiting = run_by(parts)
    assert waiting.not_before is not None
    parts.clock.sleep(waiting.not_before - parts.clock.now())

    assert run_by(parts).status is JobStatus.COMPLETED
    assert (objects.puts, objects.gets) == (0, 0)


def test_a_store_that_nobody_waits_for_does_not_lose_the_answer() -> None:
    store = ShakyJobStore(settle=[store_away()])
    store.add(a_job())
    dead = run_parts(store=store, patience=timedelta(0))
    with pytest.raises(Unavailable):
        run_by(dead)
    dead.clock.sleep(2 * LEASE)

    assert run_by(the_next_worker(dead)).status is JobStatus.COMPLETED


def test_an_answer_too_large_for_the_row_is_kept_while_the_object_store_is_away() -> None:
    """The object store that is away for the result answers again for the next worker."""
    objects = ShakyObjectStore(put=[objects_away()] * 99)
    dead = run_parts(store=ShakyJobStore(), objects=objects, inline_result_bytes=0, patience=SOON)
    dead.store.add(a_job())
    with pytest.raises(Unavailable):
        run_by(dead)
    dead.clock.sleep(2 * LEASE)

    job = run_by(the_next_worker(dead, objects=MemoryObjectStore()))

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)


@pytest.mark.parametrize("died", [False, True])
def test_what_was_written_is_forgotten(*, died: bool) -> None:
    objects = MemoryObjectStore()
    if died:
        dead = a_worker_that_dies_with_its_answer(kept=kept_in(objects))
        assert kept_in(objects).find(JOB_ID, 1) is not None
        run_by(the_next_worker(dead))
    else:
        parts = run_parts(store=ShakyJobStore(settle=[store_away()]), kept=kept_in(objects))
        parts.store.add(a_job())
        run_by(parts)

    assert kept_in(objects).find(JOB_ID, 1) is None


class BrokenSafe:
    """A place that takes nothing, gives nothing and forgets nothing."""

    def keep(self, answer: PaidAnswer) -> None:
        raise OSError(answer.attempt)

    def find(self, job_id: str, attempt: int) -> PaidAnswer | None:
        raise OSError(job_id, attempt)

    def forget(self, answer: PaidAnswer) -> None:
        raise OSError(answer.attempt)


class StickySafe(AnswersInObjects):
    """A place that cannot forget."""

    def forget(self, answer: PaidAnswer) -> None:  # noqa: ARG002 - the port's
        raise objects_away()


def test_a_place_that_breaks_costs_nothing_but_the_keeping() -> None:
    store = ShakyJobStore(settle=[store_away()] * 2)
    store.add(a_job())
    parts = run_parts(store=store, kept=BrokenSafe())

    job = run_by(parts)

    assert job.status is JobStatus.COMPLETED
    assert log_of(parts).count("answer_not_kept") == 2


class Watched(ShakyJobStore):
    """A store that is away four times, and notes what is at risk whenever it is to settle."""

    def __init__(self) -> None:
        super().__init__(settle=[store_away()] * 4)
        self.parts: RunParts | None = None
        self.seen: list[int] = []

    def settle(self, claim: Claim, outcome: Outcome) -> Job:
        assert self.parts is not None
        self.seen.append(len(self.parts.at_risk))
        return super().settle(claim, outcome)


@pytest.mark.parametrize(
    ("failures", "at_risk"), [(99, [0, 1, 1, 1, 1]), (2, [0, 1, 1, 0, 0]), (0, [0, 0, 0, 0, 0])]
)
def test_an_answer_is_at_risk_from_where_nobody_keeps_it_until_it_is_kept_or_written(
    failures: int, at_risk: list[int]
) -> None:
    store = Watched()
    store.add(a_job())
    kept = kept_in(ShakyObjectStore(put=[objects_away()] * failures))
    parts = store.parts = run_parts(store=store, kept=kept)

    run_by(parts)

    assert store.seen == at_risk
    assert len(parts.at_risk) == 0


@pytest.mark.parametrize("kept_at_last", [True, False])
def test_an_answer_whose_worker_gives_up_is_at_risk_no_more(*, kept_at_last: bool) -> None:
    put = [objects_away()] * (3 if kept_at_last else 99)

    dead = a_worker_that_dies_with_its_answer(kept=kept_in(ShakyObjectStore(put=put)))

    assert log_of(dead).count("answer_not_kept") >= 3
    assert len(dead.at_risk) == 0


def test_a_place_that_cannot_forget_does_not_hold_up_the_end() -> None:
    kept = StickySafe(objects=MemoryObjectStore(), log=RecordingLog())
    parts = run_parts(store=ShakyJobStore(settle=[store_away()]), kept=kept)
    parts.store.add(a_job())

    assert run_by(parts).status is JobStatus.COMPLETED
    assert log_of(parts).count("answer_not_forgotten") == 1


def test_a_place_that_is_away_is_tried_again_while_the_answer_is_in_hand() -> None:
    objects = ShakyObjectStore(put=[objects_away()] * 3)
    dead = a_worker_that_dies_with_its_answer(kept=kept_in(objects))

    assert run_by(the_next_worker(dead)).status is JobStatus.COMPLETED
    assert log_of(dead).count("answer_not_kept") == 3


def test_the_next_worker_waits_for_the_place_before_it_pays_again() -> None:
    objects = ShakyObjectStore(get=[objects_away()] * 3)
    dead = a_worker_that_dies_with_its_answer(kept=kept_in(objects))
    parts = the_next_worker(dead)

    assert run_by(parts).status is JobStatus.COMPLETED
    assert log_of(parts).count("recovery_waits") == 3


@pytest.mark.parametrize(
    "kept", [kept_in(ShakyObjectStore(get=[objects_away()] * 99)), BrokenSafe()]
)
def test_a_place_that_stays_away_does_not_hold_up_the_job_for_ever(kept: KeptAnswers) -> None:
    dead = a_worker_that_dies_with_its_answer()
    parts = the_next_worker(dead, Answer(pieces=("again",)), kept=kept)

    job = run_by(parts)

    assert job.result is not None
    assert job.result.payload == Inline(text="again")
    assert log_of(parts).count("recovery_given_up") == 1


def spool_in(folder: Path) -> AnswerSpool:
    return AnswerSpool(folder, clock=ManualClock(), log=RecordingLog())


def test_with_store_and_objects_away_the_answer_is_on_the_disk(tmp_path: Path) -> None:
    nowhere = kept_in(ShakyObjectStore(put=[objects_away()] * 99))
    dead = a_worker_that_dies_with_its_answer(
        kept=AnswersInEither(home=nowhere, spool=spool_in(tmp_path / "spool"))
    )
    back = AnswersInEither(home=kept_in(MemoryObjectStore()), spool=spool_in(tmp_path / "spool"))

    job = run_by(the_next_worker(dead, kept=back))

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 2)
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_disk_that_takes_nothing_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder can be made here")
    nowhere = kept_in(ShakyObjectStore(put=[objects_away()] * 99))
    store = ShakyJobStore(settle=[store_away()] * 2)
    store.add(a_job())
    spool = spool_in(tmp_path / "file" / "spool")
    parts = run_parts(store=store, kept=AnswersInEither(home=nowhere, spool=spool))

    assert run_by(parts).status is JobStatus.COMPLETED


@pytest.mark.parametrize("spoiled", ["", "{}", '{"job": "job_of_another", "attempt": 1}'])
def test_what_is_no_answer_of_this_job_never_completes_it(spoiled: str) -> None:
    objects, log = MemoryObjectStore(), RecordingLog()
    kept = AnswersInObjects(objects=objects, log=log)
    dead = a_worker_that_dies_with_its_answer(kept=kept)
    objects.put(ObjectKey(f"answers/{JOB_ID}/1.json"), spoiled, content_type="application/json")

    job = run_by(the_next_worker(dead, Answer(pieces=("again",))))

    assert job.result is not None
    assert job.result.payload == Inline(text="again")
    assert log.count("answer_unreadable") == 1


def test_an_answer_from_before_a_redrive_is_not_taken() -> None:
    dead = a_worker_that_dies_with_its_answer()
    store = cast("MemoryJobStore", dead.store)
    cancelled = cancel_job(store.get(JOB_ID), cancel_parts(store, clock=dead.clock))
    redrive_job(cancelled, redrive_parts(store, clock=dead.clock))
    begin_a_call(dead)
    assert dead.kept.find(JOB_ID, 1) is not None

    job = run_by(the_next_worker(dead, Answer(pieces=("of the new round",))))

    assert job.result is not None
    assert job.result.payload == Inline(text="of the new round")


def begin_a_call(parts: RunParts) -> None:
    """Let a worker begin its call, and be gone when its lease is over."""
    claim = parts.store.claim(JOB_ID, claim_terms(at=parts.clock.now(), token="dead too"))
    assert not hasattr(claim, "status")
    step = Step(
        name=StepName.INVOKED, at=parts.clock.now(), by="worker@test:0", attempt=claim.attempt
    )
    parts.store.mark_invoked(claim, step)
    parts.clock.sleep(2 * LEASE)


def test_an_answer_is_found_after_a_second_worker_died_in_mid_call() -> None:
    dead = a_worker_that_dies_with_its_answer()
    begin_a_call(dead)

    job = run_by(the_next_worker(dead))

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 3)
    assert [step.attempt for step in job.timeline if step.name is StepName.INVOKED] == [1, 2]


def test_an_answer_that_comes_home_late_is_found_after_a_throttled_call() -> None:
    """It was on the disk of another machine when the second worker looked."""
    dead = a_worker_that_dies_with_its_answer()
    elsewhere = kept_in(MemoryObjectStore())
    waiting = run_by(the_next_worker(dead, throttled(), kept=elsewhere))
    assert waiting.not_before is not None
    dead.clock.sleep(waiting.not_before - dead.clock.now())

    assert run_by(the_next_worker(dead)).status is JobStatus.COMPLETED


def test_an_answer_that_has_to_wait_twice_is_found_a_third_time() -> None:
    dead = a_worker_that_dies_with_its_answer()
    answer_and_die(the_next_worker(dead))

    job = run_by(the_next_worker(dead))

    assert (job.status, job.attempt) == (JobStatus.COMPLETED, 3)


def test_the_log_never_says_the_answer() -> None:
    dead = a_worker_that_dies_with_its_answer()
    parts = the_next_worker(dead)

    run_by(parts)

    lines = [*log_of(dead).lines, *log_of(parts).lines]
    assert {"answer_kept", "answer_recovered"} <= {line.event for line in lines}
    assert "hello" not in repr(lines).lower()


def steps(*names: tuple[StepName, int | None]) -> list[Step]:
    return [Step(name=name, at=NOW, by="test", attempt=attempt) for name, attempt in names]


@pytest.mark.parametrize(
    ("timeline", "unended"),
    [
        (steps(), []),
        (steps((StepName.CLAIMED, None)), []),
        (steps((StepName.INVOKED, 1)), [1]),
        (steps((StepName.INVOKED, 1), (StepName.RETRYING, 1)), []),
        (steps((StepName.INVOKED, 1), (StepName.INVOKED, 2), (StepName.RETRYING, 2)), [1]),
        (steps((StepName.INVOKED, 1), (StepName.INVOKED, 2)), [1, 2]),
        (steps((StepName.INVOKED, 1), (StepName.RETRYING, 1), (StepName.INVOKED, 1)), [1]),
        (steps((StepName.INVOKED, 1), (StepName.CANCELLED, None), (StepName.REDRIVEN, None)), []),
    ],
)
def test_a_call_is_unended_until_its_end_or_a_redrive_is_written(
    timeline: list[Step], unended: list[int]
) -> None:
    assert unended_calls(timeline) == unended
