import threading
from datetime import datetime, timedelta

import pytest

from adapters.clock import SystemClock
from tests.builders import RecordingLog
from workers.timers import Timers

DEADLINE = 10.0  # seconds until a test gives up on a condition
SOON = timedelta(milliseconds=5)


class Calls:
    """Notes what was called, and tells when so many calls have come."""

    def __init__(self, expected: int) -> None:
        self.names: list[str] = []
        self.threads: set[int] = set()
        self._expected = expected
        self._all = threading.Event()

    def note(self, name: str) -> None:
        self.names.append(name)
        self.threads.add(threading.get_ident())
        if len(self.names) == self._expected:
            self._all.set()

    def have_come(self) -> bool:
        return self._all.wait(DEADLINE)


def test_a_call_comes_at_its_time_and_not_before() -> None:
    clock = SystemClock()
    timers = Timers(clock=clock, log=RecordingLog())
    calls = Calls(1)
    came_at = []
    at = clock.now() + 3 * SOON

    def call() -> None:
        came_at.append(clock.now())
        calls.note("call")

    timers.call_at(at, call)

    assert calls.have_come()
    assert came_at[0] >= at


def test_a_call_whose_time_has_passed_comes_at_once() -> None:
    clock = SystemClock()
    timers = Timers(clock=clock, log=RecordingLog())
    calls = Calls(1)

    timers.call_at(clock.now() - timedelta(days=1), lambda: calls.note("late"))

    assert calls.have_come()


def test_calls_come_in_the_order_of_their_times() -> None:
    clock = SystemClock()
    timers = Timers(clock=clock, log=RecordingLog())
    calls = Calls(4)
    start = clock.now() + 4 * SOON

    for name, steps in (("third", 3), ("first", 1), ("fourth", 4), ("second", 2)):
        timers.call_at(start + steps * SOON, lambda name=name: calls.note(name))  # type: ignore[misc] # bound now

    assert calls.have_come()
    assert calls.names == ["first", "second", "third", "fourth"]


def test_calls_after_one_delay_come_in_the_order_in_which_they_were_asked_for() -> None:
    clock = SystemClock()
    timers = Timers(clock=clock, log=RecordingLog())
    calls = Calls(3)

    for name in ("a", "b", "c"):
        timers.call_after(2 * SOON, lambda name=name: calls.note(name))  # type: ignore[misc] # bound now

    assert calls.have_come()
    assert calls.names == ["a", "b", "c"]


def test_an_earlier_call_that_is_asked_for_later_does_not_wait_for_the_other() -> None:
    clock = SystemClock()
    timers = Timers(clock=clock, log=RecordingLog())
    calls = Calls(1)

    timers.call_at(clock.now() + timedelta(hours=1), lambda: calls.note("late"))
    timers.call_at(clock.now() + SOON, lambda: calls.note("soon"))

    assert calls.have_come()
    assert calls.names == ["soon"]


def test_a_call_that_raises_is_logged_and_ends_no_other() -> None:
    clock, log = SystemClock(), RecordingLog()
    timers = Timers(clock=clock, log=log)
    calls = Calls(1)

    def broken() -> None:
        raise RuntimeError("unforeseen")

    timers.call_at(clock.now(), broken)
    timers.call_at(clock.now() + SOON, lambda: calls.note("after"))

    assert calls.have_come()
    assert log.count("timer_call_failed") == 1


def test_a_call_may_ask_for_another() -> None:
    clock = SystemClock()
    timers = Timers(clock=clock, log=RecordingLog())
    calls = Calls(2)

    def first() -> None:
        calls.note("first")
        timers.call_at(clock.now() + SOON, lambda: calls.note("second"))

    timers.call_at(clock.now(), first)

    assert calls.have_come()
    assert len(calls.threads) == 1


class SteppedClock(SystemClock):
    """The machine's clock, set forward or back by a test."""

    step = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.step


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_is_set_moves_no_call(step: timedelta) -> None:
    clock = SteppedClock()
    timers = Timers(clock=clock, log=RecordingLog())
    soon, late = Calls(1), Calls(1)
    timers.call_at(clock.now() + timedelta(minutes=30), lambda: late.note("late"))
    timers.call_at(clock.now() + 4 * SOON, lambda: soon.note("soon"))

    clock.step = step

    assert soon.have_come()
    assert late.names == []
