"""What a check's end means for those that rest on it, and for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.checkup import Check, State, cause_against, fail, look_at, ok, skip, warn, worst_of
from jobs.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.checkup import Finding

RESTS = Check(name="workers", look=list, advice="", rests_on=("redis",))


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        ([ok("redis", "answers")], None),
        ([warn("redis", "is slow", "wait")], None),
        ([ok("redis", "answers"), fail("redis eviction", "allkeys-lru", "set it")], None),
        ([fail("redis", "is away", "start it")], "redis"),
        ([skip("redis", "settings")], "settings"),
    ],
    ids=["stands", "warns", "another fails", "fails", "is not looked at"],
)
def test_what_rests_on_a_failed_check_has_its_cause(
    found: list[Finding], cause: str | None
) -> None:
    assert cause_against(RESTS, {"redis": found}) == cause


def test_what_is_not_looked_at_says_what_it_rests_on_and_advises_nothing() -> None:
    one = skip("workers", "redis")

    assert (one.told, one.advice) == ("not looked at: rests on redis", None)
    assert (one.state, one.rests_on) == (State.SKIP, "redis")


def test_the_whole_stands_as_its_worst_part() -> None:
    bad, odd, skipped = fail("a", "", ""), warn("b", "", ""), skip("c", "a")

    assert worst_of([ok("d", ""), odd, bad, skipped]) is State.FAIL
    assert worst_of([ok("d", ""), odd]) is State.WARN
    assert worst_of([ok("d", "")]) is State.OK


def test_a_check_that_raises_keeps_what_it_has_found_and_quotes_no_foreign_error() -> None:
    def look() -> Iterator[Finding]:
        yield ok("bucket", "is there")
        raise ValueError("a secret")

    found: list[Finding] = []
    look_at(Check(name="bucket", look=look, advice="see the bucket"), found.append)

    assert [one.state for one in found] == [State.OK, State.FAIL]
    assert found[1].told.startswith("could not be checked: ValueError")
    assert "secret" not in found[1].told
    assert found[1].advice == "see the bucket"


def test_an_error_of_ours_is_told_in_its_own_words() -> None:
    def look() -> list[Finding]:
        raise Unavailable("store", "answered SlowDown")

    found: list[Finding] = []
    look_at(Check(name="open jobs", look=look, advice="wait"), found.append)

    assert (found[0].told, found[0].advice) == ("store: answered SlowDown", "wait")
