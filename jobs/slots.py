"""Slots: whose turn it is to run, where there is not room for all.

A job runs in a slot. It gets one at once, before its claim and at no cost of an attempt, if its
worker has room, its user runs fewer jobs than the ceiling and its model's pace allows a call
(jobs/pace.py). Otherwise its task stands in line, one line a model and user; the users of a model
take turns, so that ten thousand jobs of one do not keep another's single job waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from jobs.job import Job, JobId, ModelId, UserId
    from jobs.task import Task


class Use(StrEnum):
    """What became of a slot."""

    UNUSED = "unused"
    CALLED = "called"
    THROTTLED = "throttled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """The right to run one job now.

    `given_at` is in seconds, by the giver's own clock; `is_shared` says that all workers know of
    it, and not this process alone.
    """

    key: str
    job_id: JobId
    user: UserId
    model: ModelId
    given_at: float
    is_shared: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """A task whose turn has come."""

    task: Task
    slot: Slot


@dataclass(frozen=True, kw_only=True, slots=True)
class Turns:
    """Whose turn it is, and when to ask again; None where nobody stands in line."""

    turns: tuple[Turn, ...]
    again_in: timedelta | None


class Slots(Protocol):
    """Who may run a job now; shared by all workers, and never a reason to lose a task."""

    def ask(self, task: Task, *, has_room: bool) -> Slot | None:
        """Take a slot, or put the task in line (None); one that is in line already stays once.

        Without room in the worker that asks, the task stands in line for any worker.
        """

    def call_up(self, most: int) -> Turns:
        """Take up to `most` tasks out of the line whose turn has come, each with its slot."""

    def give_back(self, slot: Slot, use: Use) -> None:
        """End a slot and learn from what became of it."""

    def keep(self, slots: Sequence[Slot]) -> None:
        """Say every few seconds which slots are in use; what is not said lapses in a minute."""


class Lines(Protocol):
    """The lines for slots, for who only wants to know."""

    def standing(self, jobs: Sequence[Job]) -> frozenset[JobId]:
        """Give those of the jobs whose tasks stand in line. May raise Unavailable."""


def ceiling_of(capacity: int, share: float) -> int:
    """Give how many jobs one user may run at once, where `capacity` run in all."""
    return max(1, int(capacity * share))
