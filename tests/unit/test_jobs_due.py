from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.due import DISPATCH_GRACE, SHARDS, due_shard, first_due_at, next_due_at
from jobs.job import JobId, JobStatus
from tests.builders import LEASE, NOW, a_job

SECOND = timedelta(seconds=1)
LATER = NOW + timedelta(minutes=5)


def test_a_waiting_job_is_due_soon_after_it_should_have_moved() -> None:
    retrying = a_job(status=JobStatus.PENDING_RETRY, not_before=LATER)

    assert first_due_at(a_job()) == NOW + timedelta(seconds=30)
    assert first_due_at(retrying) == LATER + timedelta(seconds=3)


def test_a_redriven_job_is_due_half_a_minute_after_its_redrive() -> None:
    assert first_due_at(a_job(queued_at=LATER)) == LATER + DISPATCH_GRACE


def test_a_job_is_due_no_later_than_it_may_have_to_expire() -> None:
    unstarted = a_job(start_timeout=5 * SECOND, run_timeout=SECOND)
    retrying = a_job(
        status=JobStatus.PENDING_RETRY,
        not_before=LATER,
        started_at=NOW,
        start_timeout=SECOND,
        run_timeout=10 * SECOND,
    )

    assert first_due_at(unstarted) == NOW + 5 * SECOND
    assert first_due_at(retrying) == NOW + 10 * SECOND


def test_a_long_time_to_start_does_not_put_the_first_look_off() -> None:
    assert first_due_at(a_job(start_timeout=timedelta(days=1))) == NOW + DISPATCH_GRACE


def test_each_sweep_doubles_the_wait_up_to_a_quarter_of_an_hour() -> None:
    waits = [(next_due_at(a_job(sweeps=sweeps), NOW) - NOW).total_seconds() for sweeps in range(8)]

    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]
    assert next_due_at(a_job(sweeps=10**6), NOW) == NOW + timedelta(minutes=15)


def test_a_swept_job_is_looked_at_again_no_later_than_it_may_have_to_expire() -> None:
    assert next_due_at(a_job(sweeps=5, start_timeout=40 * SECOND), NOW) == NOW + 40 * SECOND


def test_a_running_jobs_holder_keeps_its_time_and_not_the_sweep() -> None:
    running = a_job(
        status=JobStatus.RUNNING,
        lease_until=NOW + LEASE,
        started_at=NOW,
        start_timeout=SECOND,
        run_timeout=SECOND,
    )

    assert next_due_at(running, NOW) == NOW + DISPATCH_GRACE


@settings(deadline=None)
@given(text=st.text())
def test_due_shards_are_few_and_of_two_digits(text: str) -> None:
    assert due_shard(JobId(text)) in {f"{n:02d}" for n in range(SHARDS)}


def test_jobs_spread_over_all_due_shards() -> None:
    assert len({due_shard(JobId(f"job_{n:026d}")) for n in range(1000)}) == SHARDS
