"""The calls about this process and its documents, described; none asks who is calling."""

from __future__ import annotations

from web.calls import Call, Parameter, Told
from web.errors import FileNotThere
from web.rest_models import Health, ReadinessObject

TAG = "server"
_KEPT = ("Cache-Control",)
_JSON = {"application/json": {"schema": {"type": "object"}}}

LIFE = Call(
    operation="check_life",
    tag=TAG,
    summary="Say that the process lives",
    answers={
        200: Told(description="it lives", model=Health, example={"status": "alive"}, headers=_KEPT)
    },
)

READINESS = Call(
    operation="check_readiness",
    tag=TAG,
    summary="Say whether requests should be sent here",
    answers={
        200: Told(
            description="the store answers; `degraded` where another part does not",
            model=ReadinessObject,
            example={
                "status": "degraded",
                "parts": {"store": "ready", "objects": "ready", "events": "silent"},
            },
            headers=_KEPT,
        ),
        503: Told(
            description="the store does not answer, or the process goes away",
            model=ReadinessObject,
            example={
                "status": "not_ready",
                "parts": {"store": "silent", "objects": "ready", "events": "ready"},
            },
            headers=_KEPT,
        ),
    },
)

METRICS = Call(
    operation="get_metrics",
    tag=TAG,
    summary="Tell Prometheus how things stand",
    description="Numbers of this process and of all users' jobs; none names a user or a job.",
    answers={
        200: Told(
            description="metrics in Prometheus' text format",
            texts={"text/plain": {"schema": {"type": "string"}}},
            headers=_KEPT,
        )
    },
)

ASYNCAPI = Call(
    operation="get_asyncapi",
    tag=TAG,
    summary="Describe the events",
    description="All that is said over WebSocket, SSE and webhooks, as AsyncAPI 3.0.",
    answers={200: Told(description="the document", texts=_JSON, headers=_KEPT)},
)

OPENAPI = Call(
    operation="get_openapi",
    tag=TAG,
    summary="Describe the calls",
    description="This document, as OpenAPI 3.1.",
    answers={200: Told(description="the document", texts=_JSON, headers=_KEPT)},
)

_PAGE_HEADERS = ("Cache-Control", "Content-Security-Policy", "ETag")
_UNCHANGED = Told(description="it has not changed", headers=_PAGE_HEADERS)
_KNOWN = Parameter(
    name="If-None-Match",
    place="header",
    description="the `ETag` that is known: `304` while nothing has changed",
    schema={"type": "string"},
)

DOCS = Call(
    operation="get_docs",
    tag=TAG,
    summary="Show this description",
    description="A page that needs nothing from elsewhere.",
    parameters=(_KNOWN,),
    answers={
        200: Told(
            description="the page",
            texts={"text/html": {"schema": {"type": "string"}}},
            headers=_PAGE_HEADERS,
        ),
        304: _UNCHANGED,
    },
)

STATIC = Call(
    operation="get_file",
    tag=TAG,
    summary="Give a file of a page",
    parameters=(
        Parameter(
            name="name",
            place="path",
            description="the file's name",
            schema={"type": "string", "minLength": 1},
            example="page.css",
        ),
        _KNOWN,
    ),
    answers={
        200: Told(
            description="the file",
            texts={
                kind: {"schema": {"type": "string"}}
                for kind in ("text/css", "text/javascript", "text/html", "image/svg+xml")
            },
            headers=_PAGE_HEADERS,
        ),
        304: _UNCHANGED,
    },
    refusals=(FileNotThere,),
)

CONSOLE = Call(
    operation="get_console",
    tag=TAG,
    summary="Show the console",
    description="A page on which jobs are submitted and watched.",
    parameters=(_KNOWN,),
    answers=DOCS.answers,
)

FAVICON = Call(
    operation="get_favicon",
    tag=TAG,
    summary="Give the icon that browsers ask for by themselves",
    parameters=(_KNOWN,),
    answers={
        200: Told(
            description="the icon",
            texts={"image/svg+xml": {"schema": {"type": "string"}}},
            headers=_PAGE_HEADERS,
        ),
        304: _UNCHANGED,
    },
)

CONSOLE_FILE = Call(
    operation="get_console_file",
    tag=TAG,
    summary="Give a file of the console",
    parameters=(
        Parameter(
            name="folder",
            place="path",
            description="`console`, or `longhaul` for the JavaScript client",
            schema={"type": "string", "minLength": 1},
            example="console",
        ),
        Parameter(
            name="name",
            place="path",
            description="the file's name",
            schema={"type": "string", "minLength": 1},
            example="console.css",
        ),
        _KNOWN,
    ),
    answers=STATIC.answers,
    refusals=(FileNotThere,),
)
