"""The Celery message of a task: a job id, times for the timeline, and the trace in a header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.delivery import DeliveryId, DeliveryKey
from jobs.errors import InvalidRequest
from jobs.job import parse_job_id
from jobs.task import read_task, write_task
from jobs.trace import TraceId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.task import Task

RUN_TASK = "longhaul.run"
ANNOUNCE_TASK = "longhaul.announce"
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


def read_delivery_key(job_id: object, delivery_id: object, trace_id: object) -> DeliveryKey:
    """Read which delivery a task names. Raises InvalidRequest, as `read_message` does."""
    texts = (job_id, delivery_id, trace_id)
    job = parse_job_id(job_id) if isinstance(job_id, str) else None
    if job is None or not all(isinstance(one, str) and one for one in texts):
        raise InvalidRequest("a task that names no delivery")
    return DeliveryKey(job=job, delivery=DeliveryId(str(delivery_id)), trace=TraceId(str(trace_id)))


def headers_of(request: Mapping[str, object]) -> dict[str, str]:
    """Take our header out of Celery's request context, which mixes headers with its own."""
    value = request.get(TRACE_HEADER)
    return {TRACE_HEADER: value} if isinstance(value, str) else {}
