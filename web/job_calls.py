"""The calls about jobs, described."""

from __future__ import annotations

from jobs.errors import (
    InvalidRequest,
    JobMoved,
    JobNotEnded,
    JobNotFound,
    KeyReused,
    NoResult,
    NotRedrivable,
    PayloadTooLarge,
    TooManyJobs,
)
from jobs.idempotency import LONGEST_KEY
from jobs.job import JobStatus
from jobs.listing import MOST_LISTED
from jobs.results import Form
from web import examples
from web.bodies import JobBody
from web.calls import JOB_ID, Body, Call, Link, Parameter, Told
from web.described import MAX_SAFE_INTEGER
from web.errors import MalformedBody, UnsupportedMediaType
from web.job_models import JobObject
from web.rest_models import JobPage, Timeline

TAG = "jobs"
DEFAULT_LIMIT = 20  # jobs a page
LONGEST_CURSOR = 200  # characters
_STATE = ("ETag", "Cache-Control")
_ITSELF = {"job_id": "$response.body#/id"}
_LEADS_TO = tuple(
    Link(operation=operation, parameters=_ITSELF)
    for operation in (
        "get_job",
        "get_result",
        "get_timeline",
        "stream_events",
        "cancel_job",
        "list_deliveries",
    )
)
_REDRIVES = Link(operation="redrive_job", parameters=_ITSELF)
_DELETES = Link(operation="delete_job", parameters=_ITSELF)

SUBMIT = Call(
    operation="submit_job",
    tag=TAG,
    summary="Submit a job",
    description=(
        "The job is durable before the answer leaves. The body has exactly one of `prompt`, "
        "`messages` (in Converse's shape) and `body` (what the model's own InvokeModel takes, sent "
        "on byte for byte); null stands for a member that is left out."
    ),
    parameters=(
        Parameter(
            name="Idempotency-Key",
            place="header",
            description="makes the call repeatable: the same key and body give the same job",
            schema={
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_KEY,
                "pattern": r"^[!-+\--~]([ -+\--~]*[!-+\--~])?$",
            },
            example="order-4711",
        ),
        Parameter(
            name="Prefer",
            place="header",
            description="`wait=N`: hold the answer back for up to N seconds (60 at most), "
            "until the job has ended; what else it says is left alone (RFC 7240)",
            schema={"type": "string"},
            example="wait=20",
        ),
    ),
    body=Body(
        model=JobBody,
        examples={
            "prompt": examples.PROMPT,
            "messages": examples.MESSAGES,
            "native": examples.NATIVE_BODY,
        },
    ),
    answers={
        202: Told(
            description="the job is accepted",
            model=JobObject,
            example=examples.PENDING_JOB,
            headers=("Location", *_STATE),
            may=("Retry-After", "Idempotency-Replayed", "Preference-Applied"),
            links=_LEADS_TO,
        ),
        200: Told(
            description="the job has ended within the time that `Prefer` gave it",
            model=JobObject,
            example=examples.COMPLETED_JOB,
            headers=("Location", "Preference-Applied", *_STATE),
            may=("Idempotency-Replayed",),
            links=(*_LEADS_TO, _DELETES),
        ),
    },
    refusals=(
        MalformedBody,
        PayloadTooLarge,
        UnsupportedMediaType,
        InvalidRequest,
        KeyReused,
        JobMoved,
        TooManyJobs,
    ),
)

LIST = Call(
    operation="list_jobs",
    tag=TAG,
    summary="List jobs",
    description=(
        "The caller's jobs, the newest first, without their results. With `status` a page may be "
        "short, or empty, and have a next one all the same. No other parameter is taken."
    ),
    parameters=(
        Parameter(
            name="status",
            place="query",
            description="only jobs that stand so",
            schema={"type": "string", "enum": list(JobStatus)},
            example="COMPLETED",
        ),
        Parameter(
            name="limit",
            place="query",
            description="jobs a page",
            schema={
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_LISTED,
                "default": DEFAULT_LIMIT,
            },
            example=50,
        ),
        Parameter(
            name="cursor",
            place="query",
            description="`next_cursor` of the page before",
            schema={
                "type": "string",
                "minLength": 1,
                "maxLength": LONGEST_CURSOR,
                "pattern": r"^[A-Za-z0-9_-]+$",
            },
        ),
    ),
    answers={
        200: Told(
            description="a page",
            model=JobPage,
            example=examples.JOB_PAGE,
            headers=("Cache-Control",),
            links=(
                Link(operation="list_jobs", parameters={"cursor": "$response.body#/next_cursor"}),
                Link(operation="get_job", parameters={"job_id": "$response.body#/jobs/0/id"}),
                Link(operation="get_result", parameters={"job_id": "$response.body#/jobs/0/id"}),
            ),
        )
    },
    refusals=(InvalidRequest,),
)

SHOW = Call(
    operation="get_job",
    tag=TAG,
    summary="Show a job",
    description="While the job has not ended, `Retry-After` says when to look again.",
    parameters=(
        JOB_ID,
        Parameter(
            name="If-None-Match",
            place="header",
            description="the `ETag` of the state that is known: `304` while it has not changed",
            schema={"type": "string"},
            example='W/"1-1000007-COMPLETED"',
        ),
    ),
    answers={
        200: Told(
            description="the job as it stands",
            model=JobObject,
            example=examples.COMPLETED_JOB,
            headers=_STATE,
            may=("Retry-After",),
            links=(*_LEADS_TO[1:], _REDRIVES, _DELETES),
        ),
        304: Told(description="it has not changed", headers=_STATE, may=("Retry-After",)),
    },
    refusals=(JobNotFound,),
)

DELETE = Call(
    operation="delete_job",
    tag=TAG,
    summary="Delete an ended job",
    description="Its prompt, results, log and row are gone once this is answered.",
    parameters=(JOB_ID,),
    answers={204: Told(description="it is gone")},
    refusals=(JobNotFound, JobNotEnded, JobMoved),
)

RESULT = Call(
    operation="get_result",
    tag=TAG,
    summary="Give a job's result",
    description=(
        "The text, or the JSON of a native answer. A big one is in the object store: `303` leads "
        "to it, and `Authorization` must not be sent there. Of a cancelled job: what had come."
    ),
    parameters=(
        JOB_ID,
        Parameter(
            name="form",
            place="query",
            description="of a native answer: its text, or the JSON in which it came (`raw`, which "
            "it has without this, too)",
            schema={"type": "string", "enum": list(Form)},
            example="text",
        ),
    ),
    answers={
        200: Told(
            description="the result",
            texts={
                "text/plain": {"schema": {"type": "string"}, "example": examples.TEXT},
                "application/json": {"schema": {}, "example": {"generation": examples.TEXT}},
            },
            headers=("Cache-Control",),
        ),
        303: Told(
            description="it is at this URL, signed afresh, for a while",
            headers=("Location", "Cache-Control"),
        ),
    },
    refusals=(JobNotFound, InvalidRequest, JobNotEnded, NoResult),
)

TIMELINE = Call(
    operation="get_timeline",
    tag=TAG,
    summary="Show a job's steps",
    description=(
        "Each step with its time, durations, process, attempt and error; after a job's end also"
        " when it was announced, and each of the last tries to tell a receiver."
    ),
    parameters=(JOB_ID,),
    answers={
        200: Told(description="the steps so far", model=Timeline, example=examples.TIMELINE),
    },
    refusals=(JobNotFound,),
)

CANCEL = Call(
    operation="cancel_job",
    tag=TAG,
    summary="Cancel a job",
    description=(
        "The answer is final; the call to the model is broken off within a second or two, and what "
        "had come is added to the job a moment later. Repeatable."
    ),
    parameters=(JOB_ID,),
    answers={
        202: Told(
            description="this has ended the job",
            model=JobObject,
            example=examples.CANCELLED_JOB,
            headers=_STATE,
            links=(_REDRIVES, _DELETES),
        ),
        200: Told(
            description="the job had ended before, in this way",
            model=JobObject,
            example=examples.COMPLETED_JOB,
            headers=_STATE,
        ),
    },
    refusals=(JobNotFound, JobMoved),
)

REDRIVE = Call(
    operation="redrive_job",
    tag=TAG,
    summary="Redrive a job",
    description="A job that is `FAILED`, `EXPIRED` or `CANCELLED` gets a new round of attempts.",
    parameters=(JOB_ID,),
    answers={
        202: Told(
            description="the job waits again",
            model=JobObject,
            example=examples.PENDING_JOB,
            headers=("Location", *_STATE),
            may=("Retry-After",),
            links=_LEADS_TO[:1],
        )
    },
    refusals=(JobNotFound, NotRedrivable, JobMoved, TooManyJobs),
)

_SEQ = {"type": "integer", "minimum": 0, "maximum": MAX_SAFE_INTEGER}
EVENTS = Call(
    operation="stream_events",
    tag="watching",
    summary="Stream a job's events",
    description=(
        "Server-sent events: `data:` is one event as JSON, described in `/asyncapi.json`, `id:` "
        "its `seq`. The stream ends after the terminal event; one that ends without it means: come "
        "back."
    ),
    parameters=(
        JOB_ID,
        Parameter(
            name="after",
            place="query",
            description="the `seq` of the last event that was seen; all after it are told",
            schema=_SEQ,
            example=1000002,
        ),
        Parameter(
            name="Last-Event-ID",
            place="header",
            description="the same, as a browser sends it when it comes back; it outdoes `after`",
            schema=_SEQ,
            example=1000002,
        ),
    ),
    answers={
        200: Told(
            description="the events after the one that was seen, as they come",
            texts={"text/event-stream": {"schema": {}, "example": examples.STREAM}},
            headers=("Cache-Control",),
        ),
        204: Told(description="the end was seen: there is nothing to come back for"),
    },
    refusals=(JobNotFound, InvalidRequest),
)
