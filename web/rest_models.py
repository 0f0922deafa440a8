"""What REST calls answer beside the job, described; the routes write it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from jobs.delivery import DeliveryState
from jobs.events import TERMINAL_EVENTS
from jobs.job import JobStatus
from jobs.receiver import DeliveryKind
from jobs.timeline import StepName
from web.described import Count, Described, JobIdText, Time, TraceIdText, never_null
from web.job_models import JobFacts
from web.readiness import PartState


class FieldError(Described):
    """A field that is wrong: a member by its path, such as `messages.0.role`, or a parameter."""

    field: str
    detail: str


class Problem(Described):
    """What went wrong (RFC 9457); `code` is for programs, `errors` names fields."""

    type: str = Field(json_schema_extra={"format": "uri-reference"})
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: str
    trace_id: TraceIdText
    instance: str
    errors: list[FieldError] | SkipJsonSchema[None] = Field(
        default=None, min_length=1, json_schema_extra=never_null
    )


class JobSummary(JobFacts):
    """The job of a list: all but its result, which `links` lead to."""


class JobPage(Described):
    """Some of the caller's jobs, the newest first; `next_cursor` is null on the last page."""

    jobs: list[JobSummary]
    next_cursor: str | None


class ToldObject(Described):
    """Which delivery a step tells of; of a try its number, and the HTTP status it was answered."""

    id: str
    kind: DeliveryKind
    try_: Annotated[Count | None, Field(alias="try")]
    status: int | None


class StepObject(Described):
    """One step: `by` is the process that took it, `error` an error code, `detail` for people.

    `after_ms` is the time since the step before, `took_ms` how long the call took that ended here:
    the model's, since `invoked`, or a try of a delivery; of `settled` how long the row was waited
    for. `until` is when what failed may be, or was, tried again.
    """

    step: StepName
    at: Time
    after_ms: Count
    took_ms: Count | None
    until: Time | None
    by: str
    attempt: Count | None
    error: str | None
    detail: str | None
    delivery: ToldObject | None


class Timeline(Described):
    """What has happened to a job, in order: the row's steps and its deliveries'."""

    id: JobIdText
    trace_id: TraceIdText
    status: JobStatus
    steps: list[StepObject]


class TryObject(Described):
    """One try of a delivery: an HTTP status, an error, or both from AWS."""

    number: Count
    at: Time
    took_s: Annotated[float, Field(ge=0)]
    status: int | None
    error: str | None


class DeliveryObject(Described):
    """One announcement of a job's end, for one receiver."""

    id: str
    event_id: str
    event: Annotated[str, Field(json_schema_extra={"enum": [*TERMINAL_EVENTS.values()]})]
    kind: DeliveryKind
    url: str | None
    connection_id: str | None
    state: DeliveryState
    tries: Count
    next_try_at: Time | None
    log: list[TryObject]


class DeliveryList(Described):
    """Each announcement of a job's end."""

    deliveries: list[DeliveryObject]


class TicketObject(Described):
    """What opens one WebSocket, as `GET /v1/ws?ticket=...`, within a minute."""

    ticket: str
    expires_at: Time


class UploadOffer(Described):
    """Leave for one PUT to the object store."""

    upload_id: str
    method: Literal["PUT"]
    url: str
    headers: dict[str, str]
    expires_at: Time


class Health(Described):
    """The process lives."""

    status: Literal["alive"]


class ReadinessObject(Described):
    """Whether requests should be sent here, and the state of each part.

    `degraded` is ready, too, though a part that some requests need does not answer.
    """

    status: Literal["ready", "degraded", "not_ready", "draining"]
    parts: dict[str, PartState]
