"""Slots in Redis: one script, adapters/slots.lua, so that each step is atomic for all workers."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from importlib import resources
from typing import TYPE_CHECKING

from adapters.redis_errors import translating_redis
from jobs.errors import InvalidRequest
from jobs.job import ModelId
from jobs.slots import Slot, Turn, Turns, Use
from jobs.task import read_task, write_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import redis

    from jobs.ports import Log
    from jobs.task import Task

ROOT = "longhaul:slots"
KEPT_SECONDS = 60


class RedisSlots:
    """jobs.slots.Slots, shared by all workers. Every method may raise Unavailable.

    `worker` is a name that no other has, `room` how many jobs it runs, `share` which part of all
    workers' room one user may have, `root` what all names in Redis begin with. `heard` is told this
    worker's part of a model's pace, for when Redis is away.
    """

    def __init__(  # noqa: PLR0913 - what a limiter is made of, read by name at one place
        self,
        client: redis.Redis,
        *,
        worker: str,
        room: int,
        share: float,
        log: Log,
        heard: Callable[[ModelId, float], object],
        root: str = ROOT,
    ) -> None:
        source = resources.files("adapters").joinpath("slots.lua").read_text()
        self._script = client.register_script(source)
        self._root = root
        self._worker = worker
        self._room = room
        self._share = share
        self._log = log
        self._heard = heard
        self._numbers = itertools.count()

    def ask(self, task: Task, *, has_room: bool) -> Slot | None:
        """Take a slot, or put the task in line."""
        key = self._new_key()
        slot = self._run(
            "ask",
            task.model,
            task.user,
            task.job_id,
            json.dumps(write_task(task)),
            key,
            KEPT_SECONDS,
            self._share,
            int(has_room),
        )
        return _slot(task, key, float(slot[0])) if slot else None

    def call_up(self, most: int) -> Turns:
        """Take those out of the line whose turn has come."""
        again_in, now, *called = self._run(
            "call_up", most, self._new_key(), KEPT_SECONDS, self._share, next(self._numbers)
        )
        return Turns(
            turns=tuple(self._read_turns(called, float(now))),
            again_in=timedelta(seconds=float(again_in)) if again_in else None,
        )

    def _read_turns(self, called: Sequence[bytes], now: float) -> Iterator[Turn]:
        for key, text in zip(called[::2], called[1::2], strict=True):
            try:
                task = read_task(json.loads(text))
            except (InvalidRequest, ValueError) as error:
                self._log.warning("task_unreadable", reason=str(error))
            else:
                yield Turn(task=task, slot=_slot(task, key.decode(), now))

    def give_back(self, slot: Slot, use: Use) -> None:
        """End a slot and learn from what became of it."""
        self._run("give_back", slot.model, slot.user, slot.key, use, f"{slot.given_at:.6f}")

    def keep(self, slots: Sequence[Slot]) -> None:
        """Say which slots are in use, and how much room this worker has."""
        kept = itertools.chain.from_iterable((slot.user, slot.key) for slot in slots)
        paces = self._run("keep", self._worker, self._room, KEPT_SECONDS, *kept)
        for model, rate in zip(paces[::2], paces[1::2], strict=True):
            self._heard(ModelId(model.decode()), float(rate))

    def leave(self) -> None:
        """Say that this worker has no room any more."""
        self._run("keep", self._worker, 0, KEPT_SECONDS)

    def _run(self, *arguments: str | float) -> list[bytes]:
        with translating_redis("slots"):
            answer: list[bytes] = self._script(keys=[self._root], args=list(arguments))
            return answer

    def _new_key(self) -> str:
        return f"{self._worker}/{next(self._numbers)}"


def _slot(task: Task, key: str, given_at: float) -> Slot:
    return Slot(
        key=key,
        job_id=task.job_id,
        user=task.user,
        model=task.model,
        given_at=given_at,
        is_shared=True,
    )
