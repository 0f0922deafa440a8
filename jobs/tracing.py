"""Tracing: spans under the trace that a job carries. Nothing here is bound to a thread.

A span gives the Trace that whatever it brings about goes on under: it is stored in the row, sent
with the task and handed to the model as any other Trace. So one that nobody exports costs nothing,
and no vendor's context has to follow a job through threads, greenlets and processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from jobs.errors import (
    ClaimLost,
    DeadlinePassed,
    HandedOver,
    JobMoved,
    JobNotFound,
    KeyReused,
    LonghaulError,
    ModelError,
    NotRedrivable,
    TooManyJobs,
)
from jobs.job import JobStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from jobs.job import JobId
    from jobs.trace import Trace

    Facts: TypeAlias = Mapping[str, "str | int | float | bool | Sequence[str]"]


class SpanKind(StrEnum):
    """OpenTelemetry's kinds."""

    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"
    INTERNAL = "INTERNAL"


class Span(Protocol):
    """Something under way; as a context it ends with its block, failed where that raises.

    What is broken off because the job was cancelled, expired or went to another has not failed,
    nor has what the state of things refuses, as a redrive of a job that waits already: it says so
    as its outcome.
    """

    @property
    def trace(self) -> Trace:
        """What goes on from here, with this span as the parent."""

    def tell(self, facts: Facts) -> None:
        """Add facts: never a prompt, a result, a key or a presigned URL."""

    def note(self, event: str, facts: Facts | None = None) -> None:
        """Add an event that happens now."""

    def fail(self, error: str) -> None:
        """Say that it went wrong; `error` is one of few words."""

    def end(self) -> None:
        """End it; once."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class Tracer(Protocol):
    """Makes spans; nothing here waits or raises, whatever stands in a trace."""

    def begin(  # noqa: PLR0913 - what a span is made of
        self,
        name: str,
        kind: SpanKind,
        trace: Trace,
        *,
        facts: Facts | None = None,
        links: Sequence[Trace] = (),
        at: datetime | None = None,
    ) -> Span:
        """Begin a span under a trace's parent, now or `at`; without a parent it is a root.

        It has the trace's id, and follows its sampling decision where there is one.
        """

    def begin_apart(
        self,
        name: str,
        kind: SpanKind,
        origin: Trace,
        *,
        facts: Facts | None = None,
        at: datetime | None = None,
    ) -> Span:
        """Begin a trace of its own that links to `origin`, and is sampled if that is."""

    def flush(self) -> None:
        """Send what has ended; the one thing here that waits, for a process that goes away."""


def messaging(operation: str, destination: str, job: JobId) -> dict[str, str]:
    """Give the messaging conventions' facts of a task that is sent or processed.

    https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
    """
    return {
        "messaging.system": "celery",
        "messaging.operation.type": operation,
        "messaging.destination.name": destination,
        "longhaul.job_id": job,
    }


def error_word(error: BaseException) -> str:
    """Name an error in one of few words: a model's as policies know it, ours by its code."""
    if isinstance(error, ModelError):
        return error.name
    return error.code if isinstance(error, LonghaulError) else type(error).__name__


def outcome_word(error: BaseException) -> str | None:
    """Name what an error breaks off, or refuses, although nothing has failed; None where it has."""
    match error:
        case ClaimLost(status=JobStatus.CANCELLED | JobStatus.EXPIRED as status):
            return status.lower()
        case DeadlinePassed():
            return "expired"
        case ClaimLost() | HandedOver():
            return error.code
        case JobMoved() | JobNotFound() | KeyReused() | NotRedrivable() | TooManyJobs():
            return error.code
    return None


@dataclass(frozen=True, slots=True)
class Unspanned:
    """A span that nobody sees: what goes on from here goes on under the trace as it was."""

    trace: Trace

    def tell(self, facts: Facts) -> None:
        """Do nothing."""

    def note(self, event: str, facts: Facts | None = None) -> None:
        """Do nothing."""

    def fail(self, error: str) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        return


@dataclass(frozen=True, slots=True)
class Untraced:
    """Traces nothing, and passes on what it is given."""

    def begin(  # noqa: PLR0913 - the port's
        self,
        name: str,  # noqa: ARG002 - the port's
        kind: SpanKind,  # noqa: ARG002 - the port's
        trace: Trace,
        *,
        facts: Facts | None = None,  # noqa: ARG002 - the port's
        links: Sequence[Trace] = (),  # noqa: ARG002 - the port's
        at: datetime | None = None,  # noqa: ARG002 - the port's
    ) -> Span:
        """Begin nothing."""
        return Unspanned(trace)

    def begin_apart(
        self,
        name: str,  # noqa: ARG002 - the port's
        kind: SpanKind,  # noqa: ARG002 - the port's
        origin: Trace,
        *,
        facts: Facts | None = None,  # noqa: ARG002 - the port's
        at: datetime | None = None,  # noqa: ARG002 - the port's
    ) -> Span:
        """Begin nothing."""
        return Unspanned(origin)

    def flush(self) -> None:
        """Do nothing."""


UNTRACED = Untraced()
