"""Races of the tests' own: all begin together, and the first fault is the one that is seen."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING

import pytest

from tests.contracts.stories import terms
from tests.racing import race

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def test_all_begin_together() -> None:
    numbers = itertools.count()

    def run(wait: Callable[[], object]) -> list[int]:
        before = next(numbers)
        wait()
        return [before, next(numbers)]

    answers = race(5, run)

    assert max(before for before, _ in answers) < min(later for _, later in answers)


def test_a_racer_that_fails_is_seen_and_keeps_nobody_waiting() -> None:
    numbers = itertools.count()

    def run(wait: Callable[[], object]) -> None:
        if next(numbers) == 3:
            raise ValueError("the fault")
        wait()

    with pytest.raises(ValueError, match="the fault"):
        race(5, run)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let threads take turns so often that whatever two may do at once, they do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_claimants_that_race_each_have_a_token_of_their_own() -> None:
    def run(wait: Callable[[], object]) -> list[str]:
        wait()
        return [terms().token for _ in range(500)]

    tokens = [token for given in race(8, run) for token in given]

    assert len(set(tokens)) == len(tokens) == 4000
