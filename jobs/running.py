"""What one run of a job has in its hands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from jobs.answer import AtRisk
from jobs.errors import Misconfigured, Unavailable
from jobs.narrate import Mute, Narrator
from jobs.patience import patiently
from jobs.sketch import sketch
from jobs.timeline import Step, StepName
from jobs.told import seconds
from jobs.tracing import UNTRACED, SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from jobs.add_documents import DocumentParts
    from jobs.answer import KeptAnswers, PaidAnswer
    from jobs.claim import Claim
    from jobs.errors import LonghaulError
    from jobs.job import Job, ObjectKey, WorkerId
    from jobs.model_ports import Model
    from jobs.ports import (
        Chance,
        Clock,
        EventBus,
        JobStore,
        Lease,
        Leases,
        Log,
        ObjectStore,
    )
    from jobs.retry import RetryPolicy
    from jobs.tracing import Facts, Span, Tracer

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunParts:
    """What running needs, the same for all jobs of a process.

    `patience` is how long to wait for a store that is away, with a paid answer in hand; `at_risk`
    has those that could not be kept meanwhile.
    """

    store: JobStore
    objects: ObjectStore
    kept: KeptAnswers
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
    documents: DocumentParts
    tracer: Tracer = UNTRACED
    at_risk: AtRisk = field(default_factory=AtRisk)


@dataclass(kw_only=True)
class Run:
    """One claim being run; used by one thread at a time. `steps` are what the outcome will write.

    `began` and `invoked` are when it began, and its call did, in the clock's elapsed time.
    `has_stream` says that the model has begun to answer, `came` is the text that came of it,
    and `placed` says what of that was put into the object store.
    `answer` is what was paid for and is not written yet; `is_kept` says that it would be found if
    this worker died now. `gathered` are the rows of a divided job's parts, once all are done.
    """

    claim: Claim
    lease: Lease
    parts: RunParts
    steps: list[Step] = field(default_factory=list)
    began: timedelta = field(init=False)
    invoked: timedelta | None = None
    has_stream: bool = False
    came: list[str] = field(default_factory=list)
    placed: list[ObjectKey] = field(default_factory=list)
    answer: PaidAnswer | None = None
    is_kept: bool = False
    gathered: tuple[Job, ...] = ()

    def __post_init__(self) -> None:
        self.began = self.parts.clock.elapsed()
        events = self.parts.events if self.claim.job.part is None else Mute()
        self.narrator = Narrator(claim=self.claim, events=events, clock=self.parts.clock)

    @property
    def has_invoked(self) -> bool:
        """Whether the claim's own call has begun."""
        return self.invoked is not None

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
        part = self.claim.job.part
        return {
            "job_id": self.claim.job_id,
            "attempt": self.claim.attempt,
            "trace_id": self.claim.job.trace.id,
            **({} if part is None else {"part_of": part.job}),
        }

    @property
    def spent(self) -> dict[str, object]:
        """What the line of this run's end tells beside: its time, and what its call has cost."""
        spent: dict[str, object] = {
            "model": self.claim.job.model,
            "run_seconds": seconds(self.parts.clock.elapsed() - self.began),
        }
        if self.answer is not None and self.answer.usage is not None:
            spent["input_tokens"], spent["output_tokens"] = self.answer.usage
        return spent

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

    def span(self, name: str, facts: Facts | None = None) -> Span:
        """Begin a step of this run that a trace shows."""
        ours: Facts = {
            "longhaul.job_id": self.claim.job_id,
            "longhaul.attempt": self.claim.attempt,
        }
        return self.parts.tracer.begin(
            name, SpanKind.INTERNAL, self.claim.job.trace, facts={**ours, **(facts or {})}
        )

    @property
    def text_so_far(self) -> str:
        """What there is of an answer, whole or not."""
        return "".join(self.came) if self.answer is None else self.answer.text

    def mark_invoked(self) -> None:
        """Write, under this claim alone, that the call begins now. Raises ClaimLost."""
        step = self.step(StepName.INVOKED)
        self.patiently(
            lambda: self.parts.store.mark_invoked(self.claim, step), waiting="call_waits"
        )
        self.lease.check()  # the mark may have taken long; what lapsed meanwhile must not pay
        self.invoked = self.parts.clock.elapsed()
        self.parts.log.info("call_begun", model=self.claim.job.model, **self.keys)

    def note(self, name: StepName, *, detail: str | None = None) -> None:
        """Take a step that the outcome will write."""
        self.steps.append(self.step(name, detail=detail))

    def take_in(self, text: str) -> None:
        """Take in a piece of the answer as it comes, and tell it; note the first.

        Raises what ends the run.
        """
        self.lease.check()
        if not self.came:
            self.note(StepName.FIRST_TOKEN)
            self._tell_first_token()
        self.came.append(text)
        self.narrator.tell_delta(text)

    def _tell_first_token(self) -> None:
        if self.invoked is not None:
            after = seconds(self.parts.clock.elapsed() - self.invoked)
            model = self.claim.job.model
            self.parts.log.info("first_token_came", after_seconds=after, model=model, **self.keys)

    def hold(self, answer: PaidAnswer, *, is_kept: bool = False) -> None:
        """Take a paid answer in hand; it is kept as soon as the store has to be waited for."""
        self.answer, self.is_kept = answer, is_kept

    def let_go(self) -> None:
        """Forget the answer that was kept: the row has it now."""
        if self.answer is None or not self.is_kept:
            return
        try:
            self.parts.kept.forget(self.answer)
        except Exception as error:  # noqa: BLE001 - it goes when its time is over
            self.parts.log.info("answer_not_forgotten", reason=sketch(error), **self.keys)

    def patiently(self, action: Callable[[], T], *, waiting: str) -> T:
        """Do `action`, waiting for a part that is away; each wait is logged as `waiting`.

        A paid answer in hand is kept first: whoever waits may die.
        """

        def wait(error: LonghaulError) -> None:
            self.parts.log.warning(waiting, reason=str(error), **self.keys)
            self._keep_answer()

        try:
            return patiently(
                action, clock=self.parts.clock, patience=self.parts.patience, waiting=wait
            )
        except (Unavailable, Misconfigured):
            self._keep_answer()
            raise

    def _keep_answer(self) -> None:
        if self.answer is None or self.is_kept:
            return
        try:
            self.parts.kept.keep(self.answer)
        except Exception as error:  # noqa: BLE001 - it is still in hand, and tried at the next wait
            self.parts.at_risk.add(self.claim.token)
            self.parts.log.warning("answer_not_kept", reason=sketch(error), **self.keys)
        else:
            self.is_kept = True
            self.parts.at_risk.discard(self.claim.token)
            self.parts.log.info("answer_kept", **self.keys)
