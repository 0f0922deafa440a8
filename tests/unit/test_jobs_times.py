from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.times import read_time, written_time

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(
    min_value=datetime(1000, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 - the same
    timezones=ZONES,
)


def test_times_are_written_in_utc_with_milliseconds() -> None:
    summer = timezone(timedelta(hours=2))

    assert written_time(datetime(2026, 11, 23, 4, 38, 59, 120_999, tzinfo=UTC)) == (
        "2026-11-23T04:38:59.120Z"
    )
    assert written_time(datetime(2026, 11, 23, 4, 38, tzinfo=summer)) == "2026-11-23T02:38:00.000Z"


@settings(deadline=None)
@given(at=TIMES)
def test_a_time_survives_to_the_millisecond(at: datetime) -> None:
    read = read_time(written_time(at))

    assert read.tzinfo is not None
    assert timedelta(0) <= at - read < timedelta(milliseconds=1)


@settings(deadline=None)
@given(one=TIMES, other=TIMES)
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    if written_time(one) < written_time(other):
        assert one < other
    elif one < other:
        assert other - one < timedelta(milliseconds=1)


@pytest.mark.parametrize("text", ["", "now", "2026-13-01T00:00:00.000Z", "1795408739"])
def test_what_is_no_time_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_time(text)


@pytest.mark.parametrize("text", ["2026-11-23T04:38:59.120", "2026-11-23"])
def test_a_time_without_a_zone_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_time(text)
