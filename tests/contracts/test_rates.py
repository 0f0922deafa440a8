"""jobs.rate.Rates, in memory and on Redis: each promise of its docstring."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.clock import SystemClock
from adapters.memory_limits import MemoryRates
from adapters.redis_events import connect_redis
from adapters.redis_rate import RedisRates
from jobs.errors import Unavailable
from jobs.job import UserId
from jobs.rate import Quota, Rates, allowance_of
from tests.stack import RedisServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import LocalStack

HOUR = timedelta(hours=1)
FIVE = Quota(name="default", calls=5, window=HOUR)
TWO = Quota(name="submit", calls=2, window=HOUR)


@pytest.fixture(params=["memory", "redis"])
def rates(request: pytest.FixtureRequest) -> Iterator[Rates]:
    if request.param == "memory":
        yield MemoryRates(SystemClock())
        return
    stand_ins: LocalStack = request.getfixturevalue("stand_ins")
    with connect_redis(stand_ins.redis_url, connections=20) as client:
        yield RedisRates(client)


def someone() -> UserId:
    return UserId(f"user:{secrets.token_hex(4)}")


def test_so_many_calls_pass_and_no_more(rates: Rates) -> None:
    ada = someone()

    told = [rates.take(ada, [FIVE])[0] for _ in range(6)]

    assert [one.remaining for one in told] == [4, 3, 2, 1, 0, 0]
    assert [one.retry_in is None for one in told] == [True] * 5 + [False]
    assert told[0].full_in <= HOUR / 5
    assert told[5].retry_in is not None
    assert timedelta(0) < told[5].retry_in <= HOUR / 5
    assert HOUR * 0.9 < told[5].full_in <= HOUR


def test_more_callers_than_connections_wait_for_one(stand_ins: LocalStack) -> None:
    ada = someone()
    many = Quota(name="default", calls=1000, window=HOUR)

    with (
        connect_redis(stand_ins.redis_url, connections=4) as client,
        ThreadPoolExecutor(12) as callers,
    ):
        told = list(callers.map(lambda _: RedisRates(client).take(ada, [many]), range(120)))

    assert len(told) == 120


def test_each_user_and_each_quota_counts_by_itself(rates: Rates) -> None:
    ada, bob = someone(), someone()
    for _ in range(5):
        rates.take(ada, [FIVE])

    assert rates.take(ada, [FIVE])[0].retry_in is not None
    assert rates.take(ada, [TWO])[0].remaining == 1
    assert rates.take(bob, [FIVE])[0].remaining == 4


def test_a_call_that_one_quota_refuses_takes_from_none(rates: Rates) -> None:
    ada = someone()
    for _ in range(2):
        rates.take(ada, [FIVE, TWO])

    for _ in range(10):
        _, submits = rates.take(ada, [FIVE, TWO])
        assert submits.retry_in is not None

    assert rates.take(ada, [FIVE])[0].remaining == 2


def test_what_was_taken_comes_back_with_time(rates: Rates) -> None:
    ada, quick = someone(), Quota(name="default", calls=2, window=timedelta(seconds=0.4))
    for _ in range(2):
        rates.take(ada, [quick])

    def passes() -> bool:
        return rates.take(ada, [quick])[0].retry_in is None

    wait_until(passes, "one call fits again", within=10)


def test_of_those_who_race_no_more_pass_than_there_is_room_for(rates: Rates) -> None:
    ada = someone()

    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: rates.take(ada, [FIVE])[0], range(32)))

    assert sum(one.retry_in is None for one in told) == 5


def test_a_smaller_window_than_before_does_not_shut_anybody_out_for_long(rates: Rates) -> None:
    ada = someone()
    for _ in range(5):
        rates.take(ada, [FIVE])

    [told] = rates.take(ada, [Quota(name="default", calls=5, window=timedelta(seconds=10))])

    assert told.retry_in is not None
    assert told.retry_in <= timedelta(seconds=2)


def test_in_redis_what_is_counted_goes_by_itself(stand_ins: LocalStack) -> None:
    ada = someone()
    with connect_redis(stand_ins.redis_url, connections=1) as client:
        RedisRates(client).take(ada, [FIVE])
        assert 0 < client.pttl(f"longhaul:rate:default:{ada}") <= HOUR.total_seconds() * 1000


def test_without_redis_nobody_can_tell(tmp_path: Path) -> None:
    with (
        connect_redis(RedisServer(tmp_path).url, connections=1) as client,
        pytest.raises(Unavailable),
    ):
        RedisRates(client).take(someone(), [FIVE])


def test_a_call_takes_its_step_of_the_window() -> None:
    assert allowance_of(FIVE, HOUR / 5).remaining == 4
    assert allowance_of(FIVE, HOUR).remaining == 0
    assert allowance_of(FIVE, HOUR).retry_in is None
    assert allowance_of(FIVE, HOUR + HOUR / 5).retry_in == HOUR / 5
