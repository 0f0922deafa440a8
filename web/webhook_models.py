"""Webhooks, described; jobs/cloud_event.py and adapters/webhooks.py write them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from jobs.events import TERMINAL_EVENTS
from web.described import Count, Described, JobIdText, Seq, Time, TraceIdText
from web.job_models import JobErrorObject, ResultText, ResultUrl, UsageObject

_EventId = Annotated[
    str,
    Field(
        description="the same at every try and replay: drop what you have seen",
        pattern=r"^job_[0-9a-hjkmnp-tv-z]{26}\.[0-9]+$",
    ),
]


class WebhookHeaders(BaseModel):
    """Standard Webhooks' headers; verify `webhook-signature` over `id.timestamp.body`."""

    webhook_id: _EventId = Field(alias="webhook-id")
    webhook_timestamp: str = Field(
        alias="webhook-timestamp",
        pattern=r"^[0-9]+$",
        description="seconds since 1970, of this try",
    )
    webhook_signature: str = Field(
        alias="webhook-signature",
        pattern=r"^v1,[A-Za-z0-9+/=]+( v1,[A-Za-z0-9+/=]+)*$",
        description="one signature for each secret of the deployment, separated by a space",
    )


class Ending(Described):
    """How a job ended whose row is gone or redriven by the time of the try."""

    job_id: JobIdText
    status: Annotated[str, Field(json_schema_extra={"enum": [*TERMINAL_EVENTS]})]
    seq: Seq
    attempt: Count
    ended_at: Time
    error: JobErrorObject | None
    trace_id: TraceIdText


class EndedJob(Ending):
    """How a job ended, and what of it; `metadata` is null where it does not fit."""

    model: str
    created_at: Time
    result: ResultText | ResultUrl | None
    usage: UsageObject | None
    stop_reason: str | None
    metadata: dict[str, str] | None


class Announcement(Described):
    """A CloudEvent 1.0 and a Standard Webhooks payload in one, under 64 KiB."""

    specversion: Literal["1.0"]
    id: _EventId
    source: str = Field(examples=["urn:longhaul:LLM_Jobs"])
    type: Annotated[str, Field(json_schema_extra={"enum": [*TERMINAL_EVENTS.values()]})]
    subject: JobIdText
    time: Time
    timestamp: Time
    datacontenttype: Literal["application/json"]
    data: EndedJob | Ending
