"""Checks side by side: their order, their bounds, and what is not made."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.side_by_side import examine
from jobs.checkup import Check, Finding, State, fail, ok

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=50)


def check(
    name: str, look: Callable[[], Iterator[Finding]], *rests_on: str, bound: timedelta = LONG
) -> Check:
    return Check(name=name, look=look, advice=f"mend {name}", rests_on=rests_on, bound=bound)


def well(name: str) -> Callable[[], Iterator[Finding]]:
    return lambda: iter([ok(name, "is well")])


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a check may wait for that hangs; it is set when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_checks_run_at_once_and_are_told_in_their_order() -> None:
    meet = threading.Barrier(2, timeout=20)

    def look(name: str) -> Callable[[], Iterator[Finding]]:
        def meeting() -> Iterator[Finding]:
            meet.wait()
            yield ok(name, "met the other")

        return meeting

    found = list(examine([check("a", look("a")), check("b", look("b"))], within=LONG))

    assert [(one.name, one.state) for one in found] == [("a", State.OK), ("b", State.OK)]


def test_a_check_that_hangs_is_given_up_and_the_others_are_told(never: threading.Event) -> None:
    def hang() -> Iterator[Finding]:
        yield ok("part", "began")
        never.wait()

    checks = [
        check("hangs", hang, bound=SHORT),
        check("rests", well("rests"), "hangs"),
        check("stands", well("stands")),
    ]
    found = list(examine(checks, within=LONG))

    assert [one.name for one in found] == ["part", "hangs", "rests", "stands"]
    assert [one.state for one in found] == [State.OK, State.FAIL, State.SKIP, State.OK]
    assert (found[1].told, found[1].advice) == ("no answer within 0.05 s", "mend hangs")


def test_all_checks_end_within_one_bound(never: threading.Event) -> None:
    def hang() -> Iterator[Finding]:
        never.wait()
        yield ok("late", "is not told")

    checks = [check("a", hang), check("b", hang), check("rests", well("rests"), "a")]
    found = list(examine(checks, within=SHORT))

    assert [one.name for one in found] == ["a", "b", "rests"]
    assert {one.state for one in found} == {State.FAIL}


def test_what_rests_on_a_failure_is_not_made_however_far_below_it_stands() -> None:
    made: list[str] = []

    def note(name: str) -> Callable[[], Iterator[Finding]]:
        def look() -> Iterator[Finding]:
            made.append(name)
            yield ok(name, "is well")

        return look

    checks = [
        check("access", lambda: iter([fail("access", "none", "give one")])),
        check("table", note("table"), "access"),
        check("jobs", note("jobs"), "table"),
        check("redis", note("redis")),
    ]
    found = {one.name: one for one in examine(checks, within=LONG)}

    assert made == ["redis"]
    assert found["table"].rests_on == found["jobs"].rests_on == "access"
