"""Why an open job does not end, as far as its row tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jobs.division import Division
from jobs.find import look_at
from jobs.job import Job, JobError, JobStatus
from jobs.timeline import Step, StepName
from tests.builders import NOW, a_job

MINUTE = timedelta(minutes=1)
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
        (running(CLAIMED, left=-MINUTE), "its worker is gone; the sweep should have"),
        (waiting(), "waits for a worker; the sweep looks at it at"),
        (waiting(due_at=NOW - MINUTE), "does a feed run?"),
        (waiting(sweeps=3), "triggered again 3 times"),
        (
            waiting(status=JobStatus.PENDING_RETRY, not_before=NOW + MINUTE, error=THROTTLED),
            "after model_throttled",
        ),
    ],
    ids=["called", "prepared", "gone", "waits", "unswept", "swept", "backed off"],
)
def test_what_a_row_tells_of_its_wait_is_said(job: Job, words: str) -> None:
    assert words in look_at(job, NOW).why


def test_a_divided_job_says_how_many_parts_are_done() -> None:
    division = Division(plan="a" * 16, total=3, ended=frozenset({1}))  # type: ignore[arg-type] # any plan
    job = replace(running(CLAIMED), lease_until=None, division=division)

    stuck = look_at(job, NOW)

    assert stuck.why == "its parts run: 1 of 3 are done"
    assert stuck.holder is None


def test_only_who_runs_a_job_holds_it() -> None:
    assert look_at(running(CLAIMED), NOW).holder == WORKER
    assert look_at(waiting(timeline=(CLAIMED,)), NOW).holder is None
    assert look_at(running(CLAIMED, INVOKED), NOW).last_step is StepName.INVOKED
