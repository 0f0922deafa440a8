"""Small builders and scripted ports, so that a test says only what it is about."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from adapters.kept_answers import AnswersInObjects
from adapters.local_slots import LocalSlots
from adapters.memory import (
    ManualClock,
    MemoryEvents,
    MemoryFenced,
    MemoryJobStore,
    MemoryObjectStore,
    MemoryTaskQueue,
    SteadyLeases,
)
from adapters.memory_deliveries import MemoryDeliveries, MemoryDeliveryQueue
from adapters.memory_uploads import MemoryUploads, PlainReader
from jobs.add_documents import DocumentParts
from jobs.announce import AnnounceParts
from jobs.cancel import CancelParts
from jobs.claim import Claim, ClaimTerms
from jobs.deliver import DeliverParts
from jobs.delivery import SCHEDULE
from jobs.document import Document, DocumentText, MediaType, UploadId
from jobs.due import first_due_at
from jobs.errors import ClaimLost, DocumentRefused, ModelError, Unavailable
from jobs.expire import ExpireParts
from jobs.gather import GatherParts
from jobs.job import (
    ClaimToken,
    Inline,
    Job,
    JobId,
    JobStatus,
    ModelId,
    ObjectKey,
    UserId,
    WorkerId,
)
from jobs.prompt import Prompt
from jobs.redrive import RedriveParts
from jobs.retry import DEFAULT_POLICY
from jobs.running import RunParts
from jobs.submit import JobRequest, SubmitParts
from jobs.sweep import SweepParts
from jobs.task import Task
from jobs.trace import Trace, TraceId
from workers.gatherer import Gatherer
from workers.late_word import LateWord
from workers.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from jobs.claim import ClaimRefused
    from jobs.division import Division
    from jobs.model_ports import Answering, Invocation
    from jobs.outcome import Change, Outcome, Partial
    from jobs.ports import JobStore
    from jobs.timeline import Step

NOW = datetime(2026, 11, 23, 4, 38, tzinfo=UTC)  # where a ManualClock starts
JOB_ID = JobId("job_01kb6yh3c0000000000000000a")
LEASE = timedelta(seconds=60)


def a_trace(**changes: Any) -> Trace:  # noqa: ANN401 - a Trace's own fields
    """Make a trace."""
    trace = Trace(id=TraceId("1-6922915b-0123456789abcdef01234567"))
    return replace(trace, **changes)


def a_job(**changes: Any) -> Job:  # noqa: ANN401 - a Job's own fields
    """Make a job that has just been submitted; `due_at` follows, unless it is told."""
    job = Job(
        id=JOB_ID,
        user=UserId("ada"),
        status=JobStatus.PENDING,
        model=ModelId("amazon.nova-lite-v1:0"),
        prompt=Inline(text=Prompt(text="Say hello").to_json()),
        created_at=NOW,
        updated_at=NOW,
        queued_at=NOW,
        trace=a_trace(),
        max_attempts=DEFAULT_POLICY.max_calls,
    )
    job = replace(job, **changes)
    return job if "due_at" in changes else replace(job, due_at=_due_at(job))


def _due_at(job: Job) -> datetime | None:
    if job.status.is_terminal:
        return None
    return job.lease_until if job.status is JobStatus.RUNNING else first_due_at(job)


def a_task(job: Job, **changes: Any) -> Task:  # noqa: ANN401 - a Task's own fields
    """Make the task that a feed would make of a job's row."""
    return replace(Task.of(job, now=NOW, by="feed@test:1"), **changes)


def a_claim(**changes: Any) -> Claim:  # noqa: ANN401 - the claimed Job's own fields
    """Make a claim of a job's first attempt; `changes` are the job's."""
    running: dict[str, Any] = {
        "status": JobStatus.RUNNING,
        "attempt": 1,
        "epoch": 1,
        "seq": 1_000_001,
        "lease_until": NOW + LEASE,
        "started_at": NOW,
    }
    return Claim(
        job=a_job(**(running | changes)),
        token=ClaimToken("0" * 32),
        worker=WorkerId("worker@test:1"),
        lease=LEASE,
    )


def a_document(**changes: Any) -> Document:  # noqa: ANN401 - a Document's own fields
    """Make a document that has been uploaded."""
    document = Document(
        upload=UploadId("upl_01kb6yh3c0000000000000000a"),
        name="report.pdf",
        media_type=MediaType.PDF,
        size=1_000,
        key=ObjectKey("uploads/ada/upl_01kb6yh3c0000000000000000a"),
    )
    return replace(document, **changes)


def a_request(**changes: Any) -> JobRequest:  # noqa: ANN401 - a JobRequest's own fields
    """Make what a caller asks for."""
    request = JobRequest(
        user=UserId("ada"),
        model=ModelId("amazon.nova-lite-v1:0"),
        prompt=Prompt(text="Say hello"),
        trace=a_trace(),
        accepted_at=NOW,
    )
    return replace(request, **changes)


def throttled(message: str = "Too many requests") -> ModelError:
    """Make the error that the default policy retries."""
    return ModelError(
        message,
        name="Bedrock.ThrottlingException",
        error_code="model_throttled",
        retryable=True,
    )


def rejected(message: str = "The model knows no such field") -> ModelError:
    """Make the error that no retry can mend."""
    return ModelError(
        message,
        name="Bedrock.ValidationException",
        error_code="model_rejected_request",
        retryable=False,
    )


def stream_broke(message: str = "The stream broke") -> ModelError:
    """Make the error of an answer that stopped halfway; the default policy retries it."""
    return ModelError(
        message,
        name="Bedrock.ModelStreamErrorException",
        error_code="model_stream_error",
        retryable=True,
        may_be_paid=True,
    )


def store_away() -> Unavailable:
    """Make the error of a store that cannot be reached."""
    return Unavailable("store", "cannot be reached (test)")


def lost() -> ClaimLost:
    """Make the error of a claim that someone else has taken over."""
    return ClaimLost("the job has left epoch 1")


@dataclass(kw_only=True)
class FixedChance:
    """jobs.ports.Chance without chance: entropy counts up, jitter is what it is told."""

    jitter_value: float = 0.5
    drawn: int = 0

    def entropy(self, size: int) -> bytes:
        """Give bytes that no earlier call gave."""
        self.drawn += 1
        return self.drawn.to_bytes(size)

    def jitter(self) -> float:
        """Give the fixed number."""
        return self.jitter_value


class Logged(NamedTuple):
    """One line of the log."""

    level: str
    event: str
    keys: dict[str, object]


@dataclass(kw_only=True)
class RecordingLog:
    """jobs.ports.Log that keeps its lines."""

    lines: list[Logged] = field(default_factory=list)

    def info(self, event: str, /, **keys: object) -> None:
        """Keep what happened."""
        self.lines.append(Logged("info", event, keys))

    def warning(self, event: str, /, **keys: object) -> None:
        """Keep what someone may want to look at."""
        self.lines.append(Logged("warning", event, keys))

    def count(self, event: str) -> int:
        """Say how often an event was logged."""
        return sum(line.event == event for line in self.lines)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the model is to say: `pieces`, and then `error` where it is not None.

    `before_piece` is called with each piece's index before the piece is given.
    """

    pieces: Sequence[str] = ("Hello", ", ", "world")
    usage: tuple[int, int] | None = (7, 3)
    stop_reason: str | None = "end_turn"
    raw: str | None = None
    error: Exception | None = None
    before_piece: Callable[[int], object] | None = None


class ScriptedAnswering:
    """jobs.model_ports.Answering of an Answer."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._ended = False
        self.given = 0
        self.closed = 0

    def read(self, take: Callable[[str], object]) -> None:
        """Give the pieces, then raise the error."""
        for index, piece in enumerate(self._answer.pieces):
            if self._answer.before_piece is not None:
                self._answer.before_piece(index)
            self.given += 1
            take(piece)
        if self._answer.error is not None:
            raise self._answer.error
        self._ended = True

    def close(self) -> None:
        """Count the closing."""
        self.closed += 1

    @property
    def usage(self) -> tuple[int, int] | None:
        """Give the usage, at the end only."""
        return self._answer.usage if self._ended else None

    @property
    def stop_reason(self) -> str | None:
        """Give the stop reason, at the end only."""
        return self._answer.stop_reason if self._ended else None

    @property
    def raw(self) -> str | None:
        """Give the answer's own JSON, at the end only."""
        return self._answer.raw if self._ended else None


def pieces_of(answering: Answering) -> list[str]:
    """Read an answer to its end."""
    pieces: list[str] = []
    answering.read(pieces.append)
    return pieces


class ScriptedModel:
    """jobs.model_ports.Model that answers from a script, one entry a call; an exception is raised.

    `invocations` are the calls that came, `answerings` the answers that began.
    """

    def __init__(self, *script: Answer | Exception) -> None:
        self._script = list(script)
        self.invocations: list[Invocation] = []
        self.answerings: list[ScriptedAnswering] = []

    @contextmanager
    def invoke(self, invocation: Invocation) -> Iterator[ScriptedAnswering]:
        """Answer with the script's next entry; a call too many fails the test."""
        self.invocations.append(invocation)
        assert self._script, "the model was called once more than the script says"
        answer = self._script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        answering = ScriptedAnswering(answer)
        self.answerings.append(answering)
        try:
            yield answering
        finally:
            answering.close()


@dataclass(kw_only=True)
class ScriptedReader:
    """jobs.document.DocumentReader that knows its texts by heart; `read_so_far` counts."""

    pages: Mapping[str, Sequence[str]] = field(default_factory=dict)
    read_so_far: int = 0

    def read(
        self,
        document: Document,
        *,
        check: Callable[[], object] | None = None,  # noqa: ARG002 - the port's
    ) -> DocumentText:
        """Give the pages of the document of this name."""
        self.read_so_far += 1
        if document.name not in self.pages:
            raise DocumentRefused(f"nobody can read {document.name}", reason="document_broken")
        return DocumentText(document=document, pages=tuple(self.pages[document.name]))


class ScriptedLeases:
    """jobs.ports.Leases whose checks answer from a script: None for ours, or what to raise."""

    def __init__(self, *checks: Exception | None) -> None:
        self._checks = list(checks)
        self.break_offs: list[Callable[[], object]] = []
        self.ended = 0

    @contextmanager
    def keep(self, claim: Claim) -> Iterator[ScriptedLeases]:  # noqa: ARG002 - the port's
        """Be the lease."""
        try:
            yield self
        finally:
            self.ended += 1

    def check(self) -> None:
        """Answer with the script's next entry; after its end the claim is ours."""
        answer = self._checks.pop(0) if self._checks else None
        if answer is not None:
            raise answer

    def on_end(self, break_off: Callable[[], object]) -> None:
        """Keep what is to be called."""
        self.break_offs.append(break_off)


class ShakyJobStore(MemoryJobStore):
    """A MemoryJobStore whose methods first raise what `failures` holds for them, one a call."""

    def __init__(self, **failures: Iterable[Exception]) -> None:
        super().__init__()
        self.failures = {method: list(errors) for method, errors in failures.items()}
        self.calls: list[str] = []

    def add(self, job: Job) -> None:
        """Write a new row, unless it is to fail."""
        self._count("add")
        super().add(job)

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        """Claim, unless it is to fail."""
        self._count("claim")
        return super().claim(job_id, terms)

    def mark_invoked(self, claim: Claim, invoked: Step) -> None:
        """Mark, unless it is to fail."""
        self._count("mark_invoked")
        super().mark_invoked(claim, invoked)

    def renew(self, claim: Claim, until: datetime) -> None:
        """Renew, unless it is to fail."""
        self._count("renew")
        super().renew(claim, until)

    def mark_divided(self, claim: Claim, division: Division) -> None:
        """Mark as divided, unless it is to fail."""
        self._count("mark_divided")
        super().mark_divided(claim, division)

    def settle(self, claim: Claim, outcome: Outcome) -> Job:
        """Settle, unless it is to fail."""
        self._count("settle")
        return super().settle(claim, outcome)

    def change(self, job: Job, change: Change) -> Job:
        """Change, unless it is to fail."""
        self._count("change")
        return super().change(job, change)

    def keep_partial(self, claim: Claim, partial: Partial) -> None:
        """Keep what had come, unless it is to fail."""
        self._count("keep_partial")
        super().keep_partial(claim, partial)

    def _count(self, method: str) -> None:
        self.calls.append(method)
        if errors := self.failures.get(method):
            raise errors.pop(0)


class ShakyObjectStore(MemoryObjectStore):
    """A MemoryObjectStore whose puts and gets first raise what they are given, one a call."""

    def __init__(self, *, put: Iterable[Exception] = (), get: Iterable[Exception] = ()) -> None:
        super().__init__()
        self._failing_puts = list(put)
        self._failing_gets = list(get)

    def put(self, key: ObjectKey, text: str, *, content_type: str) -> None:
        """Store a text, unless it is to fail."""
        if self._failing_puts:
            raise self._failing_puts.pop(0)
        super().put(key, text, content_type=content_type)

    def get(self, key: ObjectKey) -> str:
        """Read a text, unless it is to fail."""
        if self._failing_gets:
            raise self._failing_gets.pop(0)
        return super().get(key)


class ShakyTaskQueue(MemoryTaskQueue):
    """A MemoryTaskQueue that first raises what it is given, one a call."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)

    def enqueue(self, tasks: Sequence[Task]) -> None:
        """Keep the tasks, unless it is to fail."""
        if tasks and self.failures:
            raise self.failures.pop(0)
        super().enqueue(tasks)


class HeldTimers(Timers):
    """Timers that call nothing by themselves: the test says when."""

    def __init__(self, clock: ManualClock, log: RecordingLog) -> None:
        super().__init__(clock=clock, log=log)
        self.held: list[tuple[datetime, Callable[[], object]]] = []
        self._manual_clock = clock

    def call_after(self, delay: timedelta, call: Callable[[], object]) -> None:
        """Hold the call."""
        self.held.append((self._manual_clock.now() + delay, call))

    def move_to_next(self) -> object:
        """Move the clock to the call that was asked for first, make it, and give its answer."""
        at, call = self.held.pop(0)
        self._manual_clock.advance(at - self._manual_clock.now())
        return call()


def run_parts(**changes: Any) -> RunParts:  # noqa: ANN401 - RunParts' own fields
    """Make what a worker runs jobs with, all of it in memory."""
    parts = RunParts(
        store=MemoryJobStore(),
        objects=MemoryObjectStore(),
        kept=AnswersInObjects(objects=MemoryObjectStore(), log=RecordingLog()),
        model=ScriptedModel(Answer()),
        leases=SteadyLeases(),
        events=MemoryEvents(),
        clock=ManualClock(),
        chance=FixedChance(),
        log=RecordingLog(),
        policy=DEFAULT_POLICY,
        worker=WorkerId("worker@test:1"),
        lease=LEASE,
        patience=timedelta(seconds=600),
        inline_result_bytes=1024,
        documents=document_parts(),
    )
    return replace(parts, **changes)


def document_parts(**changes: Any) -> DocumentParts:  # noqa: ANN401 - DocumentParts' own fields
    """Make what documents are added with, all of it in memory."""
    uploads = changes.get("uploads") or MemoryUploads(ManualClock())
    parts = DocumentParts(
        uploads=uploads,
        reader=PlainReader(uploads=uploads),
        most_characters=10_000_000,
        answer_tokens=4_096,
    )
    return replace(parts, **changes)


def submit_parts(**changes: Any) -> SubmitParts:  # noqa: ANN401 - SubmitParts' own fields
    """Make what a web process submits jobs with, all of it in memory."""
    events = MemoryEvents()
    parts = SubmitParts(
        store=MemoryJobStore(),
        objects=MemoryObjectStore(),
        events=events,
        feed=events,
        clock=ManualClock(),
        chance=FixedChance(),
        log=RecordingLog(),
        process="web@test:1",
        max_attempts=DEFAULT_POLICY.max_calls,
        inline_prompt_bytes=1024,
    )
    return replace(parts, **changes)


def cancel_parts(store: JobStore, **changes: Any) -> CancelParts:  # noqa: ANN401 - its fields
    """Make what a web process cancels jobs with, all of it in memory."""
    parts = CancelParts(
        store=store,
        events=MemoryEvents(),
        holders=MemoryFenced(),
        clock=ManualClock(),
        log=RecordingLog(),
        process="web@test:1",
    )
    return replace(parts, **changes)


def expire_parts(store: MemoryJobStore, **changes: Any) -> ExpireParts:  # noqa: ANN401 - its fields
    """Make what jobs are expired with, all of it in memory."""
    parts = ExpireParts(
        store=store,
        events=MemoryEvents(),
        holders=MemoryFenced(),
        clock=ManualClock(),
        log=RecordingLog(),
        process="feed@test:1",
    )
    return replace(parts, **changes)


def redrive_parts(store: JobStore, **changes: Any) -> RedriveParts:  # noqa: ANN401 - its fields
    """Make what a web process redrives jobs with, all of it in memory."""
    events = MemoryEvents()
    parts = RedriveParts(
        store=store,
        events=events,
        feed=events,
        announcing=announce_parts(),
        clock=ManualClock(),
        log=RecordingLog(),
        process="web@test:1",
        attempts=DEFAULT_POLICY.max_calls,
    )
    return replace(parts, **changes)


def announce_parts(**changes: Any) -> AnnounceParts:  # noqa: ANN401 - its fields
    """Make what ends are announced with, all of it in memory."""
    parts = AnnounceParts(
        deliveries=MemoryDeliveries(),
        queue=MemoryDeliveryQueue(),
        clock=ManualClock(),
        log=RecordingLog(),
        process="feed@test:1",
    )
    return replace(parts, **changes)


def deliver_parts(**changes: Any) -> DeliverParts:  # noqa: ANN401 - its fields
    """Make what a worker delivers with, all of it in memory; nobody is told."""
    parts = DeliverParts(
        deliveries=MemoryDeliveries(),
        announcers={},
        store=MemoryJobStore(),
        objects=MemoryObjectStore(),
        clock=ManualClock(),
        log=RecordingLog(),
        schedule=SCHEDULE,
        url_lifetime=timedelta(hours=1),
        source="urn:longhaul:Test",
        process="worker@test:1",
    )
    return replace(parts, **changes)


def gatherer(store: MemoryJobStore | None = None, **changes: Any) -> Gatherer:  # noqa: ANN401 - the parts' fields
    """Make what a feed gathers parts with, all of it in memory."""
    cancelling = cancel_parts(store or MemoryJobStore(), **changes)
    parts = GatherParts(
        store=cancelling.store,
        events=cancelling.events,
        clock=cancelling.clock,
        log=cancelling.log,
        process=cancelling.process,
    )
    return Gatherer(parts=parts, cancelling=cancelling)


def late_word(events: MemoryEvents | None = None) -> LateWord:
    """Make what a feed tells watchers by, whose moment never comes by itself."""
    return LateWord(
        events=events or MemoryEvents(), timers=HeldTimers(ManualClock(), RecordingLog())
    )


def sweep_parts(store: MemoryJobStore, **changes: Any) -> SweepParts:  # noqa: ANN401 - its fields
    """Make what a feed process sweeps with, all of it in memory."""
    parts = SweepParts(
        due=store,
        store=store,
        events=MemoryEvents(),
        holders=MemoryFenced(),
        queue=MemoryTaskQueue(),
        lines=LocalSlots(capacity=1, share=1),
        announcing=announce_parts(),
        clock=ManualClock(),
        log=RecordingLog(),
        process="feed@test:1",
        lease=LEASE,
    )
    return replace(parts, **changes)


def claim_terms(**changes: Any) -> ClaimTerms:  # noqa: ANN401 - ClaimTerms' own fields
    """Make the terms of one try to claim."""
    terms = ClaimTerms(
        worker=WorkerId("worker@test:1"), token=ClaimToken("0" * 32), at=NOW, lease=LEASE
    )
    return replace(terms, **changes)
