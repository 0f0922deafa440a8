from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from adapters.memory import ManualClock, MemoryEvents, MemoryJobStore
from jobs.cancel import cancel_job
from jobs.claim import Claim
from jobs.errors import ClaimLost, JobMoved, JobNotFound, NoResult, Unavailable
from jobs.events import EventType
from jobs.fenced import Fenced
from jobs.job import Inline, JobStatus, ObjectKey, Result, Stored, Usage
from jobs.outcome import Cancelled, Completed, Retrying
from jobs.redrive import redrive_job
from jobs.run import run_job
from jobs.timeline import StepName
from tests.builders import (
    JOB_ID,
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
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from adapters.memory import MemoryFenced
    from jobs.cancel import CancelParts
    from jobs.events import Event
    from jobs.job import Job
    from jobs.model_ports import Invocation
    from jobs.outcome import Change, Partial
    from tests.builders import ScriptedAnswering


class RacedStore(MemoryJobStore):
    """Lets something else happen right before the first change."""

    def __init__(self) -> None:
        super().__init__()
        self.first: Callable[[], object] | None = None

    def change(self, job: Job, change: Change) -> Job:
        first, self.first = self.first, None
        if first is not None:
            first()
        return super().change(job, change)


def told(parts: CancelParts) -> list[Event]:
    return cast("MemoryEvents", parts.events).told


def claim_of(store: MemoryJobStore) -> Claim:
    claim = store.claim(JOB_ID, claim_terms())
    assert isinstance(claim, Claim)
    return claim


def completed(claim: Claim) -> Completed:
    result = Result(payload=Inline(text="Hello"), usage=None, stop_reason=None)
    return Completed(at=NOW, seq=claim.job.seq + 1, result=result, steps=())


def test_a_waiting_job_is_cancelled_and_its_watchers_told() -> None:
    store = MemoryJobStore()
    store.add(a_job())
    parts = cancel_parts(store)

    job = cancel_job(store.get(JOB_ID), parts)

    assert job == store.get(JOB_ID)
    assert (job.status, job.ended_at, job.error) == (JobStatus.CANCELLED, NOW, None)
    assert (job.epoch, job.seq, job.attempt) == (1, 1_000_001, 0)
    assert [(event.type, event.seq) for event in told(parts)] == [(EventType.CANCELLED, job.seq)]
    assert (job.timeline[-1].name, job.timeline[-1].by) == (StepName.CANCELLED, "web@test:1")
    assert cast("RecordingLog", parts.log).count("job_cancelled") == 1


def test_a_job_in_back_off_is_cancelled_too() -> None:
    parts = run_parts(model=ScriptedModel(throttled()))
    store = cast("MemoryJobStore", parts.store)
    store.add(a_job())
    run_job(a_task(a_job()), parts)

    job = cancel_job(store.get(JOB_ID), cancel_parts(store))

    assert (job.status, job.error, job.not_before) == (JobStatus.CANCELLED, None, None)


def test_cancelling_is_repeatable() -> None:
    store = MemoryJobStore()
    store.add(a_job())
    parts = cancel_parts(store)

    first = cancel_job(store.get(JOB_ID), parts)
    second = cancel_job(store.get(JOB_ID), parts)
    third = cancel_job(a_job(), parts)  # whoever read the row before it was cancelled

    assert first == second == third
    assert len(told(parts)) == 1


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.EXPIRED])
def test_a_job_that_has_ended_stays_as_it_ended(status: JobStatus) -> None:
    store = MemoryJobStore()
    store.add(a_job(status=status, ended_at=NOW))
    parts = cancel_parts(store)

    assert cancel_job(store.get(JOB_ID), parts) == a_job(status=status, ended_at=NOW)
    assert told(parts) == []


def test_whoever_ran_the_job_is_fenced_out() -> None:
    """A caller who was told `CANCELLED` never sees `COMPLETED`."""
    store = MemoryJobStore()
    store.add(a_job())
    claim = claim_of(store)

    job = cancel_job(store.get(JOB_ID), cancel_parts(store))

    for late in (
        lambda: store.settle(claim, completed(claim)),
        lambda: store.renew(claim, NOW),
    ):
        with pytest.raises(ClaimLost):
            late()
    assert store.get(JOB_ID) == job
    assert job.seq > completed(claim).seq


def test_a_run_that_is_cancelled_in_mid_stream_writes_and_announces_no_end() -> None:
    store = MemoryJobStore()
    store.add(a_job())
    parts = cancel_parts(store)

    def before_piece(index: int) -> None:
        if index == 1:
            cancel_job(store.get(JOB_ID), parts)

    running = run_parts(store=store, model=ScriptedModel(Answer(before_piece=before_piece)))
    with pytest.raises(ClaimLost):
        run_job(a_task(a_job()), running)

    assert store.get(JOB_ID).status is JobStatus.CANCELLED
    assert not any(event.type.is_terminal for event in cast("MemoryEvents", running.events).told)
    assert [event.type for event in told(parts)] == [EventType.CANCELLED]


def test_a_job_that_completes_at_this_moment_is_completed() -> None:
    store = RacedStore()
    store.add(a_job())
    claim = claim_of(store)
    store.first = lambda: store.settle(claim, completed(claim))
    parts = cancel_parts(store)

    job = cancel_job(store.get(JOB_ID), parts)

    assert job.status is JobStatus.COMPLETED
    assert job == store.get(JOB_ID)
    assert told(parts) == []


def test_a_job_that_moves_at_this_moment_is_cancelled_where_it_stands() -> None:
    store = RacedStore()
    store.add(a_job())
    store.first = lambda: claim_of(store)

    job = cancel_job(store.get(JOB_ID), cancel_parts(store))

    assert (job.status, job.epoch, job.attempt) == (JobStatus.CANCELLED, 2, 1)


def test_a_job_that_is_released_at_this_moment_is_cancelled_all_the_same() -> None:
    store = RacedStore()
    store.add(a_job())
    claim = claim_of(store)
    retrying = Retrying(
        at=NOW,
        seq=claim.job.seq + 1,
        error=claim.job.error,  # type: ignore[arg-type] # it matters to nobody here
        delay=NOW - NOW,
        retry_counts=(),
        steps=(),
    )
    store.first = lambda: store.settle(claim, retrying)

    assert cancel_job(store.get(JOB_ID), cancel_parts(store)).status is JobStatus.CANCELLED


def test_of_two_who_cancel_at_once_both_are_told_and_one_has_done_it() -> None:
    store = RacedStore()
    store.add(a_job())
    other = cancel_parts(store)
    store.first = lambda: cancel_job(a_job(), other)
    parts = cancel_parts(store)

    job = cancel_job(store.get(JOB_ID), parts)

    assert (job.status, job.epoch) == (JobStatus.CANCELLED, 1)
    assert (len(told(parts)), len(told(other))) == (0, 1)


def test_a_store_that_is_away_announces_nothing() -> None:
    store = ShakyJobStore(change=[store_away()])
    store.add(a_job())
    parts = cancel_parts(store)

    with pytest.raises(Unavailable):
        cancel_job(store.get(JOB_ID), parts)

    assert told(parts) == []
    assert store.get(JOB_ID).status is JobStatus.PENDING


def test_a_job_that_is_gone_is_not_found() -> None:
    with pytest.raises(JobNotFound):
        cancel_job(a_job(), cancel_parts(MemoryJobStore()))


def test_a_change_is_refused_where_the_row_has_moved() -> None:
    store = MemoryJobStore()
    store.add(a_job())
    before = store.get(JOB_ID)
    claim_of(store)

    with pytest.raises(JobMoved):
        store.change(before, cancel_of(before))


def cancel_of(job: Job) -> Change:
    return Cancelled(at=NOW, seq=job.seq + 1, steps=())


def hints(parts: CancelParts) -> list[Fenced]:
    return cast("MemoryFenced", parts.holders).told


def test_whoever_runs_the_job_is_told_once_the_row_says_so() -> None:
    store = MemoryJobStore()
    store.add(a_job())
    claim_of(store)
    parts = cancel_parts(store)

    job = cancel_job(store.get(JOB_ID), parts)

    assert hints(parts) == [Fenced(job=JOB_ID, epoch=2)]
    assert job.epoch == 2


def test_a_job_that_nobody_runs_is_cancelled_without_a_hint() -> None:
    store = MemoryJobStore()
    store.add(a_job())
    parts = cancel_parts(store)

    cancel_job(store.get(JOB_ID), parts)
    cancel_job(store.get(JOB_ID), parts)

    assert hints(parts) == []


def test_a_job_that_is_claimed_at_this_moment_is_cancelled_with_a_hint() -> None:
    store = RacedStore()
    store.add(a_job())
    store.first = lambda: claim_of(store)
    parts = cancel_parts(store)

    cancel_job(store.get(JOB_ID), parts)

    assert hints(parts) == [Fenced(job=JOB_ID, epoch=2)]


def test_a_cancel_that_did_not_happen_is_not_hinted_at() -> None:
    store = RacedStore()
    store.add(a_job())
    claim = claim_of(store)
    store.first = lambda: store.settle(claim, completed(claim))
    parts = cancel_parts(store)

    cancel_job(store.get(JOB_ID), parts)

    assert hints(parts) == []


class CancelledRun:
    """A run whose job is cancelled before a piece of the answer, and that learns of it there."""

    def __init__(self, *, before_piece: int = 2, **changes: Any) -> None:  # noqa: ANN401 - RunParts' own fields
        self.store = changes.setdefault("store", MemoryJobStore())
        self._before_piece = before_piece
        # Two checks come before the call and one after its mark; then one a piece.
        checks = [None] * (2 + before_piece)
        self.parts = run_parts(
            model=ScriptedModel(Answer(before_piece=self._cancel)),
            leases=ScriptedLeases(*checks, lost()),
            **changes,
        )
        self.store.add(a_job())

    def _cancel(self, index: int) -> None:
        if index == self._before_piece:
            cancel_job(self.store.get(JOB_ID), cancel_parts(self.store))

    def end(self) -> Job:
        """Run until the claim is found lost, and give the row."""
        with pytest.raises(ClaimLost):
            run_job(a_task(a_job()), self.parts)
        job: Job = self.store.get(JOB_ID)
        return job

    @property
    def log(self) -> RecordingLog:
        return cast("RecordingLog", self.parts.log)


def test_the_text_so_far_of_a_cancelled_job_is_kept() -> None:
    run = CancelledRun()

    job = run.end()

    assert job.result == Result(payload=Inline(text="Hello, "), usage=None, stop_reason=None)
    assert (job.status, job.epoch, job.seq) == (JobStatus.CANCELLED, 2, 2_000_001)
    kept = job.timeline[-1]
    assert (kept.name, kept.attempt) == (StepName.PARTIAL_KEPT, 1)
    assert kept.detail == "the call was broken off after 7 characters; it is paid for up to there"
    assert run.log.count("partial_kept") == 1


def test_what_is_kept_is_what_watchers_were_told() -> None:
    run = CancelledRun(clock=SteppingClock())

    payload = result_of(run.end()).payload

    told = cast("MemoryEvents", run.parts.events).told
    assert Inline(text="".join(event.text or "" for event in told)) == payload


def test_a_call_that_is_broken_off_before_its_text_is_told_in_the_timeline() -> None:
    job = CancelledRun(before_piece=0).end()

    assert result_of(job) == Result(payload=Inline(text=""), usage=None, stop_reason=None)
    assert "before any text came" in (job.timeline[-1].detail or "")


def test_a_long_text_so_far_goes_to_the_object_store_under_its_calls_own_key() -> None:
    run = CancelledRun(inline_result_bytes=3)

    payload = result_of(run.end()).payload

    assert isinstance(payload, Stored)
    assert (payload.key, payload.size) == (f"results/{JOB_ID}/1-1.txt", 7)
    assert run.parts.objects.get(payload.key) == "Hello, "


def test_a_text_that_no_row_takes_any_more_leaves_nothing_in_the_object_store() -> None:
    class DeletedMeanwhile(MemoryJobStore):
        def keep_partial(self, claim: Claim, partial: Partial) -> None:
            self.begin_removal(self.get(claim.job_id))
            super().keep_partial(claim, partial)

    run = CancelledRun(inline_result_bytes=3, store=DeletedMeanwhile())

    with pytest.raises(JobNotFound):
        run.end()

    with pytest.raises(NoResult):
        run.parts.objects.get(ObjectKey(f"results/{JOB_ID}/1-1.txt"))


def test_an_answer_that_had_come_whole_is_kept_with_its_price() -> None:
    store = MemoryJobStore()
    store.add(a_job())

    def cancel_before_the_last(index: int) -> None:
        if index == 2:
            cancel_job(store.get(JOB_ID), cancel_parts(store))

    model = ScriptedModel(Answer(before_piece=cancel_before_the_last, raw="{}"))
    with pytest.raises(ClaimLost):
        run_job(a_task(a_job()), run_parts(store=store, model=model))

    job = store.get(JOB_ID)
    assert job.status is JobStatus.CANCELLED
    assert job.result == Result(
        payload=Inline(text="Hello, world"),
        usage=Usage(input_tokens=7, output_tokens=3),
        stop_reason="end_turn",
        raw=Inline(text="{}"),
    )
    assert job.timeline[-1].detail == "the whole answer had come; it is paid for"


def test_an_answer_that_could_not_be_broken_off_is_kept_by_a_job_cancelled_meanwhile() -> None:
    """InvokeModel's: it comes at once, and without a text to stop at."""
    store = MemoryJobStore()
    store.add(a_job())

    class Unbreakable(ScriptedModel):
        @contextmanager
        def invoke(self, invocation: Invocation) -> Iterator[ScriptedAnswering]:
            cancel_job(store.get(JOB_ID), cancel_parts(store))
            with super().invoke(invocation) as answering:
                yield answering

    model = Unbreakable(Answer(pieces=(), usage=(5, 0), stop_reason=None, raw="[1.0]"))
    with pytest.raises(ClaimLost):
        run_job(a_task(a_job()), run_parts(store=store, model=model))

    result = result_of(store.get(JOB_ID))
    assert (result.payload, result.raw) == (Inline(text=""), Inline(text="[1.0]"))
    assert result.usage == Usage(input_tokens=5, output_tokens=0)


def test_a_job_that_was_cancelled_before_its_call_has_no_result() -> None:
    store = MemoryJobStore()
    store.add(a_job())
    parts = run_parts(store=store, model=ScriptedModel(), leases=ScriptedLeases(lost()))

    with pytest.raises(ClaimLost):
        run_job(a_task(a_job()), parts)

    assert store.get(JOB_ID).result is None


def test_a_call_that_was_refused_has_nothing_to_keep() -> None:
    run = CancelledRun()
    run.parts = run_parts(
        store=run.store,
        model=RefusingModel(lambda: run._cancel(2)),  # noqa: SLF001 - its own test
    )

    assert run.end().result is None


def test_what_had_come_waits_for_a_store_that_is_away() -> None:
    store = ShakyJobStore(keep_partial=[store_away(), store_away()])

    job = CancelledRun(store=store).end()

    assert result_of(job).payload == Inline(text="Hello, ")


def test_a_text_so_far_that_cannot_be_kept_costs_the_job_nothing_else() -> None:
    objects = ShakyObjectStore(put=[RuntimeError("unforeseen")])
    run = CancelledRun(objects=objects, inline_result_bytes=3)

    job = run.end()

    assert (job.status, job.result) == (JobStatus.CANCELLED, None)
    assert run.log.count("partial_not_kept") == 1


def test_a_job_that_another_took_keeps_nothing_of_this_claims_call() -> None:
    store = MemoryJobStore()
    store.add(a_job())

    def take_over(index: int) -> None:
        if index == 2:
            cancelled = cancel_job(store.get(JOB_ID), cancel_parts(store))
            redrive_job(cancelled, redrive_parts(store))

    model = ScriptedModel(Answer(before_piece=take_over))
    log = RecordingLog()
    with pytest.raises(ClaimLost):
        run_job(a_task(a_job()), run_parts(store=store, model=model, log=log))

    assert (store.get(JOB_ID).status, store.get(JOB_ID).result) == (JobStatus.PENDING, None)
    assert (log.count("partial_kept"), log.count("partial_not_kept")) == (0, 0)


class SteppingClock(ManualClock):
    """A clock that moves by a second whenever it is read: no text waits to be told."""

    def now(self) -> datetime:
        self.advance(timedelta(seconds=1))
        return super().now()


class RefusingModel(ScriptedModel):
    """A model that throttles, after something else has happened."""

    def __init__(self, first: Callable[[], object]) -> None:
        super().__init__(throttled())
        self._first = first

    @contextmanager
    def invoke(self, invocation: Invocation) -> Iterator[ScriptedAnswering]:
        self._first()
        with super().invoke(invocation) as answering:
            yield answering


def result_of(job: Job) -> Result:
    assert job.result is not None
    return job.result
