from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import ManualClock
from jobs.errors import ClaimLost, LonghaulError, Misconfigured, Unavailable
from jobs.patience import patiently
from tests.builders import NOW, lost, store_away


class Waiting:
    """An action that fails so many times, with the waits between its tries."""

    def __init__(self, *failures: Exception) -> None:
        self.clock = ManualClock()
        self.failures = list(failures)
        self.tried_at: list[float] = []
        self.told: list[LonghaulError] = []

    def act(self) -> str:
        self.tried_at.append((self.clock.now() - NOW).total_seconds())
        if self.failures:
            raise self.failures.pop(0)
        return "done"

    def be_patient(self, *, seconds: float) -> str:
        return patiently(
            self.act,
            clock=self.clock,
            patience=timedelta(seconds=seconds),
            waiting=self.told.append,
        )


def test_what_works_at_once_is_not_waited_for() -> None:
    waiting = Waiting()

    assert waiting.be_patient(seconds=0) == "done"
    assert waiting.tried_at == [0]
    assert waiting.told == []


def test_waits_double_up_to_a_second() -> None:
    waiting = Waiting(*[store_away() for _ in range(8)])

    assert waiting.be_patient(seconds=600) == "done"
    assert waiting.tried_at == [0, 0.25, 0.75, 1.75, 2.75, 3.75, 4.75, 5.75, 6.75]


def test_each_failure_that_is_waited_for_is_told() -> None:
    failures = [store_away(), store_away()]
    waiting = Waiting(*failures)

    waiting.be_patient(seconds=600)

    assert waiting.told == failures


def test_what_an_operator_can_mend_is_waited_for_as_well() -> None:
    expired = Misconfigured("the security token has expired (test)")
    waiting = Waiting(expired, store_away(), expired)

    assert waiting.be_patient(seconds=600) == "done"
    assert waiting.told[::2] == [expired, expired]


def test_what_no_operator_mends_in_time_is_raised_in_the_end() -> None:
    waiting = Waiting(*[Misconfigured("there is no such table (test)")] * 99)

    with pytest.raises(Misconfigured):
        waiting.be_patient(seconds=10)


def test_without_patience_the_first_failure_is_the_last() -> None:
    failure = store_away()
    waiting = Waiting(failure)

    with pytest.raises(Unavailable) as raised:
        waiting.be_patient(seconds=0)

    assert raised.value is failure
    assert waiting.told == []


def test_any_other_error_ends_the_waiting() -> None:
    waiting = Waiting(store_away(), lost())

    with pytest.raises(ClaimLost):
        waiting.be_patient(seconds=600)

    assert len(waiting.tried_at) == 2


@settings(deadline=None)
@given(seconds=st.floats(0, 1000))
def test_nobody_waits_longer_than_their_patience(seconds: float) -> None:
    waiting = Waiting(*[store_away() for _ in range(int(seconds) + 5)])  # two waits are shorter

    with pytest.raises(Unavailable):
        waiting.be_patient(seconds=seconds)

    assert waiting.tried_at[-1] <= seconds
    assert seconds - waiting.tried_at[-1] <= 1


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_is_set_changes_no_patience(step: timedelta) -> None:
    waiting = Waiting(*[store_away()] * 99)

    def act() -> str:
        if len(waiting.tried_at) == 2:
            waiting.clock.step(step)
        return waiting.act()

    with pytest.raises(Unavailable):
        patiently(
            act, clock=waiting.clock, patience=timedelta(seconds=10), waiting=waiting.told.append
        )

    assert (
        waiting.clock.elapsed()
        <= timedelta(seconds=10)
        < waiting.clock.elapsed() + timedelta(seconds=1)
    )
