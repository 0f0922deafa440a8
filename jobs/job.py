"""The job: what a user asked for, and all that has become of it. See docs/lifecycle.md."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

from jobs.division import Division, PartOf  # noqa: TC001 - a dataclass's field types stay readable
from jobs.document import Document  # noqa: TC001 - the same
from jobs.receiver import Receiver, receivers_with
from jobs.timeline import Step  # noqa: TC001 - the same
from jobs.trace import Trace  # noqa: TC001 - the same

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

JobId = NewType("JobId", str)
UserId = NewType("UserId", str)
ModelId = NewType("ModelId", str)
WorkerId = NewType("WorkerId", str)
ClaimToken = NewType("ClaimToken", str)
ObjectKey = NewType("ObjectKey", str)

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_JOB_ID = re.compile(rf"job_[{CROCKFORD}]{{26}}")


class JobStatus(StrEnum):
    """Where a job stands; the words are the same in the row, the JSON and the events."""

    PENDING = "PENDING"
    PENDING_RETRY = "PENDING_RETRY"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended; such a status changes by a redrive only."""
        return self in _TERMINAL

    @property
    def is_pending(self) -> bool:
        """Whether the job waits for a worker: the claim's `begins_with(JobStatus, "PENDING")`."""
        return self.startswith("PENDING")


class OnInterrupted(StrEnum):
    """What to do when a worker died in mid-call and nobody knows whether it was paid."""

    RETRY = "retry"
    FAIL = "fail"


_TERMINAL = frozenset(
    {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inline:
    """A payload that stands in the row itself."""

    text: str

    @property
    def size(self) -> int:
        """How many bytes it is as UTF-8."""
        return len(self.text.encode())


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A payload that stands in the object store; the row holds this reference."""

    key: ObjectKey
    size: int


Payload = Inline | Stored


@dataclass(frozen=True, kw_only=True, slots=True)
class InferenceConfig:
    """How the model is to answer; None leaves it to the model.

    But for `max_tokens`, which the deployment sets where the caller does not.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the model counted."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JobError:
    """Why a job failed, or why its last attempt did."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The model's whole answer, with what it cost.

    `payload` is its text, and `raw` the JSON in which a native call's answer came.
    """

    payload: Payload
    usage: Usage | None
    stop_reason: str | None
    raw: Payload | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One row.

    `prompt` is the JSON of a jobs.prompt.Prompt. `attempt` is the number of the last claim's call
    (0 before the first), `epoch` counts claims and every other change that takes the job from its
    holder: it fences writers and numbers events (jobs/seq.py). `seq` is the number of the last
    state event. `retry_counts` are the policy's counters. `queued_at` is when the job began to
    wait: at its creation, or at its last redrive. `due_at` is when someone should look at it again
    (None once it has ended and its end is announced), and `sweeps` how often someone did.
    `webhook` is the URL that is told of its end, and `also_tell` who else is. `documents` are what
    the prompt comes with. `division` says that it runs, or ran, as parts; `part` that it is one
    itself.
    """

    id: JobId
    user: UserId
    status: JobStatus
    model: ModelId
    prompt: Payload
    created_at: datetime
    trace: Trace
    max_attempts: int
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    metadata: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 0
    epoch: int = 0
    seq: int = 1
    on_interrupted: OnInterrupted = OnInterrupted.RETRY
    start_timeout: timedelta | None = None
    run_timeout: timedelta | None = None
    retention: timedelta | None = None
    webhook: str | None = None
    also_tell: tuple[Receiver, ...] = ()
    documents: tuple[Document, ...] = ()
    part: PartOf | None = None
    division: Division | None = None
    queued_at: datetime | None = None
    due_at: datetime | None = None
    sweeps: int = 0
    retry_counts: tuple[int, ...] = ()
    not_before: datetime | None = None
    lease_until: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    updated_at: datetime | None = None
    error: JobError | None = None
    result: Result | None = None
    timeline: tuple[Step, ...] = ()

    @property
    def receivers(self) -> tuple[Receiver, ...]:
        """Who is told of its end."""
        return receivers_with(self.webhook, self.also_tell)

    @property
    def start_by(self) -> datetime | None:
        """When the job expires unless it has been claimed before."""
        if self.start_timeout is None:
            return None
        return (self.queued_at or self.created_at) + self.start_timeout

    @property
    def run_by(self) -> datetime | None:
        """When the job expires unless it has ended before; counted from its first claim."""
        if self.run_timeout is None or self.started_at is None:
            return None
        return self.started_at + self.run_timeout

    @property
    def is_divided(self) -> bool:
        """Whether its parts run now: nobody holds it, and it goes on when all of them are done."""
        is_held = self.lease_until is not None
        return self.status is JobStatus.RUNNING and self.division is not None and not is_held


def new_job_id(now: datetime, entropy: bytes) -> JobId:
    """Make an id from 10 random bytes."""
    return JobId(f"job_{sortable_digits(now, entropy)}")


def sortable_digits(now: datetime, entropy: bytes) -> str:
    """Make what sorts by time (a ULID) from 10 random bytes.

    The time serves the eye in a log; nothing relies on the order.
    """
    number = (int(now.timestamp() * 1000) << 80) | int.from_bytes(entropy[:10])
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def parse_job_id(text: str) -> JobId | None:
    """Take a caller's word for a job id, or None where no job can have it."""
    return JobId(text) if _JOB_ID.fullmatch(text) else None
