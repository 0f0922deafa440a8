"""The verdict finds what it is there to find: each broken promise, planted, and each excuse."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobs.job import Inline, Job, JobError, JobStatus, Result
from jobs.timeline import Step, StepName
from tests.builders import NOW, a_job
from tests.faults.breaker import Strike
from tests.faults.evidence import Call, Change, Evidence
from tests.faults.fleet import Life
from tests.faults.load import JobKind, plan_jobs
from tests.faults.schedule import Fault, FaultKind
from tests.faults.verdict import judge
from tests.faults.watchers import Sight

if TYPE_CHECKING:
    from tests.faults.load import JobPlan

PID = 4711
HOLDER = f"worker@here:{PID}"
BEGIN = NOW.timestamp()


def a_plan(kind: JobKind) -> JobPlan:
    return next(plan for plan in plan_jobs(1, 300, over=60) if plan.kind is kind)


PLAIN = a_plan(JobKind.PLAIN)


def a_step(name: StepName, seconds: float, *, by: str = HOLDER, attempt: int = 1) -> Step:
    return Step(name=name, at=NOW + timedelta(seconds=seconds), by=by, attempt=attempt)


def an_ended_job(plan: JobPlan = PLAIN, **changes: Any) -> Job:  # noqa: ANN401 - a Job's own fields
    completed = a_job(
        metadata={"number": "0"},
        status=JobStatus.COMPLETED,
        attempt=1,
        epoch=1,
        seq=1_000_009,
        due_at=None,
        ended_at=NOW + timedelta(seconds=5),
        updated_at=NOW + timedelta(seconds=5),
        result=Result(payload=Inline(text=plan.text), usage=None, stop_reason="end_turn"),
        timeline=(
            a_step(StepName.CLAIMED, 0.9),
            a_step(StepName.INVOKED, 1),
            a_step(StepName.COMPLETED, 5),
        ),
    )
    return replace(completed, **changes)


def a_call(n: int = 1, *, outcome: str = "completed", at: float = 1.0, attempt: int = 1) -> Call:
    return Call(
        n=n, attempt=attempt, started_at=BEGIN + at, ended_at=BEGIN + at + 3, outcome=outcome
    )


def a_strike(
    kind: FaultKind, *, at: float, seconds: float = 0, pid: int | None = PID, step: int = 0
) -> Strike:
    return Strike(
        fault=Fault(kind=kind, at=at, seconds=seconds, member=0, step=step),
        began_at=BEGIN + at,
        ended_at=BEGIN + at + seconds,
        pid=pid,
        name="worker-1" if pid else "",
    )


def a_sight(seq: int, event: str, *, connection: int = 1) -> Sight:
    return Sight(at=BEGIN, connection=connection, job_id=a_job().id, seq=seq, event=event)


def promises_broken(job: Job, plan: JobPlan = PLAIN, **changes: Any) -> list[str]:  # noqa: ANN401 - Evidence's own fields
    given: dict[str, Any] = {
        "plans": [plan],
        "accepted": {0: job.id},
        "jobs": {job.id: job},
        "texts": {job.id: plan.text},
        "calls": {job.id: [a_call()]},
        "changes": [],
        "strikes": [],
        "lives": [],
    }
    return [finding.promise for finding in judge(Evidence(**(given | changes)))]


def test_a_job_that_ran_as_it_should_breaks_no_promise() -> None:
    assert promises_broken(an_ended_job()) == []


def test_a_job_that_is_not_in_the_table_was_lost() -> None:
    assert promises_broken(an_ended_job(), jobs={}) == ["durable before 202"]


def test_a_job_without_an_outcome_is_found() -> None:
    job = an_ended_job(status=JobStatus.PENDING, result=None, ended_at=None)

    assert promises_broken(job, calls={}) == ["every job ends"]


def test_a_result_that_is_not_the_answer_is_found() -> None:
    job = an_ended_job()

    assert promises_broken(job, texts={job.id: "half of it"}) == ["the whole result"]
    assert "the whole result" in promises_broken(job, calls={})


def test_a_failure_that_nothing_explains_is_found() -> None:
    error = JobError(code="interrupted", message="?", retryable=True)
    job = an_ended_job(status=JobStatus.FAILED, result=None, error=error)

    assert promises_broken(job) == ["the outcome that was due"]
    assert promises_broken(job, strikes=[a_strike(FaultKind.KILL_WORKER, at=2)]) == []


SECOND_CALL = [a_call(outcome="client_gone"), a_call(2, at=8, attempt=2)]


def called_twice(**changes: Any) -> list[str]:  # noqa: ANN401 - Evidence's own fields
    steps = (a_step(StepName.INVOKED, 1), a_step(StepName.INVOKED, 7.9, attempt=2))
    job = an_ended_job(attempt=2, timeline=steps)
    return promises_broken(job, calls={job.id: SECOND_CALL}, **changes)


def test_a_second_call_that_nothing_explains_is_found() -> None:
    assert called_twice() == ["paid once"]


@pytest.mark.parametrize(
    "strike",
    [
        a_strike(FaultKind.KILL_WORKER, at=3),
        a_strike(FaultKind.STOP_WORKER_LONG, at=2, seconds=8),
        a_strike(FaultKind.DRAIN_WORKER, at=3),
        a_strike(FaultKind.STORE_AWAY, at=2, seconds=7, pid=None),
    ],
    ids=lambda strike: strike.fault.kind,
)
def test_a_worker_that_was_hit_in_mid_call_explains_one(strike: Strike) -> None:
    assert called_twice(strikes=[strike]) == []


@pytest.mark.parametrize(
    "strike",
    [
        a_strike(FaultKind.KILL_WORKER, at=3, pid=4712),
        a_strike(FaultKind.KILL_WORKER, at=30),
        a_strike(FaultKind.STOP_WORKER_SHORT, at=2, seconds=2),
        a_strike(FaultKind.STORE_REFUSES, at=2, seconds=2, pid=None),
        a_strike(FaultKind.PAUSE_REDIS, at=2, seconds=8, pid=None),
    ],
    ids=["another worker", "later", "a short stop", "a short outage", "Redis"],
)
def test_a_fault_that_takes_no_claim_explains_none(strike: Strike) -> None:
    assert called_twice(strikes=[strike]) == ["paid once"]


AHEAD = a_strike(FaultKind.CLOCK_FORWARD_WORKER, at=0, seconds=9, step=30)
BEHIND = a_strike(FaultKind.CLOCK_BACK_WORKER, at=0, seconds=9, step=-30)
TAKER = f"worker@here:{PID + 1}"


@pytest.mark.parametrize(
    ("strike", "promises"),
    [
        (replace(AHEAD, pid=PID + 1), []),
        (AHEAD, ["paid once"]),
        (BEHIND, []),
        (replace(BEHIND, pid=PID + 1), ["paid once"]),
        (replace(BEHIND, ended_at=BEGIN - 9), ["paid once"]),
        (replace(AHEAD, pid=PID + 1, name="feed-1"), ["paid once"]),
    ],
    ids=["ahead: takes", "ahead: holds", "behind: holds", "behind: takes", "before", "a feed"],
)
def test_a_clock_that_is_off_explains_a_job_taken_from_one_who_is_behind_or_by_one_who_is_ahead(
    strike: Strike, promises: list[str]
) -> None:
    steps = (a_step(StepName.INVOKED, 1), a_step(StepName.INVOKED, 7.9, attempt=2, by=TAKER))
    job = an_ended_job(attempt=2, timeline=steps)

    assert promises_broken(job, calls={job.id: SECOND_CALL}, strikes=[strike]) == promises


@pytest.mark.parametrize(
    ("strikes", "promises"),
    [([AHEAD], []), ([BEHIND], ["marked before it is paid"]), ([], ["marked before it is paid"])],
    ids=["ahead", "behind", "right"],
)
def test_a_mark_is_read_by_the_clock_that_wrote_it(
    strikes: list[Strike], promises: list[str]
) -> None:
    job = an_ended_job(timeline=(a_step(StepName.INVOKED, 31),))

    assert promises_broken(job, strikes=strikes) == promises


def test_a_job_that_ran_too_long_is_explained_by_a_claimers_clock_alone() -> None:
    plan = a_plan(JobKind.TIMED)
    job = an_ended_job(
        plan, run_timeout=timedelta(seconds=3), started_at=NOW, metadata={"number": "0"}
    )

    assert promises_broken(job, plan) == ["the outcome that was due"]
    assert promises_broken(job, plan, strikes=[BEHIND]) == []
    assert promises_broken(job, plan, strikes=[replace(BEHIND, pid=PID + 1)]) != []


def test_a_throttled_call_needs_no_excuse() -> None:
    steps = (a_step(StepName.INVOKED, 1), a_step(StepName.INVOKED, 7.9, attempt=2))
    job = an_ended_job(attempt=2, timeline=steps)
    calls = [a_call(outcome="throttled"), a_call(2, at=8, attempt=2)]

    assert promises_broken(job, calls={job.id: calls}) == []


def test_a_call_without_a_mark_is_found() -> None:
    assert promises_broken(an_ended_job(timeline=())) == ["marked before it is paid"]


RUNNING = a_job(
    status=JobStatus.RUNNING,
    epoch=2,
    seq=2_000_001,
    attempt=2,
    updated_at=NOW,
    lease_until=NOW + timedelta(seconds=5),
)
DONE = replace(
    RUNNING,
    status=JobStatus.COMPLETED,
    seq=2_000_002,
    timeline=(a_step(StepName.COMPLETED, 5),),
)


@pytest.mark.parametrize(
    ("before", "after", "promise"),
    [
        (DONE, RUNNING, "only legal transitions"),
        (RUNNING, replace(DONE, epoch=1), "the epoch never falls"),
        (RUNNING, replace(DONE, seq=7), "seq rises strictly"),
        (DONE, replace(DONE, epoch=3, seq=3_000_001), "an end is an end"),
        (RUNNING, replace(RUNNING, epoch=3, seq=3_000_001), "one claim at a time"),
        (RUNNING, replace(DONE, timeline=(a_step(StepName.COMPLETED, 5, by="w@x:1"),)), "only the"),
    ],
)
def test_a_change_that_no_transition_makes_is_found(before: Job, after: Job, promise: str) -> None:
    change = Change(number=1, before=before, after=after, worker_before=HOLDER)

    broken = promises_broken(an_ended_job(), changes=[change])

    assert any(one.startswith(promise) for one in broken), broken


def test_the_holders_own_settling_is_legal() -> None:
    change = Change(number=1, before=RUNNING, after=DONE, worker_before=HOLDER)

    assert promises_broken(an_ended_job(), changes=[change]) == []


@pytest.mark.parametrize(
    ("sights", "promises"),
    [
        ([a_sight(1, "job.queued"), a_sight(9, "job.completed")], []),
        ([a_sight(1, "job.queued")], ["every watcher is told"]),
        ([a_sight(9, "job.delta"), a_sight(9, "job.completed")], ["seq rises for watchers"]),
        (
            [a_sight(9, "job.completed"), a_sight(10, "job.delta", connection=2)],
            ["the end comes last"],
        ),
    ],
    ids=["all is well", "no end", "a number twice", "text after the end"],
)
def test_what_a_watcher_saw_is_checked(sights: list[Sight], promises: list[str]) -> None:
    job = an_ended_job()
    watched = {"watcher-1": frozenset({job.id})}

    assert promises_broken(job, sights={"watcher-1": sights}, watched=watched) == promises


def test_a_process_that_ends_by_itself_is_found() -> None:
    life = Life(
        name="worker-1",
        pid=PID,
        started_at=BEGIN,
        ready_at=BEGIN,
        ended_at=BEGIN + 9,
        was_ended_by_us=False,
    )

    assert promises_broken(an_ended_job(), lives=[life]) == ["processes outlive faults"]


def test_an_answer_that_is_neither_yes_nor_later_is_found() -> None:
    answers = {"submit: 202": 9, "submit: 503": 1, "submit: 500": 1, "submit: ReadTimeout": 1}

    assert promises_broken(an_ended_job(), answers=answers) == ["a clear answer"]
