"""Turns: many at once for who is alone, one after the other for all who wait."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from adapters.fair_turns import FairTurns
from tests.stack import wait_until


class Crowd:
    """Callers in threads of their own; who has a turn keeps it until it is let go."""

    def __init__(self, at_once: int) -> None:
        self.turns = FairTurns(at_once, look_seconds=0.01)
        self.served: list[str] = []
        self._go_on = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []

    def come(self, owner: str) -> None:
        before, served = self.turns.waiting(owner), len(self.served)
        thread = threading.Thread(target=self._have_a_turn, args=(owner,), daemon=True)
        self._threads.append(thread)
        thread.start()
        wait_until(
            lambda: self.turns.waiting(owner) > before or len(self.served) > served,
            "it stands in line, or has its turn",
        )

    def end_one(self) -> None:
        served = len(self.served)
        self._go_on.release()
        wait_until(lambda: len(self.served) > served, "the next one has its turn")

    def _have_a_turn(self, owner: str) -> None:
        with self.turns.one(owner, lambda: None):
            self.served.append(owner)
            self._go_on.acquire(timeout=60)

    def leave(self) -> None:
        for _ in self._threads:
            self._go_on.release()
        for thread in self._threads:
            thread.join(60)


def test_a_long_line_of_one_user_holds_up_no_other() -> None:
    crowd = Crowd(2)
    for owner in ("ada", "ada", "ada", "ada", "bob", "cleo"):
        crowd.come(owner)

    crowd.end_one()
    crowd.end_one()

    assert crowd.served == ["ada", "ada", "bob", "cleo"]
    crowd.leave()
    assert crowd.served[4:] == ["ada", "ada"]


def test_who_is_alone_has_all_turns_and_no_more() -> None:
    crowd = Crowd(2)
    for _ in range(3):
        crowd.come("ada")

    assert (crowd.served, crowd.turns.waiting("ada")) == (["ada", "ada"], 1)
    crowd.leave()
    assert len(crowd.served) == 3


def test_who_may_not_go_on_leaves_the_line_and_takes_nothing_along() -> None:
    turns = FairTurns(1, look_seconds=0.01)

    def stop() -> None:
        raise LookupError("cancelled")

    with ExitStack() as held:
        held.enter_context(turns.one("ada", lambda: None))
        with pytest.raises(LookupError), turns.one("bob", stop):
            pytest.fail("there was no turn to have")
        assert turns.waiting("bob") == 0
    with turns.one("cleo", stop):
        pass
