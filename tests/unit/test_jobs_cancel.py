from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from adapters.memory import MemoryEvents, MemoryJobStore
from jobs.cancel import cancel_job
from jobs.claim import Claim
from jobs.errors import ClaimLost, JobMoved, JobNotFound, Unavailable
from jobs.events import EventType
from jobs.job import Inline, JobStatus, Result
from jobs.outcome import Cancelled, Completed, Retrying
from jobs.run import run_job
from jobs.timeline import StepName
from tests.builders import (
    JOB_ID,
    NOW,
    Answer,
    RecordingLog,
    ScriptedModel,
    ShakyJobStore,
    a_job,
    a_task,
    cancel_parts,
    claim_terms,
    run_parts,
    store_away,
    throttled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.cancel import CancelParts
    from jobs.events import Event
    from jobs.job import Job
    from jobs.outcome import Change


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
