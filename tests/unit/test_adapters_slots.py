from collections.abc import Sequence
from datetime import timedelta

import pytest

from adapters.local_slots import LocalSlots
from adapters.slots import FallbackSlots
from jobs.errors import Unavailable
from jobs.job import JobId
from jobs.slots import Slot, Turn, Turns, Use
from jobs.task import Task
from tests.builders import RecordingLog, a_job, a_task

AWAY = Unavailable("slots", "away (test)")


class ScriptedShared:
    """Shared slots that are there, or away."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = 0
        self.turns = Turns(turns=(), again_in=None)
        self.given_back: list[tuple[Slot, Use]] = []
        self.kept: list[Sequence[Slot]] = []
        self.has_left = False

    def ask(self, task: Task, *, has_room: bool) -> Slot | None:
        self._answer()
        return shared_slot(task) if has_room else None

    def call_up(self, most: int) -> Turns:  # noqa: ARG002 - the port's
        self._answer()
        return self.turns

    def give_back(self, slot: Slot, use: Use) -> None:
        self._answer()
        self.given_back.append((slot, use))

    def keep(self, slots: Sequence[Slot]) -> None:
        self._answer()
        self.kept.append(slots)

    def leave(self) -> None:
        self._answer()
        self.has_left = True

    def _answer(self) -> None:
        self.asked += 1
        if self.is_away:
            raise AWAY


def shared_slot(task: Task) -> Slot:
    return Slot(
        key=task.job_id,
        job_id=task.job_id,
        user=task.user,
        model=task.model,
        given_at=1.0,
        is_shared=True,
    )


def a_task_of(number: int) -> Task:
    return a_task(a_job(id=JobId(f"job_{number:026d}")))


class Both:
    """Fallback slots on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.shared = ScriptedShared()
        self.local = LocalSlots(capacity=100, share=1, clock=lambda: self.now)
        self.log = RecordingLog()
        self.slots = FallbackSlots(
            shared=self.shared,  # type: ignore[arg-type] # a double of the adapter
            local=self.local,
            log=self.log,
            clock=lambda: self.now,
        )

    def ask(self, number: int = 0) -> Slot:
        slot = self.slots.ask(a_task_of(number), has_room=True)
        assert slot is not None
        return slot


def test_while_redis_answers_slots_are_shared() -> None:
    both = Both()

    slot = both.ask()
    both.slots.give_back(slot, Use.THROTTLED)
    both.slots.keep([slot])

    assert slot.is_shared
    assert both.shared.given_back == [(slot, Use.THROTTLED)]
    assert both.shared.kept == [[slot]]


def test_while_redis_is_away_slots_are_this_processs_own() -> None:
    both = Both()
    both.shared.is_away = True

    slot = both.ask()
    both.slots.give_back(slot, Use.CALLED)

    assert not slot.is_shared
    assert both.log.count("slots_are_local") == 1


def test_not_every_job_waits_for_redis_to_be_silent() -> None:
    both = Both()
    both.shared.is_away = True
    for number in range(10):
        both.ask(number)
        both.slots.call_up(1)

    assert both.shared.asked == 1

    both.now += 2.1
    both.ask(11)
    assert both.shared.asked == 2


def test_when_redis_is_back_slots_are_shared_again() -> None:
    both = Both()
    both.shared.is_away = True
    own = both.ask(0)
    both.shared.is_away = False
    both.now += 2.1

    slot = both.ask(1)
    both.slots.give_back(own, Use.CALLED)
    both.slots.keep([own, slot])

    assert slot.is_shared
    assert both.log.count("slots_are_shared") == 1
    assert both.shared.given_back == []
    assert both.shared.kept == [[slot]]


def test_those_who_stood_in_line_here_are_called_up_beside_the_others() -> None:
    both = Both()
    both.shared.is_away = True
    here, there = a_task_of(0), a_task_of(1)
    assert both.slots.ask(here, has_room=False) is None
    both.shared.is_away = False
    both.now += 2.1
    turn = Turn(task=there, slot=shared_slot(there))
    both.shared.turns = Turns(turns=(turn,), again_in=timedelta(seconds=1))

    called = both.slots.call_up(10)

    assert [turn.task for turn in called.turns] == [here, there]
    assert called.again_in == timedelta(seconds=1)


@pytest.mark.parametrize("is_away", [False, True])
def test_a_worker_that_ends_says_so_if_it_can(*, is_away: bool) -> None:
    both = Both()
    both.shared.is_away = is_away

    both.slots.leave()

    assert both.shared.has_left is not is_away


def test_whatever_redis_does_nothing_is_raised() -> None:
    both = Both()
    slot = both.ask()
    both.shared.is_away = True

    both.slots.give_back(slot, Use.CALLED)
    both.now += 3
    both.slots.keep([slot])
    both.now += 3
    both.slots.call_up(1)

    assert both.shared.asked == 4
