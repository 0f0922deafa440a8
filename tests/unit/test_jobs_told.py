"""What log lines tell of jobs, of which metrics are made."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from jobs.job import JobError, JobStatus
from jobs.timeline import Step, StepName
from jobs.told import accepted_at, described, seconds, waited
from tests.builders import NOW, a_job


def later(number: int) -> timedelta:
    return timedelta(seconds=number)


def test_a_job_was_accepted_when_it_was_made_or_last_redriven() -> None:
    job = replace(a_job(), created_at=NOW, queued_at=NOW + later(50))
    redrives = tuple(
        Step(name=StepName.REDRIVEN, at=NOW + later(number), by="web@x:1") for number in (10, 20)
    )

    assert accepted_at(job) == NOW
    assert accepted_at(replace(job, timeline=redrives)) == NOW + later(20)


def test_only_the_first_claim_of_a_round_tells_how_long_the_job_waited() -> None:
    claimed = replace(a_job(), created_at=NOW, started_at=NOW + later(4))
    unsharp = NOW + later(4) + timedelta(microseconds=600)  # the row keeps milliseconds

    assert waited(claimed, unsharp) == {"waited_seconds": 4.001}
    assert waited(claimed, NOW + later(9)) == {}
    assert waited(replace(claimed, started_at=None), NOW) == {}


def test_a_clock_that_is_behind_makes_no_negative_wait() -> None:
    assert seconds(timedelta(seconds=-3)) == 0


def test_a_job_that_goes_on_has_no_age_and_one_that_failed_says_why() -> None:
    running = replace(a_job(), status=JobStatus.RUNNING, created_at=NOW)
    error = JobError(code="model_timeout", message="secret words", retryable=True)
    failed = replace(running, status=JobStatus.FAILED, ended_at=NOW + later(7), error=error)

    assert described(running) == {"status": JobStatus.RUNNING, "model": running.model}
    assert described(failed) == {
        "status": JobStatus.FAILED,
        "model": running.model,
        "error": "model_timeout",
        "age_seconds": 7,
    }
