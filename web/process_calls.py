"""The calls about this process and its documents, described; none asks who is calling."""

from __future__ import annotations

from web.calls import Call, Told
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
            description="every part answers",
            model=ReadinessObject,
            example={"status": "ready", "parts": {"table": "ready", "redis": "ready"}},
            headers=_KEPT,
        ),
        503: Told(
            description="a part does not, or the process goes away",
            model=ReadinessObject,
            example={"status": "not_ready", "parts": {"table": "ready", "redis": "silent"}},
            headers=_KEPT,
        ),
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
