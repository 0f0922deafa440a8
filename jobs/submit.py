"""Submit: make a job durable, then say so."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta  # noqa: TC003 - a dataclass's field type
from typing import TYPE_CHECKING

from jobs import seq
from jobs.document import Document  # noqa: TC001 - a dataclass's field type
from jobs.due import first_due_at
from jobs.errors import JobMoved, JobNotFound, KeyReused
from jobs.events import queued_event
from jobs.job import (
    InferenceConfig,
    Inline,
    Job,
    JobStatus,
    ObjectKey,
    OnInterrupted,
    Stored,
    new_job_id,
)
from jobs.timeline import Step, StepName
from jobs.tracing import UNTRACED, SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from jobs.idempotency import KeyedJobs, RequestKey
    from jobs.in_flight import Ceiling
    from jobs.job import JobId, ModelId, Payload, UserId
    from jobs.ports import Chance, Clock, EventBus, JobStore, Log, Nudge, ObjectStore
    from jobs.prompt import Prompt
    from jobs.receiver import Receiver
    from jobs.trace import Trace
    from jobs.tracing import Span, Tracer


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRequest:
    """What a caller asks for, checked."""

    user: UserId
    model: ModelId
    prompt: Prompt
    trace: Trace
    accepted_at: datetime
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    metadata: Mapping[str, str] = field(default_factory=dict)
    on_interrupted: OnInterrupted = OnInterrupted.RETRY
    start_timeout: timedelta | None = None
    run_timeout: timedelta | None = None
    retention: timedelta | None = None
    webhook: str | None = None
    also_tell: tuple[Receiver, ...] = ()
    documents: tuple[Document, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """The job of a request; `is_replay` says that an earlier one like it has made it."""

    job: Job
    is_replay: bool


@dataclass(frozen=True, kw_only=True)
class SubmitParts:
    """What submitting needs."""

    store: JobStore
    objects: ObjectStore
    events: EventBus
    feed: Nudge
    clock: Clock
    chance: Chance
    log: Log
    process: str
    max_attempts: int
    inline_prompt_bytes: int
    ceiling: Ceiling | None = None
    tracer: Tracer = UNTRACED


def submit_job(request: JobRequest, parts: SubmitParts) -> Job:
    """Write the job and give it back; when this returns, the job is durable.

    Raises TooManyJobs.
    """
    with _admitted(request, parts) as job_id:
        job = _make(job_id, request, parts)
        with _accepting(job, parts):
            parts.store.add(job)
    _tell(job, parts)
    return job


def submit_once(
    read: Callable[[], JobRequest], key: RequestKey, parts: SubmitParts, keyed: KeyedJobs
) -> Submitted:
    """Write the job, unless this request has made one already: then give that, as it stands.

    The request is read for a new job only: what it names may be gone since, and its job is not.

    Raises TooManyJobs, KeyReused for another body under the same key, and JobMoved where the job
    was removed in this very moment.
    """
    made = keyed.find(key)
    if made is None:
        request = read()
        with _admitted(request, parts) as job_id:
            job = _make(job_id, request, parts)
            try:
                with _accepting(job, parts):
                    made = keyed.add(job, key)
            except KeyReused:
                _take_back(job.prompt, parts)
                raise
        if made == job.id:
            _tell(job, parts)
            return Submitted(job=job, is_replay=False)
        if parts.ceiling is not None:
            parts.ceiling.forget(request.user, job_id)
        _take_back(job.prompt, parts)  # another of the same requests was faster
    try:
        return Submitted(job=parts.store.get(made), is_replay=True)
    except JobNotFound as error:
        raise JobMoved("the job of this Idempotency-Key was removed just now") from error


@contextmanager
def _admitted(request: JobRequest, parts: SubmitParts) -> Iterator[JobId]:
    """Name a job that the user may have in flight, until it turns out that it cannot be made."""
    job_id = new_job_id(request.accepted_at, parts.chance.entropy(10))
    if parts.ceiling is None:
        yield job_id
        return
    parts.ceiling.admit(request.user, job_id)
    try:
        yield job_id
    except BaseException:
        parts.ceiling.forget(request.user, job_id)
        raise


def _accepting(job: Job, parts: SubmitParts) -> Span:
    facts = {"longhaul.job_id": job.id}
    return parts.tracer.begin("job.accept", SpanKind.INTERNAL, job.trace, facts=facts)


def _make(job_id: JobId, request: JobRequest, parts: SubmitParts) -> Job:
    prompt = _place_prompt(job_id, request.prompt.to_json(), parts)
    return _new_job(job_id, request, prompt, parts)


def _take_back(prompt: Payload, parts: SubmitParts) -> None:
    if isinstance(prompt, Stored):
        parts.objects.delete(prompt.key)


def _tell(job: Job, parts: SubmitParts) -> None:
    parts.feed.nudge()
    parts.events.publish(queued_event(job))
    parts.log.info(
        "job_submitted",
        job_id=job.id,
        trace_id=job.trace.id,
        model=job.model,
        prompt_bytes=job.prompt.size,
    )


def _place_prompt(job_id: JobId, text: str, parts: SubmitParts) -> Payload:
    inline = Inline(text=text)
    if (size := inline.size) <= parts.inline_prompt_bytes:
        return inline
    key = ObjectKey(f"prompts/{job_id}.json")
    parts.objects.put(key, text, content_type="application/json")
    return Stored(key=key, size=size)


def _new_job(job_id: JobId, request: JobRequest, prompt: Payload, parts: SubmitParts) -> Job:
    accepted = Step(name=StepName.ACCEPTED, at=request.accepted_at, by=parts.process)
    written_at = parts.clock.now()
    job = Job(
        id=job_id,
        user=request.user,
        status=JobStatus.PENDING,
        model=request.model,
        prompt=prompt,
        created_at=request.accepted_at,
        updated_at=written_at,
        trace=request.trace,
        max_attempts=parts.max_attempts,
        inference=request.inference,
        metadata=request.metadata,
        on_interrupted=request.on_interrupted,
        start_timeout=request.start_timeout,
        run_timeout=request.run_timeout,
        retention=request.retention,
        webhook=request.webhook,
        also_tell=request.also_tell,
        documents=request.documents,
        queued_at=request.accepted_at,
        seq=seq.QUEUED,
        timeline=(accepted, replace(accepted, name=StepName.WRITTEN, at=written_at)),
    )
    return replace(job, due_at=first_due_at(job))
