"""The Celery message of a task: a job id, times for the timeline, and the trace in a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.task import read_task, write_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.task import Task

RUN_TASK = "longhaul.run"
TRACE_HEADER = "x-amzn-trace-id"


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What travels beside the job id."""

    fields: dict[str, str]
    headers: dict[str, str]


def write_message(task: Task) -> Message:
    """Write a task."""
    fields = write_task(task)
    del fields["job_id"]
    return Message(headers={TRACE_HEADER: fields.pop("trace")}, fields=fields)


def read_message(job_id: object, message: Message) -> Task:
    """Read a task. Raises InvalidRequest: whoever can reach Redis can send anything."""
    trace = message.headers.get(TRACE_HEADER, "")
    return read_task({**message.fields, "job_id": job_id, "trace": trace})


def headers_of(request: Mapping[str, object]) -> dict[str, str]:
    """Take our header out of Celery's request context, which mixes headers with its own."""
    value = request.get(TRACE_HEADER)
    return {TRACE_HEADER: value} if isinstance(value, str) else {}
