import pytest

from adapters.memory import MemoryJobStore
from jobs.errors import JobNotEnded, JobNotFound, NoResult
from jobs.job import Inline, JobError, JobId, JobStatus, Result, UserId
from jobs.results import get_own_job, result_of
from tests.builders import JOB_ID, a_job

RESULT = Result(payload=Inline(text="Hello"), usage=None, stop_reason="end_turn")


def test_a_user_reads_their_own_job() -> None:
    store = MemoryJobStore()
    store.add(a_job(user=UserId("ada")))

    assert get_own_job(JOB_ID, UserId("ada"), store) == a_job(user=UserId("ada"))


def test_anothers_job_is_as_if_it_were_not_there() -> None:
    store = MemoryJobStore()
    store.add(a_job(user=UserId("ada")))

    with pytest.raises(JobNotFound) as anothers:
        get_own_job(JOB_ID, UserId("bob"), store)
    with pytest.raises(JobNotFound) as nobodys:
        get_own_job(JobId(JOB_ID[:-1] + "z"), UserId("bob"), store)

    assert str(anothers.value)[:-1] == str(nobodys.value)[:-1]


def test_a_completed_job_has_its_result() -> None:
    assert result_of(a_job(status=JobStatus.COMPLETED, result=RESULT)) == RESULT


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.PENDING_RETRY, JobStatus.RUNNING])
def test_a_job_that_has_not_ended_has_no_result_yet(status: JobStatus) -> None:
    with pytest.raises(JobNotEnded, match=status):
        result_of(a_job(status=status))


def test_a_failed_job_says_why_there_is_no_result() -> None:
    error = JobError(code="model_throttled", message="Too many requests", retryable=True)

    with pytest.raises(NoResult, match="Too many requests"):
        result_of(a_job(status=JobStatus.FAILED, error=error))


@pytest.mark.parametrize("status", [JobStatus.CANCELLED, JobStatus.EXPIRED])
def test_a_job_that_ended_otherwise_has_no_result(status: JobStatus) -> None:
    with pytest.raises(NoResult, match=status):
        result_of(a_job(status=status))
