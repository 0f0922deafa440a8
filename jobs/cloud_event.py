"""The body of an announcement: one JSON object, a CloudEvent 1.0 and a Standard Webhooks payload.

Both specifications' members stand side by side: `specversion`, `id`, `source`, `type`, `subject`,
`time` and `data` are CloudEvents'; `type`, `timestamp` and `data` are Standard Webhooks'.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobs.events import TERMINAL_EVENTS
from jobs.times import written_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.delivery import Delivery
    from jobs.job import Job, JobError

MOST_BODY_BYTES = 64 * 1024 - 1
_STATUS_OF = {event: status for status, event in TERMINAL_EVENTS.items()}


def write_body(
    delivery: Delivery,
    job: Job | None,
    *,
    source: str,
    result: Mapping[str, object] | None,
    with_metadata: bool = True,
) -> str:
    """Write the announcement; `job` is the row where it is still at this end."""
    event = delivery.event
    data: dict[str, object] = {
        "job_id": event.job,
        "status": _STATUS_OF[event.type],
        "seq": event.seq,
        "attempt": event.attempt,
        "ended_at": written_time(event.at),
        "error": None if event.error is None else _write_error(event.error),
        "trace_id": event.trace_id,
    }
    if job is not None:
        usage = job.result.usage if job.result else None
        data |= {
            "model": job.model,
            "created_at": written_time(job.created_at),
            "result": None if result is None else dict(result),
            "usage": None
            if usage is None
            else {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
            "stop_reason": job.result.stop_reason if job.result else None,
            "metadata": dict(job.metadata) if with_metadata else None,
        }
    body = {
        "specversion": "1.0",
        "id": delivery.event_id,
        "source": source,
        "type": event.type,
        "subject": event.job,
        "time": written_time(event.at),
        "timestamp": written_time(event.at),
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def fits(body: str) -> bool:
    """Tell whether a body is under 64 KiB."""
    return len(body.encode()) <= MOST_BODY_BYTES


def _write_error(error: JobError) -> dict[str, object]:
    return {"code": error.code, "message": error.message, "retryable": error.retryable}
