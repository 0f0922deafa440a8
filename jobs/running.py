"""What one run of a job has in its hands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from jobs.narrate import Narrator
from jobs.patience import patiently
from jobs.timeline import Step, StepName

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from jobs.claim import Claim
    from jobs.job import WorkerId
    from jobs.ports import (
        Chance,
        Clock,
        EventBus,
        JobStore,
        Lease,
        Leases,
        Log,
        Model,
        ObjectStore,
    )
    from jobs.retry import RetryPolicy

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunParts:
    """What running needs, the same for all jobs of a process.

    `patience` is how long to wait for a store that is away, with a paid answer in hand.
    """

    store: JobStore
    objects: ObjectStore
    model: Model
    leases: Leases
    events: EventBus
    clock: Clock
    chance: Chance
    log: Log
    policy: RetryPolicy
    worker: WorkerId
    lease: timedelta
    patience: timedelta
    inline_result_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The model's whole text; `usage` is input and output tokens."""

    text: str
    usage: tuple[int, int] | None
    stop_reason: str | None


@dataclass(kw_only=True)
class Run:
    """One claim being run; used by one thread. `steps` are what the outcome will write."""

    claim: Claim
    lease: Lease
    parts: RunParts
    steps: list[Step] = field(default_factory=list)
    has_invoked: bool = False
    has_text: bool = False

    def __post_init__(self) -> None:
        self.narrator = Narrator(claim=self.claim, events=self.parts.events, clock=self.parts.clock)

    @property
    def may_call(self) -> bool:
        """Whether the claim's own call is within the job's bound."""
        return self.claim.attempt <= self.claim.job.max_attempts

    @property
    def may_call_again(self) -> bool:
        """Whether one more call after this one is."""
        return self.claim.attempt < self.claim.job.max_attempts

    @property
    def keys(self) -> dict[str, object]:
        """What every log line of this run carries."""
        return {
            "job_id": self.claim.job_id,
            "attempt": self.claim.attempt,
            "trace_id": self.claim.job.trace.id,
        }

    def step(self, name: StepName, *, error: str | None = None, detail: str | None = None) -> Step:
        """Make a step of the timeline, taken now."""
        return Step(
            name=name,
            at=self.parts.clock.now(),
            by=self.parts.worker,
            attempt=self.claim.attempt,
            error=error,
            detail=detail,
        )

    def mark_invoked(self) -> None:
        """Write, under this claim alone, that the call begins now. Raises ClaimLost."""
        step = self.step(StepName.INVOKED)
        self.patiently(
            lambda: self.parts.store.mark_invoked(self.claim, step), waiting="call_waits"
        )
        self.lease.check()  # the mark may have taken long; what lapsed meanwhile must not pay
        self.has_invoked = True

    def note(self, name: StepName, *, detail: str | None = None) -> None:
        """Take a step that the outcome will write."""
        self.steps.append(self.step(name, detail=detail))

    def note_first_token(self) -> None:
        """Note the first token, once."""
        if not self.has_text:
            self.has_text = True
            self.note(StepName.FIRST_TOKEN)

    def patiently(self, action: Callable[[], T], *, waiting: str) -> T:
        """Do `action`, waiting for a part that is away; each wait is logged as `waiting`."""
        return patiently(
            action,
            clock=self.parts.clock,
            patience=self.parts.patience,
            waiting=lambda error: self.parts.log.warning(waiting, reason=str(error), **self.keys),
        )
