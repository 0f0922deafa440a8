"""What a job's row is at each of its writes, made by the code that writes it.

Adapters put a few attributes beside the job's own; a test compares all of this with the stream of
a table to which the real processes wrote (tests/integration/test_capacity.py).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from adapters.dynamodb_row import number, text, time, to_item
from adapters.settings import Settings
from bench.capacity.units import item_bytes
from jobs.claim import ClaimTerms
from jobs.due import first_due_at
from jobs.events import Event, EventType, message_of, queued_event
from jobs.job import (
    ClaimToken,
    Inline,
    Job,
    JobId,
    JobStatus,
    ModelId,
    ObjectKey,
    Result,
    Stored,
    Usage,
    UserId,
    WorkerId,
)
from jobs.outcome import Completed
from jobs.prompt import Prompt
from jobs.retry import DEFAULT_POLICY
from jobs.timeline import Step, StepName
from jobs.trace import Trace, TraceId
from jobs.transitions import claimed, settled
from workers.leases import RENEWALS_A_LEASE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.capacity.workload import Workload
    from jobs.job import Payload

    Item = Mapping[str, Any]

_AT: Final = datetime(2026, 11, 25, 8, 0, 0, 123_000, tzinfo=UTC)
_WORKER: Final = WorkerId("worker@worker-6d4cf56db6-x2x7v:1")
_JOB: Final = JobId("job_01kb6yh3c0000000000000000a")
_USER: Final = UserId("user-00000001")
_STREAM_COPIES: Final = 2  # NEW_AND_OLD_IMAGES


@dataclass(frozen=True, kw_only=True)
class RowWrite:
    """One write of a job's row, done so often in a job's life; `before` is {} where none was."""

    name: str
    before: Item
    after: Item
    times: int = 1

    @property
    def record_bytes(self) -> int:
        """How much of a GetRecords the change record is: both images."""
        return item_bytes(self.before) + item_bytes(self.after)


def row_writes(workload: Workload) -> tuple[RowWrite, ...]:
    """Give the writes of a job that completes at its first attempt, in order."""
    lease = timedelta(seconds=Settings.model_fields["lease_seconds"].default)
    job = _accepted(workload)
    running = claimed(job, _terms(lease))
    beside: Item = {
        "ClaimToken": text("0" * 32),
        "WorkerId": text(_WORKER),
        "InterruptedAt": {"NULL": True},
    }
    invoked = replace(running, timeline=(*running.timeline, _step(StepName.INVOKED)))
    later = _AT + lease + lease / RENEWALS_A_LEASE
    renewed = replace(invoked, lease_until=later, due_at=later)
    ended = settled(renewed, _completed(workload))
    begun: Item = {"InvokeStartedAt": time(_AT), **beside}
    kept: Item = {name: beside[name] for name in ("ClaimToken", "WorkerId")} | {
        "ExpiresAt": number(int(_AT.timestamp()))
    }
    renewals = math.ceil(workload.job_seconds / (lease / RENEWALS_A_LEASE).total_seconds()) - 1
    rows: list[Item] = [
        to_item(job),
        {**to_item(running), **beside},
        {**to_item(invoked), **begun},
        {**to_item(renewed), **begun},
        {**to_item(ended), **kept},
    ]
    return (
        RowWrite(name="add", before={}, after=rows[0]),
        RowWrite(name="claim", before=rows[0], after=rows[1]),
        RowWrite(name="mark the call", before=rows[1], after=rows[2]),
        RowWrite(name="renew", before=rows[2], after=rows[3], times=max(0, renewals)),
        RowWrite(name="settle", before=rows[3], after=rows[4]),
    )


def delta_bytes(workload: Workload) -> int:
    """Give the size of the message of one event of text."""
    piece = "x" * max(1, round(workload.answer_bytes / max(1.0, workload.deltas)))
    return _message_bytes(_event(EventType.DELTA, piece))


def state_bytes() -> int:
    """Give the size of the message of an event that has no text."""
    return _message_bytes(_event(EventType.COMPLETED, None))


def object_sizes(workload: Workload) -> list[int]:
    """Say which objects a job puts beside its row, by their sizes: what is too big for it."""
    most: int = Settings.model_fields["inline_result_bytes"].default
    prompt, answer = _prompt_size(workload), workload.answer_bytes
    return [
        *([prompt] if prompt > workload.inline_prompt_bytes else []),
        *([answer] if answer > most else []),
    ]


def _message_bytes(event: Event) -> int:
    return len(json.dumps(message_of(event), ensure_ascii=False, separators=(",", ":")).encode())


def _event(kind: EventType, piece: str | None) -> Event:
    job = replace(_accepted_with(Inline(text="")), attempt=1)
    return replace(queued_event(job), seq=1_000_123, type=kind, text=piece)


def _accepted(workload: Workload) -> Job:
    prompt = Prompt(text="x" * workload.prompt_bytes).to_json()
    if _prompt_size(workload) <= workload.inline_prompt_bytes:
        return _accepted_with(Inline(text=prompt))
    key = ObjectKey(f"prompts/{_JOB}.json")
    return _accepted_with(Stored(key=key, size=len(prompt)))


def _prompt_size(workload: Workload) -> int:
    return len(Prompt(text="").to_json()) + workload.prompt_bytes


def _accepted_with(prompt: Payload) -> Job:
    """Make the row of a job that has just come in, as jobs/submit.py does."""
    by = "web@web-5c8f6b7f9d-abcde:1"
    job = Job(
        id=_JOB,
        user=_USER,
        status=JobStatus.PENDING,
        model=ModelId("amazon.nova-lite-v1:0"),
        prompt=prompt,
        created_at=_AT,
        updated_at=_AT,
        queued_at=_AT,
        trace=Trace(id=TraceId("1-6922915b-0123456789abcdef01234567")),
        max_attempts=DEFAULT_POLICY.max_calls,
        timeline=(
            Step(name=StepName.ACCEPTED, at=_AT, by=by),
            Step(name=StepName.WRITTEN, at=_AT, by=by),
        ),
    )
    return replace(job, due_at=first_due_at(job))


def _terms(lease: timedelta) -> ClaimTerms:
    feed = "feed@feed-7f5d4c9b88-qwert:1"
    return ClaimTerms(
        worker=_WORKER,
        token=ClaimToken("0" * 32),
        at=_AT,
        lease=lease,
        steps=(
            Step(name=StepName.SEEN, at=_AT, by=feed),
            Step(name=StepName.ENQUEUED, at=_AT, by=feed),
            Step(name=StepName.CLAIMED, at=_AT, by=_WORKER),
        ),
    )


def _step(name: StepName) -> Step:
    return Step(name=name, at=_AT, by=_WORKER, attempt=1)


def _completed(workload: Workload) -> Completed:
    answer: Payload = Inline(text="x" * workload.answer_bytes)
    if workload.answer_bytes > Settings.model_fields["inline_result_bytes"].default:
        answer = Stored(key=ObjectKey(f"results/{_JOB}/1-1.txt"), size=workload.answer_bytes)
    usage = Usage(input_tokens=workload.prompt_tokens, output_tokens=workload.answer_tokens)
    return Completed(
        at=_AT,
        seq=1_000_000 + round(workload.deltas) + 2,
        result=Result(payload=answer, usage=usage, stop_reason="end_turn"),
        steps=(_step(StepName.FIRST_TOKEN), _step(StepName.COMPLETED)),
    )
