"""What the server tells of jobs, as frozen values. Fields that this version does not know are left.

Each `from_json` raises KeyError, TypeError or ValueError where the answer is not what it should be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


def optional(read: Callable[[Any], T], value: object) -> T | None:
    """Read a value that may be null."""
    return None if value is None else read(value)


class JobStatus(StrEnum):
    """The states of a job; `Job.status` is a plain text, for a server may know more of them."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PENDING_RETRY = "PENDING_RETRY"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


ENDED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED})


@dataclass(frozen=True, kw_only=True, slots=True)
class JobError:
    """Why a job failed, or an attempt of it."""

    code: str
    message: str
    retryable: bool

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the contract's error of a job."""
        return cls(
            code=value["code"],
            message=value.get("message") or "",
            retryable=bool(value.get("retryable")),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The answer, as `text` or behind a `url`; `jobs.result` gives it either way."""

    text: str | None
    url: str | None
    url_expires_at: datetime | None
    bytes: int | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the contract's result."""
        return cls(
            text=value.get("text"),
            url=value.get("url"),
            url_expires_at=optional(datetime.fromisoformat, value.get("url_expires_at")),
            bytes=value.get("bytes"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the model counted."""

    input_tokens: int
    output_tokens: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the contract's usage."""
        return cls(
            input_tokens=int(value["input_tokens"]), output_tokens=int(value["output_tokens"])
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job as it stood when it was read. A list's jobs come without `result`.

    `raw` is the job as it came.
    """

    id: str
    status: str
    model: str
    attempt: int
    max_attempts: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: JobError | None
    result: Result | None
    usage: Usage | None
    stop_reason: str | None
    metadata: Mapping[str, str]
    trace_id: str | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the contract's job."""
        return cls(
            id=value["id"],
            status=value["status"],
            model=value.get("model") or "",
            attempt=int(value.get("attempt") or 0),
            max_attempts=int(value.get("max_attempts") or 0),
            created_at=datetime.fromisoformat(value["created_at"]),
            started_at=optional(datetime.fromisoformat, value.get("started_at")),
            ended_at=optional(datetime.fromisoformat, value.get("ended_at")),
            error=optional(JobError.from_json, value.get("error")),
            result=optional(Result.from_json, value.get("result")),
            usage=optional(Usage.from_json, value.get("usage")),
            stop_reason=value.get("stop_reason"),
            metadata=dict(value.get("metadata") or {}),
            trace_id=value.get("trace_id"),
            raw=value,
        )

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it, unless it is redriven."""
        return self.status in ENDED


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDelivery:
    """Which delivery a step tells of; of a try its number, and the HTTP status it was answered."""

    id: str
    kind: str
    number: int | None
    status: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of a timeline; `by` is the process that took it.

    `after` is the time since the step before, `took` how long the call took that ended here.
    `until` is when what failed may be, or was, tried again.
    """

    step: str
    at: datetime
    by: str
    attempt: int | None
    error: str | None
    detail: str | None
    after: timedelta | None = None
    took: timedelta | None = None
    until: datetime | None = None
    delivery: StepDelivery | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """Each step that a job has taken. `raw` is the timeline as it came."""

    id: str
    status: str
    trace_id: str | None
    steps: tuple[Step, ...]
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the contract's timeline."""
        steps = tuple(_read_step(one) for one in value["steps"])
        return cls(
            id=value["id"],
            status=value["status"],
            trace_id=value.get("trace_id"),
            steps=steps,
            raw=value,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryTry:
    """One try to tell a receiver."""

    number: int
    at: datetime
    took: timedelta
    status: int | None
    error: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One announcement of a job's end to one receiver. `raw` is the delivery as it came.

    `id` is what a replay names; an event may have several deliveries, one a kind of receiver.
    """

    id: str
    event_id: str
    event: str
    kind: str
    url: str | None
    state: str
    tries: int
    next_try_at: datetime | None
    log: tuple[DeliveryTry, ...]
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the contract's delivery."""
        log = tuple(
            DeliveryTry(
                number=int(one["number"]),
                at=datetime.fromisoformat(one["at"]),
                took=timedelta(seconds=float(one.get("took_s") or 0)),
                status=one.get("status"),
                error=one.get("error"),
            )
            for one in value.get("log") or ()
        )
        return cls(
            id=value.get("id") or value["event_id"],
            event_id=value["event_id"],
            event=value["event"],
            kind=value.get("kind") or "",
            url=value.get("url"),
            state=value["state"],
            tries=int(value.get("tries") or 0),
            next_try_at=optional(datetime.fromisoformat, value.get("next_try_at")),
            log=log,
            raw=value,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Some of the caller's jobs, the newest first, and where the next ones are."""

    jobs: tuple[Job, ...]
    next_cursor: str | None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the contract's page."""
        jobs = tuple(Job.from_json(one) for one in value["jobs"])
        return cls(jobs=jobs, next_cursor=value.get("next_cursor"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """Leave for one `PUT` to the object store."""

    upload_id: str
    url: str = field(repr=False)  # whoever has it may write there
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the contract's offer of an upload."""
        return cls(upload_id=value["upload_id"], url=value["url"], headers=dict(value["headers"]))


def _read_step(value: Mapping[str, Any]) -> Step:
    return Step(
        step=value["step"],
        at=datetime.fromisoformat(value["at"]),
        by=value.get("by") or "",
        attempt=value.get("attempt"),
        error=value.get("error"),
        detail=value.get("detail"),
        after=optional(_read_milliseconds, value.get("after_ms")),
        took=optional(_read_milliseconds, value.get("took_ms")),
        until=optional(datetime.fromisoformat, value.get("until")),
        delivery=optional(_read_step_delivery, value.get("delivery")),
    )


def _read_step_delivery(value: Mapping[str, Any]) -> StepDelivery:
    return StepDelivery(
        id=value["id"], kind=value["kind"], number=value.get("try"), status=value.get("status")
    )


def _read_milliseconds(value: float) -> timedelta:
    return timedelta(milliseconds=value)
