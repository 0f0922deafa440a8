"""Division: a job that is too much for one call, and the parts that it runs as.

A part is a row of its own, so it is claimed, paid, retried and limited as every job is; but only
its job knows of it. See docs/decisions/0022-big-inputs-run-as-parts.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from jobs.job import JobId

PlanId = NewType("PlanId", str)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartOf:
    """Which part of which job a row is: `number` of `total`, the first is 1.

    `plan` names how the job was divided; `pages` says for people and for the model what is in it.
    """

    job: JobId
    plan: PlanId
    number: int
    total: int
    pages: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """How a job was divided; `ended` are the numbers of the parts whose answers are there."""

    plan: PlanId
    total: int
    ended: frozenset[int] = frozenset()

    @property
    def done(self) -> int:
        """How many parts are done."""
        return len(self.ended)

    @property
    def is_whole(self) -> bool:
        """Whether all parts are done."""
        return self.done == self.total

    @property
    def missing(self) -> list[int]:
        """The numbers of the parts that are not done."""
        return [number for number in range(1, self.total + 1) if number not in self.ended]
