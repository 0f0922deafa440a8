"""Slots that outlive Redis: shared by all workers while it answers, else this process's own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jobs.errors import Unavailable
from jobs.slots import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adapters.local_slots import LocalSlots
    from adapters.redis_slots import RedisSlots
    from jobs.ports import Log
    from jobs.slots import Slot, Use
    from jobs.task import Task

_AWAY_SECONDS = 2.0  # in which Redis is not asked again: not every job is to wait for its silence


class FallbackSlots:
    """jobs.slots.Slots. No method raises; slots of both kinds may be in use at one time."""

    def __init__(
        self,
        *,
        shared: RedisSlots,
        local: LocalSlots,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._local = local
        self._log = log
        self._clock = clock
        self._away_until: float | None = None

    def ask(self, task: Task, *, has_room: bool) -> Slot | None:
        """Take a slot, or put the task in line."""
        if self._may_ask():
            try:
                slot = self._shared.ask(task, has_room=has_room)
            except Unavailable as error:
                self._note_away(error)
            else:
                self._note_back()
                return slot
        return self._local.ask(task, has_room=has_room)

    def call_up(self, most: int) -> Turns:
        """Take those out of both lines whose turn has come."""
        own = self._local.call_up(most)
        if not self._may_ask():
            return own
        try:
            shared = self._shared.call_up(most - len(own.turns))
        except Unavailable as error:
            self._note_away(error)
            return own
        self._note_back()
        waits = [turns.again_in for turns in (own, shared) if turns.again_in is not None]
        return Turns(turns=(*own.turns, *shared.turns), again_in=min(waits, default=None))

    def give_back(self, slot: Slot, use: Use) -> None:
        """End a slot; one that Redis does not hear of lapses."""
        if not slot.is_shared:
            self._local.give_back(slot, use)
        elif self._may_ask():
            try:
                self._shared.give_back(slot, use)
            except Unavailable as error:
                self._note_away(error)

    def keep(self, slots: Sequence[Slot]) -> None:
        """Say which slots are in use."""
        if self._may_ask():
            try:
                self._shared.keep([slot for slot in slots if slot.is_shared])
            except Unavailable as error:
                self._note_away(error)

    def leave(self) -> None:
        """Say that this process takes no more."""
        try:
            self._shared.leave()
        except Unavailable as error:
            self._note_away(error)

    def _may_ask(self) -> bool:
        return self._away_until is None or self._clock() >= self._away_until

    def _note_away(self, error: Unavailable) -> None:
        if self._away_until is None:
            self._log.warning("slots_are_local", reason=str(error))
        self._away_until = self._clock() + _AWAY_SECONDS

    def _note_back(self) -> None:
        if self._away_until is not None:
            self._log.info("slots_are_shared")
            self._away_until = None
