"""The records that a story is judged by: each write of a row, and the model's ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.memory import MemoryJobStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.claim import Claim
    from jobs.job import Job, JobId
    from tests.simulation.baton import Process


@dataclass(frozen=True, kw_only=True)
class Version:
    """One write of a row: by the holder of `writer`, if it says it is one."""

    at: int
    verb: str
    before: Job | None
    after: Job
    writer: Claim | None


class RecordedStore(MemoryJobStore):
    """The real store in memory; `wrote` hears of each write while nobody else can run."""

    def __init__(self, wrote: Callable[[Job | None, Job], object]) -> None:
        super().__init__()
        self._wrote = wrote

    def _write(self, job: Job) -> None:
        before = self._jobs.get(job.id)
        super()._write(job)
        self._wrote(before, job)


@dataclass(eq=False, kw_only=True)
class Call:
    """One line of the model's ledger; it was answered in full if nobody broke it off before."""

    job: JobId
    epoch: int
    attempt: int
    process: Process
    ends_at: int
    text: str | None
    closed_at: int | None = None

    @property
    def is_completed(self) -> bool:
        """Whether the whole answer was given, and paid."""
        return self.text is not None and (self.closed_at is None or self.closed_at >= self.ends_at)
