"""The Celery message of a task: a job id, times for the timeline, and the trace in a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.errors import InvalidRequest
from jobs.job import ModelId, UserId, parse_job_id
from jobs.task import Task
from jobs.times import read_time, written_time
from jobs.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Mapping

RUN_TASK = "longhaul.run"
TRACE_HEADER = "x-amzn-trace-id"


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What travels beside the job id."""

    fields: dict[str, str]
    headers: dict[str, str]


def write_message(task: Task) -> Message:
    """Write a task."""
    fields = {
        "user": task.user,
        "model": task.model,
        "seen_at": written_time(task.seen_at),
        "enqueued_at": written_time(task.enqueued_at),
        "by": task.by,
    }
    if task.not_before is not None:
        fields["not_before"] = written_time(task.not_before)
    return Message(fields=fields, headers={TRACE_HEADER: task.trace.header})


def read_message(job_id: object, message: Message) -> Task:
    """Read a task. Raises InvalidRequest: whoever can reach Redis can send anything."""
    fields = message.fields
    parsed = parse_job_id(job_id) if isinstance(job_id, str) else None
    trace = Trace.from_xray(message.headers.get(TRACE_HEADER, ""))
    if parsed is None or trace is None:
        raise InvalidRequest("a task without a job id or a trace")
    try:
        return Task(
            job_id=parsed,
            user=UserId(_text(fields, "user")),
            model=ModelId(_text(fields, "model")),
            trace=trace,
            seen_at=read_time(fields["seen_at"]),
            enqueued_at=read_time(fields["enqueued_at"]),
            by=_text(fields, "by"),
            not_before=read_time(fields["not_before"]) if "not_before" in fields else None,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidRequest(f"a task that cannot be read: {error!r}") from error


def _text(fields: Mapping[str, object], name: str) -> str:
    if not isinstance(value := fields[name], str):
        raise TypeError(f"{name} is no text")
    return value


def headers_of(request: Mapping[str, object]) -> dict[str, str]:
    """Take our header out of Celery's request context, which mixes headers with its own."""
    value = request.get(TRACE_HEADER)
    return {TRACE_HEADER: value} if isinstance(value, str) else {}
