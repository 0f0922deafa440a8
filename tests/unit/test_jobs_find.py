"""Why an open job does not end, as far as its row tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.division import Division
from jobs.find import Heard, look_at
from jobs.job import Job, JobError, JobStatus
from jobs.timeline import Step, StepName
from jobs.times import written_time
from tests.builders import NOW, a_job

MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=40)
THERE = Heard(listens=True, ago=timedelta(seconds=4))
THROTTLED = JobError(code="model_throttled", message="Too many requests", retryable=True)
WORKER = "worker@a:1"
CLAIMED = Step(name=StepName.CLAIMED, at=NOW, by=WORKER)
INVOKED = Step(name=StepName.INVOKED, at=NOW, by=WORKER, attempt=1)


def running(*steps: Step, left: timedelta = MINUTE) -> Job:
    return replace(
        a_job(),
        status=JobStatus.RUNNING,
        attempt=1,
        lease_until=NOW + left,
        due_at=NOW + left,
        timeline=steps,
    )


def waiting(**changes: object) -> Job:
    return replace(a_job(), **{"due_at": NOW + MINUTE, **changes})  # type: ignore[arg-type] # a job's fields


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (running(CLAIMED, INVOKED), "the model works on it"),
        (running(CLAIMED), "its worker prepares the call"),
        (waiting(), "waits for a worker; the sweep looks at it at"),
        (waiting(due_at=NOW - MINUTE), "does a feed run?"),
        (waiting(sweeps=3), "triggered again 3 times"),
        (
            waiting(status=JobStatus.PENDING_RETRY, not_before=NOW + MINUTE, error=THROTTLED),
            "after model_throttled",
        ),
    ],
    ids=["called", "prepared", "waits", "unswept", "swept", "backed off"],
)
def test_what_a_row_tells_of_its_wait_is_said(job: Job, words: str) -> None:
    assert words in look_at(job, NOW, lease=LEASE, heard=THERE).why


@pytest.mark.parametrize("sweeps", [0, 3])
def test_a_job_that_stands_in_line_is_told_from_one_that_nobody_has_taken(sweeps: int) -> None:
    job = waiting(sweeps=sweeps)

    def why(*, is_in_line: bool | None) -> str:
        return look_at(job, NOW, lease=LEASE, is_in_line=is_in_line).why

    assert why(is_in_line=True).startswith("stands in line for its turn: ")
    if sweeps:
        assert why(is_in_line=False).endswith("not claimed: no worker has taken it")
        assert why(is_in_line=None).endswith("no worker, no room, or its turn has not come")
    else:
        assert why(is_in_line=False).startswith("waits for a worker")


def test_a_worker_that_is_not_heard_of_is_named_with_when_its_job_is_taken_from_it() -> None:
    job = running(CLAIMED, INVOKED)
    gone, long_gone = Heard(listens=False, ago=timedelta(seconds=40)), Heard(listens=False)

    stuck = look_at(job, NOW, lease=LEASE, heard=gone)

    assert stuck.rescue_at == NOW + MINUTE + LEASE / 2
    assert stuck.why == (
        f"its worker {WORKER} has not been heard of for 40 s;"
        f" the sweep takes it up after {written_time(stuck.rescue_at)}"
    )
    assert "for more than a minute;" in look_at(job, NOW, lease=LEASE, heard=long_gone).why


def test_after_the_sweeps_first_look_the_job_is_taken_at_its_second() -> None:
    second = NOW + timedelta(seconds=5)
    job = replace(running(CLAIMED, left=-MINUTE), due_at=second)

    stuck = look_at(job, NOW, lease=LEASE, heard=Heard(listens=False))

    assert stuck.rescue_at == second
    assert f"after {written_time(second)}" in stuck.why


@pytest.mark.parametrize(
    ("left", "heard", "words"),
    [
        (-MINUTE, THERE, "lives and does not renew"),
        (MINUTE, Heard(listens=True, ago=timedelta(seconds=50)), "has said nothing for 50 s"),
        (MINUTE, Heard(listens=True), "the model works on it"),
        (MINUTE, None, "the model works on it, as its row has it: Redis does not say"),
        (-MINUTE, None, "its worker is gone; the sweep should have taken it up at"),
        (-MINUTE, Heard(listens=False), "does a feed run?"),
    ],
    ids=["does not renew", "hangs", "drains", "nobody knows", "over, nobody knows", "unswept"],
)
def test_a_job_is_with_its_worker_as_far_as_that_one_is_known(
    left: timedelta, heard: Heard | None, words: str
) -> None:
    assert words in look_at(running(CLAIMED, INVOKED, left=left), NOW, lease=LEASE, heard=heard).why


def test_a_divided_job_says_how_many_parts_are_done() -> None:
    division = Division(plan="a" * 16, total=3, ended=frozenset({1}))  # type: ignore[arg-type] # any plan
    job = replace(running(CLAIMED), lease_until=None, division=division)

    stuck = look_at(job, NOW, lease=LEASE)

    assert stuck.why == "its parts run: 1 of 3 are done"
    assert stuck.holder is None


def test_only_who_runs_a_job_holds_it() -> None:
    held = look_at(running(CLAIMED, INVOKED), NOW, lease=LEASE, heard=THERE)
    free = look_at(waiting(timeline=(CLAIMED,)), NOW, lease=LEASE)

    assert (held.holder, held.last_step) == (WORKER, StepName.INVOKED)
    assert (free.holder, free.rescue_at) == (None, None)
