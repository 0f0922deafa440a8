"""Events over WebSocket and SSE, described; jobs/events.py and web/follow.py write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from jobs.events import EventType
from web.described import Count, Described, JobIdText, Seq, Time, TraceIdText, never_null
from web.job_models import JobErrorObject, ResultLink, ResultText, ResultUrl

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Event(Described):
    type: Literal["event"]
    job_id: JobIdText
    seq: Annotated[Seq, Field(description="rises strictly over a job's whole life")]
    at: Time
    trace_id: TraceIdText
    attempt: Count


class JobQueued(_Event):
    """The job waits for a worker."""

    event: Literal[EventType.QUEUED]


class JobStarted(_Event):
    """An attempt begins: the text so far is void."""

    event: Literal[EventType.STARTED]


class JobDelta(_Event):
    """A piece of text; `seq_from` is there where it stands for several numbers, up to `seq`."""

    event: Literal[EventType.DELTA]
    text: str
    seq_from: Seq | SkipJsonSchema[None] = Field(default=None, json_schema_extra=never_null)


class JobRetrying(_Event):
    """The attempt failed and another one follows after `delay_s`: the text so far is void."""

    event: Literal[EventType.RETRYING]
    delay_s: Annotated[float, Field(ge=0)]
    error: JobErrorObject


class StreamGap(_Event):
    """The numbers from `seq_from` to `seq` cannot be told any more: the text so far is void."""

    event: Literal[EventType.GAP]
    seq_from: Seq


class JobProgress(_Event):
    """Of the parts that the job runs as `done` are done; it stands for the progresses before it."""

    event: Literal[EventType.PROGRESS]
    done: Count
    total: Count


class JobCompleted(_Event):
    """The job ended with a result; `result` is there where the deltas did not tell all of it."""

    event: Literal[EventType.COMPLETED]
    result: ResultText | ResultUrl | ResultLink | SkipJsonSchema[None] = Field(
        default=None, json_schema_extra=never_null
    )


class JobFailed(_Event):
    """The job ended without a result."""

    event: Literal[EventType.FAILED]
    error: JobErrorObject


class JobCancelled(_Event):
    """The job ended because its caller did not want it any more."""

    event: Literal[EventType.CANCELLED]


class JobExpired(_Event):
    """The job did not start, or did not end, in its time."""

    event: Literal[EventType.EXPIRED]
    error: JobErrorObject


EVENTS: Mapping[EventType, type[Described]] = {
    EventType.QUEUED: JobQueued,
    EventType.STARTED: JobStarted,
    EventType.DELTA: JobDelta,
    EventType.RETRYING: JobRetrying,
    EventType.GAP: StreamGap,
    EventType.PROGRESS: JobProgress,
    EventType.COMPLETED: JobCompleted,
    EventType.FAILED: JobFailed,
    EventType.CANCELLED: JobCancelled,
    EventType.EXPIRED: JobExpired,
}
