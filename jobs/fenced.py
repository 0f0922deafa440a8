"""Fenced: the hint to whoever runs a job that the job was taken from its claim.

The row is the truth, and a holder learns it at its next renewal anyway. The hint makes it look now,
so that a cancelled job's call is broken off within a second: one that is lost costs only time, and
one that is wrong or comes twice costs one renewal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobs.job import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.job import Job, JobId


@dataclass(frozen=True, kw_only=True, slots=True)
class Fenced:
    """All claims of a job from before `epoch` are over."""

    job: JobId
    epoch: int


class Holders(Protocol):
    """Whoever runs jobs at this moment."""

    def tell_fenced(self, fenced: Fenced) -> None:
        """Hint to all of them; never raises, never blocks."""


class FencedSource(Protocol):
    """The holders' end of the hint."""

    def listen(self, hear: Callable[[Fenced], object]) -> None:
        """Pass hints on until `close`; call it from a thread of its own. Outlives the bus.

        What is told while the bus is away is not heard. `hear` must not block.
        """

    def close(self) -> None:
        """End `listen`."""


def tell_holder(before: Job, after: Job, holders: Holders) -> None:
    """Hint to whoever ran the job that a change has taken it from them."""
    if before.status is JobStatus.RUNNING:
        holders.tell_fenced(Fenced(job=after.id, epoch=after.epoch))
