"""jobs.in_flight.OpenJobs, in memory and on Redis: each promise of its docstrings."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.memory import ManualClock
from adapters.memory_limits import MemoryOpenJobs
from adapters.redis_events import connect_redis
from adapters.redis_open_jobs import RedisOpenJobs
from jobs.errors import Unavailable
from jobs.in_flight import KEPT, SUBMIT_TAKES, OpenJobs
from jobs.job import JobId, UserId
from tests.stack import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.stack import LocalStack

MOMENT = timedelta(milliseconds=1)
ONE, TWO, THREE = JobId("job_1"), JobId("job_2"), JobId("job_3")


class Place:
    """Open jobs, and a hand that lets time pass over those of a user."""

    def __init__(self, open_jobs: OpenJobs, age: Callable[[UserId, timedelta], object]) -> None:
        self.open_jobs = open_jobs
        self.age = age
        self.user = UserId(f"user:{secrets.token_hex(4)}")

    def add(self, job_id: JobId, *, most: int = 2) -> bool:
        return self.open_jobs.add(self.user, job_id, most=most)


@pytest.fixture(params=["memory", "redis"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        clock = ManualClock()
        yield Place(MemoryOpenJobs(clock), lambda _, duration: clock.advance(duration))
        return
    stand_ins: LocalStack = request.getfixturevalue("stand_ins")
    with connect_redis(stand_ins.redis_url, connections=20) as client:

        def age(user: UserId, duration: timedelta) -> None:
            for job_id in client.zrange(f"longhaul:open:{user}", 0, -1):
                client.zincrby(f"longhaul:open:{user}", -duration.total_seconds(), job_id)
            client.delete(f"longhaul:looked:{user}")

        yield Place(RedisOpenJobs(client), age)


def test_so_many_jobs_are_open_and_no_more(place: Place) -> None:
    assert [place.add(ONE), place.add(TWO), place.add(THREE)] == [True, True, False]


def test_a_job_that_is_there_is_no_second_one(place: Place) -> None:
    place.add(ONE)
    place.add(TWO)

    assert place.add(ONE)
    place.open_jobs.remove([(place.user, ONE), (place.user, ONE)])
    assert [place.add(THREE), place.add(ONE)] == [True, False]


def test_to_remove_what_is_not_there_changes_nothing(place: Place) -> None:
    place.add(ONE)

    place.open_jobs.remove([(place.user, TWO), (UserId("nobody"), ONE)])
    place.open_jobs.remove([])

    assert [place.add(TWO), place.add(THREE)] == [True, False]


def test_of_those_who_race_no_more_come_in_than_there_is_room_for(place: Place) -> None:
    with ThreadPoolExecutor(16) as pool:
        added = list(pool.map(lambda n: place.add(JobId(f"job_{n}"), most=5), range(32)))

    assert sum(added) == 5


def test_a_job_that_is_being_submitted_is_not_looked_at(place: Place) -> None:
    place.add(ONE)

    assert list(place.open_jobs.to_look_at(place.user, most=10, every=MOMENT)) == []


def test_those_that_nobody_looked_at_for_the_longest_come_first(place: Place) -> None:
    for job_id in (ONE, TWO, THREE):
        place.add(job_id, most=10)
        place.age(place.user, timedelta(seconds=10))
    place.age(place.user, SUBMIT_TAKES)

    looked = []
    for _ in range(2):
        looked.append(list(place.open_jobs.to_look_at(place.user, most=2, every=MOMENT)))
        place.age(place.user, timedelta(seconds=10))

    assert looked[0] == [ONE, TWO]
    assert looked[1][0] == THREE


def test_nobody_is_looked_at_twice_within_a_while(place: Place) -> None:
    place.add(ONE)
    place.age(place.user, SUBMIT_TAKES + timedelta(seconds=2))

    look = [
        list(place.open_jobs.to_look_at(place.user, most=2, every=timedelta(hours=1)))
        for _ in range(2)
    ]

    assert look == [[ONE], []]


def test_in_redis_what_is_forgotten_goes_by_itself(stand_ins: LocalStack) -> None:
    with connect_redis(stand_ins.redis_url, connections=1) as client:
        RedisOpenJobs(client).add(UserId("short-lived"), ONE, most=1)
        assert 0 < client.ttl("longhaul:open:short-lived") <= KEPT.total_seconds()


def test_without_redis_nobody_can_tell(tmp_path: Path) -> None:
    with connect_redis(RedisServer(tmp_path).url, connections=1) as client:
        open_jobs = RedisOpenJobs(client)
        for call in (
            lambda: open_jobs.add(UserId("ada"), ONE, most=1),
            lambda: open_jobs.remove([(UserId("ada"), ONE)]),
            lambda: open_jobs.to_look_at(UserId("ada"), most=1, every=MOMENT),
        ):
            with pytest.raises(Unavailable):
                call()
