"""The calls around the WebSocket, described; what is said over it stands in web/asyncapi.py."""

from __future__ import annotations

from jobs.errors import Forbidden, Misconfigured, Unauthenticated, Unavailable
from web import examples
from web.calls import Call, Parameter, Told
from web.errors import Draining, HostRefused, OriginRefused, UpgradeRequired
from web.rest_models import TicketObject

TAG = "watching"

TICKET = Call(
    operation="give_ticket",
    tag=TAG,
    summary="Give a ticket for a WebSocket",
    description="For browsers, which cannot set a WebSocket's headers.",
    answers={
        201: Told(
            description="it opens one socket as this caller, within a minute",
            model=TicketObject,
            example=examples.TICKET,
            headers=("Cache-Control",),
        )
    },
)

WATCH = Call(
    operation="open_socket",
    tag=TAG,
    summary="Open the WebSocket",
    description=(
        "A WebSocket's handshake (RFC 6455). Who is calling is said by `Authorization`, by "
        "`ticket`, or by the first message; what is said then is described in `/asyncapi.json`. A "
        "browser is told of a refusal by a close code."
    ),
    parameters=(
        Parameter(
            name="ticket",
            place="query",
            description="of `POST /v1/ws-tickets`",
            schema={"type": "string"},
            example=examples.TICKET["ticket"],
        ),
    ),
    answers={101: Told(description="the connection is a WebSocket from here on")},
    refusals=(
        UpgradeRequired,
        OriginRefused,
        HostRefused,
        Draining,
        Unauthenticated,
        Forbidden,
        Unavailable,
        Misconfigured,
    ),
)
