"""Transitions: what each write does to a job, and what no sequence of them can do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobs import seq
from jobs.job import Inline, Job, JobError, JobStatus, Result
from jobs.outcome import Cancelled, Completed, Expired, Failed, Redriven, Retrying
from jobs.timeline import Step, StepName
from jobs.transitions import changed, claimed, is_claimable, settled
from tests.builders import LEASE, NOW, a_job, claim_terms

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from jobs.outcome import Change, Outcome

SECOND = timedelta(seconds=1)
RETRY_GRACE = timedelta(seconds=3)
LATER = NOW + timedelta(minutes=5)
ERROR = JobError(code="model_throttled", message="Too many requests", retryable=True)
RESULT = Result(payload=Inline(text="Hello"), usage=None, stop_reason="end_turn")
ENDED = [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED]


def a_step(name: StepName, at: datetime = LATER) -> Step:
    return Step(name=name, at=at, by="test@test:1")


def a_running_job(**changes: object) -> Job:
    running = claimed(a_job(retry_counts=(1,), sweeps=3), claim_terms())
    return replace(running, **changes)  # type: ignore[arg-type] # a Job's own fields


def completed(number: int = 1_000_005) -> Completed:
    step = a_step(StepName.COMPLETED)
    return Completed(at=LATER, seq=number, result=RESULT, steps=(step,))


def failed(number: int = 1_000_005) -> Failed:
    return Failed(at=LATER, seq=number, error=ERROR, steps=(a_step(StepName.FAILED),))


def expired(number: int = 1_000_005) -> Expired:
    return Expired(at=LATER, seq=number, error=ERROR, steps=(a_step(StepName.EXPIRED),))


def retrying(number: int = 1_000_005, *, gives_back: bool = False) -> Retrying:
    return Retrying(
        at=LATER,
        seq=number,
        error=ERROR,
        delay=3 * SECOND,
        retry_counts=(2,),
        steps=(a_step(StepName.RETRYING),),
        gives_back=gives_back,
    )


def cancelled(number: int) -> Cancelled:
    return Cancelled(at=LATER, seq=number, steps=(a_step(StepName.CANCELLED),))


def redriven(number: int, *, max_attempts: int = 10) -> Redriven:
    step = a_step(StepName.REDRIVEN)
    return Redriven(at=LATER, seq=number, max_attempts=max_attempts, steps=(step,))


@pytest.mark.parametrize(
    ("job", "claimable"),
    [
        (a_job(), True),
        (a_job(status=JobStatus.PENDING_RETRY), True),
        (a_job(status=JobStatus.PENDING_RETRY, not_before=NOW), True),
        (a_job(status=JobStatus.PENDING_RETRY, not_before=NOW + SECOND), False),
        (a_job(status=JobStatus.RUNNING, lease_until=NOW - SECOND), True),
        (a_job(status=JobStatus.RUNNING, lease_until=NOW), False),
        (a_job(status=JobStatus.RUNNING, lease_until=NOW + SECOND), False),
        (a_job(status=JobStatus.RUNNING, lease_until=None), False),
        *((a_job(status=status, lease_until=NOW - SECOND), False) for status in ENDED),
    ],
)
def test_who_waits_or_was_left_may_be_claimed_and_nobody_else(*, job: Job, claimable: bool) -> None:
    assert is_claimable(job, NOW) is claimable


@pytest.mark.parametrize(
    "job",
    [
        a_job(sweeps=4),
        a_job(status=JobStatus.PENDING_RETRY, attempt=2, epoch=2, error=ERROR, not_before=NOW),
        a_job(status=JobStatus.RUNNING, attempt=1, epoch=1, lease_until=NOW - SECOND),
    ],
)
def test_a_claim_raises_epoch_and_attempt_and_takes_the_lease(job: Job) -> None:
    step = a_step(StepName.CLAIMED)

    after = claimed(job, claim_terms(at=LATER, steps=(step,)))

    assert after.status is JobStatus.RUNNING
    assert (after.epoch, after.attempt) == (job.epoch + 1, job.attempt + 1)
    assert after.seq == seq.first_in(job.epoch + 1)
    assert (after.lease_until, after.due_at, after.sweeps) == (LATER + LEASE, LATER + LEASE, 0)
    assert (after.not_before, after.error, after.updated_at) == (None, None, LATER)
    assert after.timeline == (*job.timeline, step)


def test_only_the_first_claim_says_when_the_job_started() -> None:
    first = claimed(a_job(), claim_terms(at=NOW + SECOND))
    second = claimed(first, claim_terms(at=LATER))

    assert (first.started_at, second.started_at) == (NOW + SECOND, NOW + SECOND)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (completed(), JobStatus.COMPLETED),
        (failed(), JobStatus.FAILED),
        (expired(), JobStatus.EXPIRED),
    ],
)
def test_an_outcome_that_ends_the_job_leaves_nothing_to_wait_for(
    outcome: Outcome, status: JobStatus
) -> None:
    job = a_running_job()

    after = settled(job, outcome)

    assert (after.status, after.ended_at, after.updated_at) == (status, LATER, LATER)
    assert (after.epoch, after.attempt, after.seq) == (1, 1, 1_000_005)
    assert (after.lease_until, after.due_at, after.not_before, after.sweeps) == (
        None,
        None,
        None,
        0,
    )
    assert after.timeline == (*job.timeline, *outcome.steps)


def test_only_a_completion_brings_a_result_and_only_the_others_an_error() -> None:
    job = a_running_job()

    assert (settled(job, completed()).result, settled(job, completed()).error) == (RESULT, None)
    for outcome in (failed(), expired(), retrying()):
        assert (settled(job, outcome).result, settled(job, outcome).error) == (None, ERROR)


def test_a_retry_releases_the_claim_and_waits_in_the_row() -> None:
    job = a_running_job()

    after = settled(job, retrying())

    assert after.status is JobStatus.PENDING_RETRY
    assert (after.not_before, after.retry_counts) == (LATER + 3 * SECOND, (2,))
    assert (after.lease_until, after.ended_at) == (None, None)
    assert (after.due_at, after.sweeps) == (LATER + 3 * SECOND + RETRY_GRACE, 0)
    assert (after.epoch, after.attempt, after.started_at) == (1, 1, NOW)


def test_an_attempt_that_made_no_call_is_given_back() -> None:
    job = a_running_job()

    assert settled(job, retrying(gives_back=True)).attempt == job.attempt - 1
    assert settled(job, retrying(gives_back=True)).epoch == job.epoch


@pytest.mark.parametrize(
    "job",
    [a_job(), a_running_job(), settled(a_running_job(), retrying())],
    ids=lambda job: job.status,
)
@pytest.mark.parametrize(
    ("make", "status", "error"),
    [(cancelled, JobStatus.CANCELLED, None), (expired, JobStatus.EXPIRED, ERROR)],
)
def test_a_change_takes_the_job_from_whoever_holds_it_and_ends_it(
    job: Job, make: Callable[[int], Change], status: JobStatus, error: JobError | None
) -> None:
    number = seq.next_first(job.epoch)
    change = make(number)

    after = changed(job, change)

    assert (after.status, after.ended_at, after.error) == (status, LATER, error)
    assert (after.epoch, after.seq, after.attempt) == (job.epoch + 1, number, job.attempt)
    assert after.seq > job.seq
    assert (after.lease_until, after.due_at, after.not_before, after.sweeps) == (
        None,
        None,
        None,
        0,
    )
    assert after.timeline == (*job.timeline, *change.steps)


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED])
def test_a_redrive_begins_a_new_round_and_goes_on_counting(status: JobStatus) -> None:
    job = a_job(
        status=status,
        attempt=5,
        epoch=5,
        seq=5_000_007,
        retry_counts=(4,),
        started_at=NOW,
        ended_at=NOW + SECOND,
        error=ERROR,
        start_timeout=10 * SECOND,
        run_timeout=10 * SECOND,
    )

    after = changed(job, redriven(6_000_001))

    assert (after.status, after.epoch, after.seq) == (JobStatus.PENDING, 6, 6_000_001)
    assert (after.attempt, after.max_attempts, after.retry_counts) == (5, 10, ())
    assert (after.started_at, after.ended_at, after.error) == (None, None, None)
    assert (after.queued_at, after.created_at) == (LATER, NOW)
    assert (after.start_by, after.run_by) == (LATER + 10 * SECOND, None)
    assert (after.due_at, after.sweeps) == (LATER + 10 * SECOND, 0)


MOMENTS = st.integers(0, 200).map(lambda tenths: timedelta(seconds=tenths / 10))


class LifeMachine(RuleBasedStateMachine):
    """Any sequence of legal transitions, against what design.md says always holds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.job = a_job(max_attempts=5)
        self.before = self.job
        self.number = self.job.seq
        self.told = [self.job.seq]
        self.left_by_redrive = False

    @rule(moment=MOMENTS)
    def let_time_pass(self, moment: timedelta) -> None:
        self.now += moment

    @precondition(lambda self: is_claimable(self.job, self.now))
    @rule()
    def claim(self) -> None:
        self._become(claimed(self.job, claim_terms(at=self.now)))
        self.number = self.job.seq
        assert self.job.epoch == self.before.epoch + 1

    @precondition(lambda self: self.job.status is JobStatus.RUNNING)
    @rule(deltas=st.integers(0, 50))
    def tell(self, deltas: int) -> None:
        self.number += deltas

    @precondition(lambda self: self.job.status is JobStatus.RUNNING)
    @rule()
    def renew(self) -> None:
        until = self.now + LEASE
        self.job = replace(self.job, lease_until=until, due_at=until)

    @precondition(lambda self: self.job.status is JobStatus.RUNNING)
    @rule(kind=st.sampled_from(["complete", "fail", "expire", "retry", "hand over"]))
    def settle(self, kind: str) -> None:
        makers = {
            "complete": completed,
            "fail": failed,
            "expire": expired,
            "retry": retrying,
            "hand over": lambda number: retrying(number, gives_back=True),
        }
        outcome: Outcome = replace(makers[kind](self.number + 1), at=self.now)  # type: ignore[operator] # mypy joins the makers to object
        self._become(settled(self.job, outcome))
        assert self.job.epoch == self.before.epoch

    @precondition(lambda self: not self.job.status.is_terminal)
    @rule(make=st.sampled_from([cancelled, expired]))
    def end_from_outside(self, make: Callable[[int], Change]) -> None:
        change = make(seq.next_first(self.job.epoch))
        self._become(changed(self.job, replace(change, at=self.now)))
        assert self.job.epoch == self.before.epoch + 1

    @precondition(
        lambda self: self.job.status.is_terminal and self.job.status is not JobStatus.COMPLETED
    )
    @rule(round_of=st.integers(1, 5))
    def redrive(self, round_of: int) -> None:
        number = seq.next_first(self.job.epoch)
        change = redriven(number, max_attempts=self.job.attempt + round_of)
        self.left_by_redrive = True
        self._become(changed(self.job, replace(change, at=self.now)))
        assert self.job.epoch == self.before.epoch + 1

    def _become(self, job: Job) -> None:
        self.before, self.job = self.job, job
        self.told.append(job.seq)

    @invariant()
    def numbers_rise_strictly(self) -> None:
        assert all(one < other for one, other in zip(self.told, self.told[1:], strict=False))
        assert self.told[-1] == self.job.seq
        assert self.job.seq == 1 or self.job.seq // seq.BLOCK == self.job.epoch

    @invariant()
    def the_epoch_never_falls(self) -> None:
        assert self.before.epoch <= self.job.epoch
        assert 0 <= self.job.attempt <= self.job.epoch

    @invariant()
    def an_ended_job_is_left_by_a_redrive_alone(self) -> None:
        if self.before.status.is_terminal and not self.job.status.is_terminal:
            assert self.left_by_redrive
            assert self.before.status is not JobStatus.COMPLETED
        self.left_by_redrive = False
        self.before = self.job

    @invariant()
    def someone_looks_again_unless_the_job_has_ended(self) -> None:
        ended = self.job.status.is_terminal
        assert (self.job.due_at is None) is ended
        assert (self.job.ended_at is not None) is ended

    @invariant()
    def only_a_running_job_has_a_lease_and_only_a_waiting_one_a_wait(self) -> None:
        job = self.job
        assert (job.lease_until is not None) is (job.status is JobStatus.RUNNING)
        assert job.not_before is None or job.status is JobStatus.PENDING_RETRY

    @invariant()
    def only_a_completed_job_has_a_result(self) -> None:
        assert (self.job.result is not None) is (self.job.status is JobStatus.COMPLETED)


TestAnyLife = LifeMachine.TestCase
TestAnyLife.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
