"""jobs.ports.Clock and Chance: each promise of their docstrings."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.clock import SystemChance, SystemClock
from adapters.memory import ManualClock
from jobs.times import read_time, written_time
from tests.builders import FixedChance

if TYPE_CHECKING:
    from jobs.ports import Chance, Clock

MOMENT = timedelta(milliseconds=20)


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


@pytest.fixture(params=[SystemChance, FixedChance])
def chance(request: pytest.FixtureRequest) -> Chance:
    made: Chance = request.param()
    return made


def test_the_time_is_aware_and_in_utc(clock: Clock) -> None:
    assert clock.now().tzinfo is UTC


def test_the_time_is_as_fine_as_what_is_written_of_it(clock: Clock) -> None:
    now = clock.now()

    assert read_time(written_time(now)) == now


def test_time_passes_while_one_sleeps(clock: Clock) -> None:
    before = clock.now()

    clock.sleep(MOMENT)

    assert clock.now() - before >= MOMENT - timedelta(milliseconds=1)  # both ends are rounded


def test_elapsed_time_passes_too(clock: Clock) -> None:
    before = clock.elapsed()

    clock.sleep(MOMENT)

    assert clock.elapsed() - before >= MOMENT - timedelta(milliseconds=1)


def test_sleeping_for_less_than_nothing_is_no_error(clock: Clock) -> None:
    clock.sleep(timedelta(0))


def test_entropy_has_its_size_and_never_comes_twice(chance: Chance) -> None:
    drawn = {chance.entropy(16) for _ in range(1000)}

    assert len(drawn) == 1000
    assert {len(one) for one in drawn} == {16}


def test_jitter_is_from_0_to_below_1(chance: Chance) -> None:
    assert all(0 <= chance.jitter() < 1 for _ in range(1000))
