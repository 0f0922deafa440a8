"""A job's documents, from its row into the call; or its end before any call."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from adapters.memory import ManualClock
from adapters.memory_uploads import MemoryUploads
from jobs.document import Document, MediaType, UploadId
from jobs.errors import DeadlinePassed, HandedOver, Unavailable
from jobs.job import InferenceConfig, Inline, Job, JobStatus, ModelId, UserId
from jobs.prompt import Prompt
from jobs.redrive import redrive_job
from jobs.retry import Retrier, RetryPolicy
from jobs.run import run_job
from jobs.timeline import StepName
from jobs.uploads import Declared
from tests.builders import (
    RecordingLog,
    ScriptedLeases,
    ScriptedModel,
    ShakyJobStore,
    a_job,
    a_task,
    document_parts,
    redrive_parts,
    run_parts,
)

if TYPE_CHECKING:
    from jobs.running import RunParts

ADA = UserId("ada")
NO_DOCUMENTS = ModelId("amazon.nova-micro-v1:0")


class ShakyUploads(MemoryUploads):
    """MemoryUploads whose copies first raise what they are given."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__(ManualClock())
        self.failures = list(failures)

    def load(self, document: Document) -> bytes:
        if self.failures:
            raise self.failures.pop(0)
        return super().load(document)


def put(
    uploads: MemoryUploads, content: bytes, number: int = 1, kind: MediaType = MediaType.TEXT
) -> Document:
    one = UploadId(f"upl_{number}")
    declared = Declared(
        user=ADA,
        name=f"report {number}.txt",
        media_type=kind,
        size=len(content),
        sha256=base64.b64encode(hashlib.sha256(content).digest()).decode(),
    )
    signed = uploads.sign(one, declared, lifetime=timedelta(minutes=1))
    uploads.put(signed.url, signed.headers, content)
    document = uploads.find(ADA, one)
    assert document is not None
    return document


def world(
    *contents: bytes,
    uploads: MemoryUploads | None = None,
    kind: MediaType = MediaType.TEXT,
    **changes: Any,  # noqa: ANN401 - a Job's
) -> tuple[RunParts, Job]:
    """Make a job with documents, and what a worker runs it with."""
    uploads = uploads or MemoryUploads(ManualClock())
    documents = tuple(put(uploads, one, number, kind) for number, one in enumerate(contents, 1))
    job = a_job(documents=documents, **changes)
    parts = run_parts(documents=document_parts(uploads=uploads), store=ShakyJobStore())
    parts.store.add(job)
    return parts, job


def run(parts: RunParts, job: Job) -> Job:
    ended = run_job(a_task(job), parts)
    assert isinstance(ended, Job)
    return ended


def content_of(parts: RunParts) -> list[dict[str, Any]]:
    """Give the first turn's content of the one call that was made."""
    [invocation] = cast("ScriptedModel", parts.model).invocations
    [first, *_] = invocation.prompt.messages or ()
    assert isinstance(first, dict)
    content: list[dict[str, Any]] = first["content"]
    return content


def refused(parts: RunParts, job: Job) -> tuple[str, str]:
    """Run a job that must end unpaid, and give its error's code and words."""
    ended = run(parts, job)

    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert not ended.error.retryable
    assert cast("ScriptedModel", parts.model).invocations == []
    assert "mark_invoked" not in cast("ShakyJobStore", parts.store).calls
    assert StepName.INVOKED not in {step.name for step in ended.timeline}
    return ended.error.code, ended.error.message


def test_a_model_that_takes_documents_is_given_their_bytes() -> None:
    parts, job = world(b"All agreed.")

    ended = run(parts, job)

    document, prompt = content_of(parts)
    assert ended.status is JobStatus.COMPLETED
    assert document["document"]["source"] == {"bytes": b"All agreed."}
    assert prompt == {"text": "Say hello"}


def test_another_model_is_given_their_text() -> None:
    parts, job = world(b"All agreed.", model=NO_DOCUMENTS)

    run(parts, job)

    text, prompt = content_of(parts)
    assert "All agreed." in text["text"]
    assert prompt == {"text": "Say hello"}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (MediaType.PDF, "3 pages; 2 documents as they are, 0 as text"),
        (MediaType.TEXT, "2 documents as they are, 0 as text"),  # which has no pages
    ],
)
def test_the_timeline_says_how_documents_went(kind: MediaType, told: str) -> None:
    parts, job = world(b"One\fTwo", b"Three", kind=kind)

    ended = run(parts, job)

    [step] = [step for step in ended.timeline if step.name is StepName.DOCUMENTS_READ]
    assert step.detail == told


def test_without_documents_a_prompt_stays_as_it_is() -> None:
    parts, job = world()

    run(parts, job)

    [invocation] = cast("ScriptedModel", parts.model).invocations
    assert invocation.prompt == Prompt(text="Say hello")


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"\xff\xfe", "document_broken"), (b" \n", "document_without_text")],
)
def test_what_cannot_be_read_ends_the_job_unpaid(content: bytes, code: str) -> None:
    parts, job = world(b"Sound.", content)

    assert refused(parts, job)[0] == code


def test_what_cannot_be_read_ends_the_job_even_where_the_policy_retries_everything() -> None:
    parts, job = world(b"\xff\xfe")
    everything = RetryPolicy(retriers=(Retrier(error_equals=("States.ALL",)),))

    ended = run(replace(parts, policy=everything), job)

    assert (ended.status, ended.attempt, ended.not_before) == (JobStatus.FAILED, 1, None)


def test_a_document_that_is_gone_is_named() -> None:
    parts, job = world(b"Soon gone.")
    cast("MemoryUploads", parts.documents.uploads).delete(job.documents[0].key)

    code, message = refused(parts, job)

    assert code == "document_gone"
    assert message.startswith("report 1.txt is no longer stored")


def test_a_document_that_goes_between_reading_and_loading_is_gone() -> None:
    class GoneAfterReading(MemoryUploads):
        loads = 0

        def load(self, document: Document) -> bytes:
            self.loads += 1
            if self.loads == 2:
                self.delete(document.key)
            return super().load(document)

    parts, job = world(b"Soon gone.", uploads=GoneAfterReading(ManualClock()))

    assert refused(parts, job)[0] == "document_gone"


def test_more_text_than_the_deployment_takes_is_too_large() -> None:
    parts, job = world(b"x" * 600, b"y" * 600)
    parts = replace(parts, documents=replace(parts.documents, most_characters=1_000))

    code, message = refused(parts, job)

    assert code == "document_too_large"
    assert "1,200 characters" in message


def test_a_prompt_and_answer_that_leave_no_room_exceed_the_context() -> None:
    most = InferenceConfig(max_tokens=127_900)
    parts, job = world(b"word " * 100_000, model=NO_DOCUMENTS, inference=most)

    code, message = refused(parts, job)

    assert code == "document_exceeds_context"
    assert "no room" in message


def test_a_store_that_is_away_is_waited_for() -> None:
    away = Unavailable("objects", "cannot be reached (test)")
    parts, job = world(b"All agreed.", uploads=ShakyUploads(away, away))

    ended = run(parts, job)

    assert ended.status is JobStatus.COMPLETED
    assert cast("RecordingLog", parts.log).count("documents_wait") == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HandedOver("drains"), JobStatus.PENDING_RETRY),
        (DeadlinePassed("over"), JobStatus.EXPIRED),
    ],
)
def test_reading_ends_when_the_run_must(error: Exception, status: JobStatus) -> None:
    parts, job = world(b"All agreed.")
    parts = replace(parts, leases=ScriptedLeases(error))

    ended = run(parts, job)

    assert ended.status is status
    assert cast("ScriptedModel", parts.model).invocations == []


def test_a_redrive_reads_the_documents_again() -> None:
    parts, job = world(b"x" * 1_001)
    strict = replace(parts, documents=replace(parts.documents, most_characters=1_000))
    failed = run(strict, job)

    waiting = redrive_job(failed, redrive_parts(cast("ShakyJobStore", parts.store)))

    assert waiting.documents == job.documents
    assert run(parts, waiting).status is JobStatus.COMPLETED


def test_a_conversation_keeps_its_later_turns() -> None:
    turns = [
        {"role": "user", "content": [{"text": "Read"}]},
        {"role": "assistant", "content": [{"text": "Done"}]},
        {"role": "user", "content": [{"text": "Sum up"}]},
    ]
    parts, job = world(b"All agreed.", prompt=Inline(text=Prompt(messages=turns).to_json()))

    run(parts, job)

    [invocation] = cast("ScriptedModel", parts.model).invocations
    assert list(invocation.prompt.messages or ())[1:] == turns[1:]
    assert [next(iter(block)) for block in content_of(parts)] == ["document", "text"]
