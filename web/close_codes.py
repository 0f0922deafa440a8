"""Close codes: why a WebSocket ends, and what a client does then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from jobs.errors import Forbidden, RateLimited, Unauthenticated
from web.errors import Draining, HostRefused, OriginRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.errors import LonghaulError


class CloseCode(IntEnum):
    """Why we close a socket; 4000 and up are this protocol's own, the rest RFC 6455's.

    PROTOCOL_ERROR to MESSAGE_TOO_BIG are simple-websocket's and wsproto's words.
    """

    PROTOCOL_ERROR = 1002
    INVALID_TEXT = 1007
    NO_PONG = 1008
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    TOO_SLOW = 4408
    TOO_MANY_MESSAGES = 4429


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What a code tells a client; `reconnect`: the same client, as it is, may come back."""

    means: str
    reconnect: bool
    when: str


MEANINGS: Mapping[CloseCode, Meaning] = {
    CloseCode.PROTOCOL_ERROR: Meaning(
        means="what came is no WebSocket frame", reconnect=False, when="after mending the client"
    ),
    CloseCode.INVALID_TEXT: Meaning(
        means="a text message is not UTF-8", reconnect=False, when="after mending the client"
    ),
    CloseCode.NO_PONG: Meaning(
        means="no pong came for 25 seconds after a ping", reconnect=True, when="with back-off"
    ),
    CloseCode.MESSAGE_TOO_BIG: Meaning(
        means="a message above 64 KiB", reconnect=False, when="after mending the message"
    ),
    CloseCode.INTERNAL_ERROR: Meaning(
        means="our fault, or a part of the service is away", reconnect=True, when="with back-off"
    ),
    CloseCode.SERVICE_RESTART: Meaning(
        means="the process goes away; another one answers", reconnect=True, when="at once"
    ),
    CloseCode.UNAUTHENTICATED: Meaning(
        means=(
            "no credential within 10 seconds, an unknown one, one that is over or revoked, or a"
            " ticket that is used or over"
        ),
        reconnect=False,
        when="with a new ticket or another credential",
    ),
    CloseCode.FORBIDDEN: Meaning(
        means=(
            "this page's origin, this host without a credential, or this credential without"
            " jobs:read may not watch here"
        ),
        reconnect=False,
        when="never",
    ),
    CloseCode.TOO_SLOW: Meaning(
        means="you read too slowly; what waited was dropped",
        reconnect=True,
        when="at once, with after",
    ),
    CloseCode.TOO_MANY_MESSAGES: Meaning(
        means="more than 50 messages a second, after 200 at once; or sockets beyond the rate limit",
        reconnect=True,
        when="with back-off, and slower",
    ),
}


def close_code_of(refusal: LonghaulError) -> CloseCode:
    """Give the code that tells why a handshake is refused."""
    match refusal:
        case Unauthenticated():
            return CloseCode.UNAUTHENTICATED
        case OriginRefused() | HostRefused() | Forbidden():
            return CloseCode.FORBIDDEN
        case RateLimited():
            return CloseCode.TOO_MANY_MESSAGES
        case Draining():
            return CloseCode.SERVICE_RESTART
        case _:
            return CloseCode.INTERNAL_ERROR
