"""The job as clients read it: the contract's field names, in one place."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.hops import hops_of
from jobs.job import Inline, JobStatus, Stored
from jobs.times import written_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.delivery import Delivery
    from jobs.hops import Hop
    from jobs.job import Job, JobError, Payload, Result, Usage
    from jobs.ports import Clock, ObjectStore

_MAX_RETRY_AFTER = 60
_RETRY_AFTER = 1
_LONGEST_TEXT_IN_EVENT = 8_000  # bytes: at JSON's worst, six each, an event stays small


class JobWriter:
    """Writes jobs as JSON objects; a result in the object store gets a fresh URL each time."""

    def __init__(self, *, objects: ObjectStore, clock: Clock, url_lifetime: timedelta) -> None:
        self._objects = objects
        self._clock = clock
        self._url_lifetime = url_lifetime

    def write(self, job: Job) -> dict[str, object]:
        """Give the contract's job."""
        result = job.result
        return {
            "id": job.id,
            "status": job.status,
            "model": job.model,
            "attempt": job.attempt,
            "max_attempts": job.max_attempts,
            "created_at": written_time(job.created_at),
            "started_at": written_time(job.started_at) if job.started_at else None,
            "ended_at": written_time(job.ended_at) if job.ended_at else None,
            "error": _write_error(job.error) if job.error else None,
            "result": self._write_whole(job, result) if result else None,
            "usage": _write_usage(result.usage) if result and result.usage else None,
            "stop_reason": result.stop_reason if result else None,
            "metadata": dict(job.metadata),
            "trace_id": job.trace.id,
            "links": links_of(job),
            **_write_progress(job),
        }

    def write_summary(self, job: Job) -> dict[str, object]:
        """Give the job of a list: all but its result, which `links` lead to."""
        return {name: value for name, value in self.write(job).items() if name != "result"}

    def write_result(self, job: Job) -> dict[str, object] | None:
        """Say where an ended job's result is, in what fits an event: a long text by reference."""
        result = job.result
        if result is None:
            return None
        if isinstance(result.payload, Inline) and result.payload.size > _LONGEST_TEXT_IN_EVENT:
            return {"url": text_link_of(job), "bytes": result.payload.size}
        return self._write_payload(result.payload)

    def version_of(self, job: Job) -> str:
        """Name the state that `write` shows, for an ETag.

        The epoch and the number of the last state event change with every change that shows, but
        for the text so far of a cancelled job, which comes a moment after its end. A result's URL
        runs out, so its job gets a new name every half of that time: who is told "not modified"
        still holds a URL that is good for as long again.
        """
        version = f"{job.epoch}-{job.seq}-{job.status}"
        if job.result is None:
            return version
        version += "-result"
        if isinstance(job.result.payload, Stored):
            half_life = self._url_lifetime.total_seconds() / 2
            version += f"-{int(self._clock.now().timestamp() // half_life)}"
        return version

    def sign(self, payload: Stored) -> str:
        """Make a fresh URL for a stored payload."""
        return self._objects.sign(payload.key, lifetime=self._url_lifetime)

    def _write_whole(self, job: Job, result: Result) -> dict[str, object]:
        """Write the text, and where the JSON is in which a native answer came."""
        written = self._write_payload(result.payload)
        if result.raw is not None:
            written["raw"] = {
                "url": f"{links_of(job)['result']}?form=raw",
                "bytes": result.raw.size,
            }
        return written

    def _write_payload(self, payload: Payload) -> dict[str, object]:
        match payload:
            case Inline(text=text):
                return {"text": text, "bytes": payload.size}
            case Stored(size=size):
                expires_at = self._clock.now() + self._url_lifetime
                return {
                    "url": self.sign(payload),
                    "url_expires_at": written_time(expires_at),
                    "bytes": size,
                }


def write_timeline(job: Job, deliveries: Sequence[Delivery] = ()) -> dict[str, object]:
    """Give each step with its time, what it took, its attempt and its error."""
    return {
        "id": job.id,
        "trace_id": job.trace.id,
        "status": job.status,
        "steps": [_write_hop(hop) for hop in hops_of(job, deliveries)],
    }


def links_of(job: Job) -> dict[str, str]:
    """Say where the job and what belongs to it is, relative to this server."""
    here = f"/v1/jobs/{job.id}"
    return {
        "self": here,
        "events": f"{here}/events",
        "result": f"{here}/result",
        "cancel": f"{here}/cancel",
    }


def text_link_of(job: Job) -> str:
    """Say where an ended job's text is, whatever else its result has."""
    link = links_of(job)["result"]
    return f"{link}?form=text" if job.result and job.result.raw else link


def retry_after_seconds(job: Job, now: datetime) -> int | None:
    """Say how long a poller may wait before it looks again; None once the job has ended."""
    if job.status.is_terminal:
        return None
    if job.status is JobStatus.PENDING_RETRY and job.not_before is not None:
        wait = int((job.not_before - now).total_seconds()) + 1
        return min(max(wait, _RETRY_AFTER), _MAX_RETRY_AFTER)
    return _RETRY_AFTER


def _write_error(error: JobError) -> dict[str, object]:
    return {"code": error.code, "message": error.message, "retryable": error.retryable}


def _write_hop(hop: Hop) -> dict[str, object]:
    step, told = hop.step, hop.told
    return {
        "step": step.name,
        "at": written_time(step.at),
        "after_ms": _milliseconds(hop.after),
        "took_ms": None if hop.took is None else _milliseconds(hop.took),
        "until": written_time(step.until) if step.until else None,
        "by": step.by,
        "attempt": step.attempt,
        "error": step.error,
        "detail": step.detail,
        "delivery": None
        if told is None
        else {"id": told.id, "kind": told.kind, "try": told.number, "status": told.status},
    }


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _write_progress(job: Job) -> dict[str, object]:
    """Say how many parts of a divided job are done, while they run and for no other job."""
    if not job.is_divided or job.division is None:
        return {}
    progress = {"done": job.division.done, "total": job.division.total}
    return {"progress": progress}


def _write_usage(usage: Usage) -> dict[str, object]:
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
