import heapq
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pace import CUT, FORGET_SECONDS, LEAST, Pace


def test_a_model_that_never_throttles_is_called_without_a_limit() -> None:
    pace = Pace()

    assert all(pace.take(0.0, waited=True) for _ in range(1000))
    assert pace.rate is None
    assert pace.next_in(0.0) == 0.0


def throttled_at(calls: int, *, throttles: int = 1) -> Pace:
    """Give the pace of a model that took `calls` in two seconds and throttled the last of them."""
    pace = Pace()
    for n in range(calls):
        assert pace.take(n * 2.0 / calls, waited=True)
    for _ in range(throttles):
        pace.slow_down(2.0, begun_at=1.99)
    return pace


def test_the_first_throttle_brings_the_pace_near_what_was_admitted() -> None:
    pace = throttled_at(41)

    assert pace.rate == pytest.approx(20 * CUT, rel=0.05)


def test_of_calls_that_were_throttled_together_the_first_says_all() -> None:
    assert throttled_at(41, throttles=1).rate == throttled_at(41, throttles=30).rate


def test_no_more_calls_begin_than_the_pace_allows() -> None:
    pace = throttled_at(41)
    rate = pace.rate or 0.0

    begun = sum(pace.take(2.0 + ms / 1000, waited=False) for ms in range(1000))

    assert begun == pytest.approx(rate, abs=1 + rate / 10)


def test_it_says_when_the_next_call_may_begin() -> None:
    pace = throttled_at(41)
    wait = pace.next_in(2.0)

    assert wait == pytest.approx(1 / (20 * CUT), rel=0.05)
    assert not pace.take(2.0 + wait * 0.9, waited=True)
    assert pace.take(2.0 + wait * 1.1, waited=True)


def test_the_pace_rises_only_where_calls_wait_for_it() -> None:
    idle, busy = throttled_at(41), throttled_at(41)
    before = idle.rate or 0.0

    for n in range(100):
        idle.take(4 + n, waited=False)
        busy.take(4 + n, waited=True)

    assert idle.rate == before
    assert (busy.rate or 0.0) > before / CUT


def test_a_call_that_was_not_begun_is_no_loss() -> None:
    pace = throttled_at(41)
    assert pace.take(3.0, waited=True)
    while pace.take(3.0, waited=True):
        pass

    pace.put_back()

    assert pace.take(3.0, waited=True)


def test_an_old_throttle_is_forgotten() -> None:
    pace = throttled_at(41)

    assert pace.take(2.0 + FORGET_SECONDS + 1, waited=True)
    assert pace.rate is None


def test_a_pace_that_was_learned_holds() -> None:
    pace = Pace()
    pace.learn(10.0, 0.0)

    begun = sum(pace.take(ms / 1000, waited=False) for ms in range(1000))

    assert begun == pytest.approx(10, abs=2)


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 5), st.sampled_from(["take", "slow down", "put back"])),
        max_size=60,
    )
)
def test_whatever_happens_the_pace_stays_a_pace(steps: list[tuple[float, str]]) -> None:
    pace, now = Pace(), 0.0
    for passed, what in steps:
        now += passed
        if what == "take":
            pace.take(now, waited=True)
        elif what == "put back":
            pace.put_back()
        else:
            pace.slow_down(now, begun_at=now)
        assert pace.rate is None or LEAST <= pace.rate < float("inf")
        assert 0 <= pace.next_in(now) <= 1 / LEAST


@dataclass
class Account:
    """An account with a quota of calls a second and a burst of one second's worth."""

    quota: float
    left: float = field(init=False)
    seen_at: float = 0.0

    def __post_init__(self) -> None:
        self.left = max(1.0, self.quota)

    def admits(self, now: float) -> bool:
        self.left = min(max(1.0, self.quota), self.left + (now - self.seen_at) * self.quota)
        self.seen_at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(frozen=True)
class Season:
    """What became of a queue of jobs: when each call was made and whether it was throttled."""

    calls: list[tuple[float, bool]]
    most_calls_of_a_job: int
    seconds: float

    def throttled_share(self, *, after: float) -> float:
        late = [throttled for at, throttled in self.calls if at > after]
        return sum(late) / max(1, len(late))


def run_queue(*, quota: float, jobs: int, room: int, delay: float) -> Season:
    """Let workers with room for so many jobs run a queue; a throttled one comes back later.

    `delay` is how long it takes, about, until a throttle is known.
    """
    chance = random.Random(f"{quota} {jobs} {room} {delay}")  # noqa: S311 - replayable
    pace, account = Pace(), Account(quota)
    order = itertools.count()
    coming: list[tuple[float, int, str, int, float]] = [(0.0, next(order), "look", 0, 0.0)]
    waiting, running, ended = list(range(jobs)), 0, 0
    calls: list[tuple[float, bool]] = []
    calls_of: Counter[int] = Counter()
    now = 0.0

    def at(seconds: float, what: str, job: int, begun: float = 0.0) -> None:
        heapq.heappush(coming, (now + seconds, next(order), what, job, begun))

    while ended < jobs:
        now, _, what, job, begun = heapq.heappop(coming)
        if what == "look":
            while waiting and running < room and pace.take(now, waited=True):
                running += 1
                at(delay * chance.uniform(0.3, 1.5), "call", waiting.pop(0), now)
            at(0.03, "look", 0)
        elif what == "call":
            throttled = not account.admits(now)
            calls.append((now, throttled))
            calls_of[job] += 1
            if throttled:
                at(delay / 2, "throttled", job, begun)
            else:
                at(chance.uniform(0.5, 1.5), "end", job)
        elif what == "end":
            running, ended = running - 1, ended + 1
        elif what == "throttled":
            running -= 1
            pace.slow_down(now, begun_at=begun)
            at(3 * 2.0 ** (calls_of[job] - 1), "again", job)
        else:
            waiting.append(job)
    return Season(calls=calls, most_calls_of_a_job=max(calls_of.values()), seconds=now)


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("room", [50, 400])
@pytest.mark.parametrize("quota", [2, 5, 20, 100])
def test_a_long_queue_is_run_near_the_quota_with_few_throttles(
    quota: float, room: int, delay: float
) -> None:
    jobs = int(quota * 60)

    season = run_queue(quota=quota, jobs=jobs, room=room, delay=delay)

    assert season.throttled_share(after=10.0) < 0.05
    assert season.most_calls_of_a_job <= 5  # the default policy's bound
    if quota < room:  # otherwise it is the room that is short
        assert season.seconds < 3 * jobs / quota
