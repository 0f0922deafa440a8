"""Outcomes, by which a claim's holder settles it, and changes, which need no claim.

Beside them, what a cancelled claim's holder has yet to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from jobs.job import JobError, Result
    from jobs.timeline import Step
    from jobs.trace import Trace


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """The model answered and the answer is stored."""

    at: datetime
    seq: int
    result: Result
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The job is over without a result."""

    at: datetime
    seq: int
    error: JobError
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrying:
    """The claim is released; another attempt follows at `at + delay`.

    `gives_back` says that no call was begun, so that the attempt does not count.
    """

    at: datetime
    seq: int
    error: JobError
    delay: timedelta
    retry_counts: tuple[int, ...]
    steps: tuple[Step, ...]
    gives_back: bool = False

    @property
    def not_before(self) -> datetime:
        """When the job may be claimed again."""
        return self.at + self.delay


@dataclass(frozen=True, kw_only=True, slots=True)
class Divided:
    """The job was too much for one call; its `total` parts run now, and the claim is given back."""

    at: datetime
    seq: int
    total: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Expired:
    """The job did not start, or did not finish, in its time."""

    at: datetime
    seq: int
    error: JobError
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancelled:
    """The caller does not want the job any more."""

    at: datetime
    seq: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Redriven:
    """The job waits again, for a new round of attempts up to number `max_attempts`.

    `trace` is what the round goes on under, where it is not what the job was made under.
    """

    at: datetime
    seq: int
    max_attempts: int
    steps: tuple[Step, ...]
    trace: Trace | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """A divided job waits for a worker again: its parts are done, or one has to run again."""

    at: datetime
    seq: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Partial:
    """What had come of a call whose job was cancelled; the job has ended and stays as it is."""

    at: datetime
    result: Result
    steps: tuple[Step, ...]


Outcome = Completed | Failed | Retrying | Divided | Expired
Change = Cancelled | Expired | Failed | Redriven | Gathered


def settled_at(outcome: Outcome, at: datetime) -> Outcome:
    """Note with an outcome's own step, its last, when the row's write began."""
    *before, own = outcome.steps
    return replace(outcome, steps=(*before, replace(own, settled_at=at)))
