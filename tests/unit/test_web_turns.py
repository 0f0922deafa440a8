"""Turns: so many at once and no more, first come first served."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.errors import Unavailable
from tests.stack import wait_until
from web.turns import Turns


def test_no_more_than_the_bound_go_on_at_once() -> None:
    turns = Turns(at_once=3)
    lock = threading.Lock()
    inside: list[int] = [0]
    counts: list[int] = []
    together = threading.Barrier(3)

    def go(_: int) -> None:
        with turns.one():
            with lock:
                inside[0] += 1
                counts.append(inside[0])
            together.wait(timeout=30)
            with lock:
                inside[0] -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(go, range(12)))

    assert max(counts) == 3


def test_who_came_first_goes_first_and_none_overtakes() -> None:
    turns = Turns(at_once=1)
    order: list[int] = []

    def go(number: int) -> None:
        with turns.one():
            order.append(number)

    with ThreadPoolExecutor(5) as pool, turns.one():
        for number in range(5):
            pool.submit(go, number)
            wait_until(lambda count=number + 1: len(turns) == count, "it stands in line")  # type: ignore[misc] # mypy infers no lambda with a default

    assert order == [0, 1, 2, 3, 4]
    assert len(turns) == 0


def test_who_waits_in_vain_is_told_and_costs_nobody_a_turn() -> None:
    turns = Turns(at_once=1, patience_seconds=0.05)

    with turns.one(), pytest.raises(Unavailable, match="no turn"):
        turns.one().__enter__()

    assert len(turns) == 0
    with turns.one():
        pass


def test_a_turn_that_ends_in_an_error_is_handed_on() -> None:
    turns = Turns(at_once=1, patience_seconds=0.05)

    def fail() -> None:
        with turns.one():
            raise Unavailable("store", "away")

    for _ in range(3):
        with pytest.raises(Unavailable, match="away"):
            fail()
