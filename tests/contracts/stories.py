"""Jobs, terms and outcomes for the contract suites; times are to the millisecond, as rows are."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jobs import seq
from jobs.claim import Claim, ClaimTerms
from jobs.due import DISPATCH_GRACE
from jobs.job import (
    ClaimToken,
    InferenceConfig,
    Inline,
    Job,
    JobError,
    JobId,
    JobStatus,
    ModelId,
    OnInterrupted,
    Result,
    Usage,
    UserId,
    WorkerId,
    new_job_id,
)
from jobs.outcome import Completed, Divided, Failed, Partial, Retrying
from jobs.timeline import Step, StepName
from jobs.trace import Trace, TraceId

if TYPE_CHECKING:
    from jobs.job import Payload
    from jobs.ports import JobStore

START = datetime(2026, 11, 23, 4, 38, 59, 120_000, tzinfo=UTC)
LEASE = timedelta(seconds=60)
WORKER = WorkerId("worker@test:1")
THROTTLED = JobError(code="model_throttled", message="Too many requests", retryable=True)
REFUSED = JobError(code="model_rejected_request", message="Malformed input", retryable=False)

_numbers = itertools.count()  # a generator could not be asked by two threads at once


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def new_id() -> JobId:
    return new_job_id(START, os.urandom(10))


def a_trace() -> Trace:
    return Trace(
        id=TraceId(f"1-6743a0f3-{os.urandom(12).hex()}"), parent=os.urandom(8).hex(), sampled=True
    )


def a_job(job_id: JobId | None = None, *, prompt: Payload | None = None) -> Job:
    """Make a row as `submit` does, every field of it said."""
    return Job(
        id=job_id or new_id(),
        user=UserId("ann"),
        status=JobStatus.PENDING,
        model=ModelId("amazon.nova-lite-v1:0"),
        prompt=prompt or Inline(text='{"prompt":"Sum up: ☕ or tea?"}'),
        created_at=START,
        updated_at=after(0.004),
        trace=a_trace(),
        max_attempts=5,
        inference=InferenceConfig(
            max_tokens=64, temperature=0.7, top_p=0.9, stop_sequences=("STOP", "END")
        ),
        metadata={"tenant": "acme", "Ünïcode key": "👩‍🚀"},
        seq=seq.QUEUED,
        on_interrupted=OnInterrupted.FAIL,
        start_timeout=timedelta(hours=1),
        run_timeout=timedelta(hours=2),
        retention=timedelta(days=3),
        queued_at=START,
        due_at=START + DISPATCH_GRACE,
        timeline=(step(StepName.ACCEPTED, START), step(StepName.WRITTEN, after(0.004))),
    )


def step(name: StepName, at: datetime, *, attempt: int | None = None) -> Step:
    return Step(name=name, at=at, by=WORKER, attempt=attempt)


def invoked(at: datetime) -> Step:
    return step(StepName.INVOKED, at, attempt=1)


def terms(at: datetime = START, *, lease: timedelta = LEASE) -> ClaimTerms:
    """Make terms with a token of their own, as every try to claim has."""
    return ClaimTerms(
        worker=WORKER,
        token=ClaimToken(f"token-{next(_numbers)}"),
        at=at,
        lease=lease,
        steps=(step(StepName.CLAIMED, at),),
    )


def claim(store: JobStore, job_id: JobId, at: datetime = START) -> Claim:
    """Claim a job that is there to be claimed."""
    claimed = store.claim(job_id, terms(at))
    assert isinstance(claimed, Claim), claimed
    return claimed


def claimed_job(store: JobStore) -> Claim:
    """Add a new job and claim it."""
    job = a_job()
    store.add(job)
    return claim(store, job.id)


def completed(of: Claim, at: datetime, *, payload: Payload | None = None) -> Completed:
    return Completed(
        at=at,
        seq=seq.first_in(of.epoch) + 7,
        result=Result(
            payload=payload or Inline(text="Tea. 🍵"),
            usage=Usage(input_tokens=11, output_tokens=3),
            stop_reason="end_turn",
        ),
        steps=(
            step(StepName.FIRST_TOKEN, at, attempt=of.attempt),
            step(StepName.COMPLETED, at, attempt=of.attempt),
        ),
    )


def partial(of: Claim, at: datetime, *, payload: Payload | None = None) -> Partial:
    return Partial(
        at=at,
        result=Result(payload=payload or Inline(text="Te"), usage=None, stop_reason=None),
        steps=(step(StepName.PARTIAL_KEPT, at, attempt=of.attempt),),
    )


def failed(of: Claim, at: datetime) -> Failed:
    return Failed(
        at=at,
        seq=seq.first_in(of.epoch) + 2,
        error=REFUSED,
        steps=(step(StepName.FAILED, at, attempt=of.attempt),),
    )


def divided(of: Claim, at: datetime, *, total: int = 3) -> Divided:
    return Divided(
        at=at,
        seq=seq.first_in(of.epoch) + 1,
        total=total,
        steps=(step(StepName.DIVIDED, at, attempt=of.attempt),),
    )


def retrying(of: Claim, at: datetime, *, delay: timedelta = timedelta(seconds=3)) -> Retrying:
    return Retrying(
        at=at,
        seq=seq.first_in(of.epoch) + 1,
        error=THROTTLED,
        delay=delay,
        retry_counts=(of.attempt,),
        steps=(step(StepName.RETRYING, at, attempt=of.attempt),),
    )
