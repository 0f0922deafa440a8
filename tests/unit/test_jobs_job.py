import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.job import Inline, JobStatus, new_job_id, parse_job_id
from tests.builders import JOB_ID, NOW

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: no i, l, o, u
ENTROPY = st.binary(min_size=10, max_size=10)
TIMES = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
)


@settings(deadline=None)
@given(now=TIMES, entropy=ENTROPY)
def test_a_new_id_is_an_id(now: datetime, entropy: bytes) -> None:
    job_id = new_job_id(now, entropy)

    assert re.fullmatch(rf"job_[{DIGITS}]{{26}}", job_id)
    assert parse_job_id(job_id) == job_id


@settings(deadline=None)
@given(now=TIMES, later=st.integers(2, 10**12), entropy=ENTROPY, other=ENTROPY)
def test_ids_sort_by_time(now: datetime, later: int, entropy: bytes, other: bytes) -> None:
    then = now + timedelta(milliseconds=later)

    assert new_job_id(now, entropy) < new_job_id(then, other)


@settings(deadline=None)
@given(now=TIMES, entropy=ENTROPY, other=ENTROPY)
def test_ids_of_one_moment_differ_by_their_entropy(
    now: datetime, entropy: bytes, other: bytes
) -> None:
    same = new_job_id(now, entropy) == new_job_id(now, other)

    assert same == (entropy == other)


def test_only_ten_bytes_of_entropy_are_taken() -> None:
    assert new_job_id(NOW, b"0123456789") == new_job_id(NOW, b"0123456789 and more")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "job_",
        JOB_ID.upper(),
        JOB_ID.removeprefix("job_"),
        JOB_ID + "0",
        JOB_ID[:-1],
        JOB_ID + "\n",
        " " + JOB_ID,
        JOB_ID[:-1] + "i",
        JOB_ID[:-1] + "u",
        JOB_ID[:-1] + "\u0661",  # a digit, but not ours
        JOB_ID.replace("job_", "job-"),
        "../" + JOB_ID,
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    assert parse_job_id(text) is None


@settings(deadline=None)
@given(
    text=st.text()
    | st.text(DIGITS + "ilou-_", min_size=24, max_size=28).map("job_".__add__)
    | st.text(DIGITS, min_size=26, max_size=26).map("job_".__add__)
)
def test_everything_but_26_of_crockfords_digits_is_refused(text: str) -> None:
    digits = text.removeprefix("job_")
    looks_right = text.startswith("job_") and len(digits) == 26 and set(digits) <= set(DIGITS)

    assert parse_job_id(text) == (text if looks_right else None)


def test_the_status_words_are_the_contracts() -> None:
    assert {str(status) for status in JobStatus} == {
        "PENDING",
        "PENDING_RETRY",
        "RUNNING",
        "COMPLETED",
        "FAILED",
        "CANCELLED",
        "EXPIRED",
    }


def test_four_statuses_are_ends() -> None:
    assert [status for status in JobStatus if status.is_terminal] == [
        JobStatus.COMPLETED,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
        JobStatus.EXPIRED,
    ]


def test_two_statuses_wait_for_a_worker() -> None:
    assert [status for status in JobStatus if status.is_pending] == [
        JobStatus.PENDING,
        JobStatus.PENDING_RETRY,
    ]


@settings(deadline=None)
@given(text=st.text())
def test_a_payloads_size_is_its_bytes_and_not_its_characters(text: str) -> None:
    assert Inline(text=text).size == len(text.encode("utf-8"))
