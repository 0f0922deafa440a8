"""The job as clients read it, described; web/job_json.py writes it."""

from __future__ import annotations

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from jobs.job import JobStatus
from web.described import Count, Described, JobIdText, Time, TraceIdText, never_null


class JobErrorObject(Described):
    """Why a job or an attempt failed; `code` is for programs, `message` for people."""

    code: str
    message: str
    retryable: bool


class RawUrl(Described):
    """The JSON of a native answer, behind a presigned URL or where this server gives it."""

    url: str
    bytes: Count


class ResultText(Described):
    """A result in the answer itself; `raw` is there where the body was native."""

    text: str
    bytes: Count
    raw: RawUrl | SkipJsonSchema[None] = Field(default=None, json_schema_extra=never_null)


class ResultUrl(Described):
    """A result in the object store, behind a presigned URL."""

    url: str
    url_expires_at: Time
    bytes: Count
    raw: RawUrl | SkipJsonSchema[None] = Field(default=None, json_schema_extra=never_null)


class ResultLink(Described):
    """A result that is too long for an event: where this server gives it."""

    url: str = Field(examples=["/v1/jobs/job_01m83eqz8fefzapqk4c5qx0fgg/result"])
    bytes: Count


class UsageObject(Described):
    """What the model says it has used."""

    input_tokens: Count
    output_tokens: Count


class JobLinks(Described):
    """Where the job and what belongs to it is, relative to this server."""

    self: str
    events: str
    result: str
    cancel: str


class ProgressObject(Described):
    """How many of the parts that a job runs as are done."""

    done: Count
    total: Count


class JobFacts(Described):
    """What is told of a job wherever it is told."""

    id: JobIdText
    status: JobStatus
    model: str
    attempt: Count
    max_attempts: Count
    created_at: Time
    started_at: Time | None
    ended_at: Time | None
    error: JobErrorObject | None
    usage: UsageObject | None
    stop_reason: str | None
    metadata: dict[str, str]
    trace_id: TraceIdText
    links: JobLinks
    progress: ProgressObject | SkipJsonSchema[None] = Field(
        default=None, json_schema_extra=never_null
    )


class JobObject(JobFacts):
    """The job as it stands, as `GET /v1/jobs/{id}` gives it."""

    result: ResultText | ResultUrl | None
