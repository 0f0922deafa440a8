"""GET /v1/ws: who may open a WebSocket, and how one is opened and ended."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, NoReturn

from flask import Response, g, request
from flask_sock import Sock

from jobs.caller import Scope
from jobs.errors import LonghaulError, Unauthenticated
from jobs.tickets import ENTROPY_BYTES, LIFETIME, Ticket
from jobs.times import written_time
from web.anonymous import check_host
from web.background import spawn
from web.caller import identify_caller, is_named, is_own_origin
from web.close_codes import CloseCode, close_code_of
from web.errors import Draining, OriginRefused, UpgradeRequired
from web.json_text import write_json
from web.outbox import Outbox
from web.problems import detail_of
from web.routes import Route, the_caller
from web.socket_calls import TICKET, WATCH
from web.sockets import Conversation
from web.wire import MAX_MESSAGE_CHARACTERS, PING_SECONDS, ServerWire
from web.wire_socket import Reader, Readiness, WireSocket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask
    from simple_websocket import Server

    from jobs.caller import Caller
    from web.hub import Hub
    from web.job_reader import JobReaders
    from web.parts import WebParts

PATH = "/v1/ws"
SUBPROTOCOL = "longhaul.v1"
_PROTOCOLS = "HTTP_SEC_WEBSOCKET_PROTOCOL"
_ENDPOINT = "watch"
_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
_KEY_BYTES = 16
# All that simple-websocket may see of the request. It parses the headers once more, more strictly
# than gunicorn, and raises what nobody catches; compression would cost 90 KB a socket.
_SEEN = frozenset({"HTTP_UPGRADE", "HTTP_SEC_WEBSOCKET_KEY", "HTTP_SEC_WEBSOCKET_VERSION"})
_HANDSHAKE = {"HTTP_HOST": "longhaul", "HTTP_CONNECTION": "Upgrade"}


class SocketRoutes:
    """The WebSocket's route: a handshake is taken, or refused in a way that its client can see.

    A browser tells its page nothing of an HTTP status: to it, a refused handshake is a network
    that failed, and the page comes back for ever. So a client that is a browser, or that names
    this protocol, is let in and closed at once with a code; any other gets the status.
    """

    def __init__(self, parts: WebParts, hub: Hub, readers: JobReaders) -> None:
        self._parts = parts
        self._hub = hub
        self._readers = readers

    def add_to(self, app: Flask) -> None:
        """Add the route."""
        app.config["SOCK_SERVER_OPTIONS"] = {
            "ping_interval": PING_SECONDS,
            "max_message_size": MAX_MESSAGE_CHARACTERS,
            "thread_class": Reader,
            "selector_class": Readiness,
            "subprotocols": [SUBPROTOCOL],
        }
        app.before_request(self._admit)
        Sock(app).route(PATH, endpoint=_ENDPOINT)(self._hold)

    def routes(self) -> tuple[Route, ...]:
        """Name what is no socket."""
        path = "/v1/ws-tickets"
        give = Route(
            name="ws_tickets",
            method="POST",
            path=path,
            view=self.give_ticket,
            scope=Scope.READ,
            call=TICKET,
        )
        watch = Route(name="no_watch", path=PATH, view=_ask_for_upgrade, scope=None, call=WATCH)
        return (give, watch)

    def give_ticket(self) -> Response:
        """Give a ticket that opens one WebSocket as this caller, within a minute."""
        entropy = self._parts.chance.entropy(ENTROPY_BYTES)
        ticket = Ticket(base64.urlsafe_b64encode(entropy).decode())
        self._parts.tickets.give(ticket, the_caller())
        expires_at = self._parts.clock.now() + LIFETIME
        body = write_json({"ticket": ticket, "expires_at": written_time(expires_at)})
        response = Response(body + "\n", status=201, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        return response

    def _admit(self) -> None:
        """Check a handshake and prepare the environ that simple-websocket reads."""
        if request.endpoint != _ENDPOINT:
            return
        if not _is_handshake():
            raise UpgradeRequired("this is no WebSocket handshake of version 13")
        g.is_named = is_named(request.headers) or "ticket" in request.args
        g.caller = g.refusal = None
        try:
            g.caller = self._check()
        except LonghaulError as refusal:
            if not _reads_close_codes():
                raise
            g.refusal = refusal
        g.socket = _take_over_socket(request.environ, {"X-Amzn-Trace-Id": g.trace.header})

    def _check(self) -> Caller | None:
        """Say who opens the socket, None where the first message will. Raises LonghaulError."""
        if not is_own_origin(request.headers, self._parts.allowed_origins):
            raise OriginRefused("pages of this origin may not open a WebSocket here")
        if self._hub.is_draining:
            raise Draining("this process is restarting; connect again")
        caller = self._caller()
        if caller is not None:
            if not g.is_named:
                check_host(request.headers, self._parts.allowed_hosts)
            caller.check(Scope.READ)
            if self._parts.limits is not None:  # an answer that is a socket has no place to tell it
                self._parts.limits.count(caller, is_submit=False)
        return caller

    def _caller(self) -> Caller | None:
        if (ticket := request.args.get("ticket")) is not None:
            caller = self._parts.tickets.take(Ticket(ticket))
            if caller is None:
                raise Unauthenticated("this ticket is used or over: ask for another")
            return caller
        try:
            return identify_caller(request.headers, self._parts.authenticator)
        except Unauthenticated:
            if g.is_named:
                raise
            return None

    def _hold(self, server: Server) -> None:
        wire = ServerWire(server, g.socket)
        wire.attend()
        outbox = Outbox(wire, spawn)
        try:
            if g.refusal is not None:
                self._turn_away(g.refusal, outbox)
            else:
                self._talk(wire, outbox)
        finally:
            wire.finish()
        duration = self._parts.clock.now() - g.started_at
        self._parts.log.info(
            "socket_closed",
            code=int(outbox.ending.code) if outbox.ending else wire.peer_close_code,
            duration_ms=round(duration.total_seconds() * 1000, 1),
            trace_id=g.trace.id,
        )

    def _talk(self, wire: ServerWire, outbox: Outbox) -> None:
        conversation = Conversation(
            wire=wire,
            outbox=outbox,
            hub=self._hub,
            parts=self._parts,
            readers=self._readers,
            caller=g.caller,
            is_named=g.is_named,
            trace=g.trace,
        )
        self._parts.log.info("socket_opened", trace_id=g.trace.id)
        conversation.hold()

    def _turn_away(self, refusal: LonghaulError, outbox: Outbox) -> None:
        """Close with the refusal's code and words, and nothing else; the hub never knows of it."""
        code = close_code_of(refusal)
        is_ours = code is CloseCode.INTERNAL_ERROR
        log = self._parts.log.warning if is_ours else self._parts.log.info
        log("handshake_refused", code=refusal.code, reason=str(refusal), trace_id=g.trace.id)
        outbox.end(code, detail_of(refusal))
        outbox.wait_until_ended()


def _ask_for_upgrade() -> NoReturn:
    raise UpgradeRequired("this address speaks WebSocket only")


def _is_handshake() -> bool:
    headers = request.headers
    try:
        key = base64.b64decode(headers.get("Sec-WebSocket-Key", "").strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return (
        request.method == "GET"
        and len(key) == _KEY_BYTES
        and headers.get("Sec-WebSocket-Version", "").strip() == "13"
    )


def _reads_close_codes() -> bool:
    """Whether the client is a browser, which always sends `Origin`, or names our protocol."""
    return "Origin" in request.headers or SUBPROTOCOL in _offered(request.environ)


def _offered(environ: Mapping[str, Any]) -> set[str]:
    return {part.strip() for part in environ.get(_PROTOCOLS, "").split(",")}


def _take_over_socket(environ: dict[str, Any], headers: dict[str, str]) -> WireSocket:
    name = next((name for name in _SOCKETS if name in environ), None)
    if name is None:
        raise UpgradeRequired("the server in front of this app gives no socket")
    sock = WireSocket(environ[name], headers=headers)
    offered = _offered(environ)
    for key in [key for key in environ if key.startswith("HTTP_") and key not in _SEEN]:
        del environ[key]
    environ |= _HANDSHAKE
    if SUBPROTOCOL in offered:
        environ[_PROTOCOLS] = SUBPROTOCOL
    environ[name] = sock
    return sock
