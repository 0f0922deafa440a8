"""The events of a job, as its watchers are told them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from longhaul_client.models import JobError, Result, optional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TERMINAL = frozenset({"job.completed", "job.failed", "job.cancelled", "job.expired"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What every event says; of a kind that this version does not know, all that it can say.

    `seq` rises over the job's whole life. `raw` is the event as it came.
    """

    job_id: str
    seq: int
    type: str
    at: datetime | None
    attempt: int
    trace_id: str | None
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def is_terminal(self) -> bool:
        """Whether it is the job's last one (of its round, where it is redriven)."""
        return self.type in TERMINAL


@dataclass(frozen=True, kw_only=True, slots=True)
class JobQueued(Event):
    """`job.queued`: it waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStarted(Event):
    """`job.started`: an attempt begins, and its text with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobDelta(Event):
    """`job.delta`: more text."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class JobProgress(Event):
    """`job.progress`: so many parts of a divided job are done."""

    done: int
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRetrying(Event):
    """`job.retrying`: the attempt failed, its text is void, the next comes after `delay`."""

    delay: timedelta
    error: JobError | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamGap(Event):
    """`stream.gap`: the events from `seq_from` to `seq` are gone; the text so far is void."""

    seq_from: int


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCompleted(Event):
    """`job.completed`; after a gap with the `result`, which then replaces the text."""

    result: Result | None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFailed(Event):
    """`job.failed`."""

    error: JobError | None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobCancelled(Event):
    """`job.cancelled`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobExpired(Event):
    """`job.expired`: it did not start, or not end, in its time."""

    error: JobError | None


_KINDS: Mapping[str, type[Event]] = {
    "job.queued": JobQueued,
    "job.started": JobStarted,
    "job.delta": JobDelta,
    "job.progress": JobProgress,
    "job.retrying": JobRetrying,
    "stream.gap": StreamGap,
    "job.completed": JobCompleted,
    "job.failed": JobFailed,
    "job.cancelled": JobCancelled,
    "job.expired": JobExpired,
}
_FIELDS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "job_id": lambda message: message["job_id"],
    "seq": lambda message: int(message["seq"]),
    "type": lambda message: message["event"],
    "at": lambda message: optional(datetime.fromisoformat, message.get("at")),
    "attempt": lambda message: int(message.get("attempt") or 0),
    "trace_id": lambda message: message.get("trace_id"),
    "raw": lambda message: message,
    "text": lambda message: message["text"],
    "done": lambda message: int(message["done"]),
    "total": lambda message: int(message["total"]),
    "delay": lambda message: timedelta(seconds=float(message.get("delay_s") or 0)),
    "error": lambda message: optional(JobError.from_json, message.get("error")),
    "seq_from": lambda message: int(message["seq_from"]),
    "result": lambda message: optional(Result.from_json, message.get("result")),
}


def read_event(message: Mapping[str, Any]) -> Event:
    """Read an event. Raises KeyError, TypeError or ValueError where it is none."""
    kind = _KINDS.get(message["event"], Event)
    return kind(**{one.name: _FIELDS[one.name](message) for one in fields(kind)})
