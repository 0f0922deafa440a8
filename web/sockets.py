"""Sockets: the protocol of one WebSocket, from its first message to its end."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from jobs.caller import Scope
from jobs.cancel import cancel_job
from jobs.errors import (
    Forbidden,
    InvalidRequest,
    JobNotFound,
    LonghaulError,
    RateLimited,
    Unauthenticated,
)
from jobs.job import parse_job_id
from jobs.results import get_own_job
from web.caller import identify_token
from web.close_codes import CloseCode
from web.pace import BURST, MESSAGES_PER_SECOND, Pace
from web.problems import answer_to, detail_of
from web.socket_listener import SocketListener
from web.socket_messages import (
    Auth,
    Cancel,
    Ping,
    Subscribe,
    Unsubscribe,
    authenticated,
    cancelled,
    error,
    pong,
    read_message,
    unsubscribed,
)
from web.wire import WireClosed, text_frame

if TYPE_CHECKING:
    from jobs.caller import Caller
    from jobs.job import JobId
    from jobs.trace import Trace
    from web.hub import Hub
    from web.job_reader import JobReaders
    from web.outbox import Outbox
    from web.parts import WebParts
    from web.socket_messages import ClientMessage
    from web.wire import Wire

AUTH_SECONDS = 10.0
SUBSCRIBE_SECONDS = 0.3  # in which a client may say what it wants to watch
MAX_SUBSCRIPTIONS = 100
LOOK_SECONDS = 60.0  # between two looks at whether the caller's credential still holds
_MAX_ECHO = 100  # characters of a client's word that go back to it


class Conversation:
    """One connection, held by one thread.

    `caller` is whom the handshake named, or the anonymous one where such are welcome, or
    None: then the first message must be `auth`. `is_named` says that a credential was shown.
    """

    def __init__(  # noqa: PLR0913 - a connection, its two ends and who is calling
        self,
        *,
        wire: Wire,
        outbox: Outbox,
        hub: Hub,
        parts: WebParts,
        readers: JobReaders,
        caller: Caller | None,
        is_named: bool,
        trace: Trace,
    ) -> None:
        self._wire = wire
        self._outbox = outbox
        self._hub = hub
        self._parts = parts
        self._readers = readers
        self._caller = caller
        self._is_named = is_named
        self._trace = trace
        self._pace = Pace(parts.clock.now())
        self._listener: SocketListener | None = None
        self._is_new = True
        self._looked_at = parts.clock.now()

    def hold(self) -> None:
        """Talk until either side ends the connection; when this returns, it has ended."""
        try:
            if self._caller is not None:
                self._listen_as(self._caller)
            while self._outbox.ending is None:
                listener = self._listener
                message = self._wire.receive(self._patience())
                if not self._is_welcome():
                    self._send_away()
                    break
                if message is None and listener is not None and not self._is_new:
                    continue  # it was time to look at the credential
                self._take(message)
                if listener is not None and listener is self._listener:
                    self._settle_in(listener)
                self._outbox.wait_for_room()
        except WireClosed:
            self._outbox.abandon()
        except Exception as fault:  # noqa: BLE001 - the top of the connection
            self._break_off(fault)
        finally:
            self._stop_listening()
        self._outbox.wait_until_ended()

    def _patience(self) -> float | None:
        """Give how long to wait for a message, in seconds: once all is set up, until a look."""
        if self._listener is None:
            return AUTH_SECONDS
        if self._is_new:
            return SUBSCRIBE_SECONDS
        return self._seconds_to_look()

    def _seconds_to_look(self) -> float | None:
        """Give when a credential that may end is to be looked at; None for one that may not."""
        caller = self._caller
        if caller is None or (caller.key is None and caller.expires_at is None):
            return None
        if caller.expires_at is None:
            return LOOK_SECONDS
        left = (caller.expires_at - self._parts.clock.now()).total_seconds()
        return min(LOOK_SECONDS, max(0.0, left))

    def _is_welcome(self) -> bool:
        """Whether the credential still holds, as far as it was looked at in LOOK_SECONDS."""
        caller, now = self._caller, self._parts.clock.now()
        if caller is None:
            return True
        if caller.expires_at is not None and caller.expires_at <= now:
            return False
        if now - self._looked_at < timedelta(seconds=LOOK_SECONDS):
            return True
        self._looked_at = now
        return self._parts.authenticator.still_knows(caller)

    def _send_away(self) -> None:
        detail = "this credential is over or revoked; connect again with another"
        self._say_error(Unauthenticated.code, detail)
        self._outbox.end(CloseCode.UNAUTHENTICATED, "the credential is over")

    def _settle_in(self, listener: SocketListener) -> None:
        """Let who watches no job by name hear of all, once there was time to subscribe."""
        if self._is_new:
            self._is_new = False
            listener.hear_of_all()

    def _take(self, message: str | bytes | None) -> None:
        """Answer one message; one that cannot be taken gets an error, and the talk goes on."""
        if not self._pace.is_kept(self._parts.clock.now()):
            pace = f"more than {MESSAGES_PER_SECOND:g} messages a second after {BURST:g} at once"
            self._say_error("too_many_messages", pace)
            self._outbox.end(CloseCode.TOO_MANY_MESSAGES, "too many messages")
            return
        about: str | None = None
        try:
            if self._listener is None:
                self._admit(message)
            elif message is not None:
                asked = read_message(message)
                about = getattr(asked, "job_id", None)
                self._answer(asked, self._listener)
        except Unauthenticated as refusal:
            self._say_error(refusal.code, detail_of(refusal))
            self._outbox.end(CloseCode.UNAUTHENTICATED, "unauthenticated")
        except Forbidden as refusal:
            self._say_error(refusal.code, detail_of(refusal), about=about)
            if self._listener is None:
                self._outbox.end(CloseCode.FORBIDDEN, "this credential may not watch")
        except RateLimited as refusal:
            self._say_error(refusal.code, detail_of(refusal))
            self._outbox.end(CloseCode.TOO_MANY_MESSAGES, "too many connections")
        except LonghaulError as refusal:
            self._note(refusal)
            self._say_error(refusal.code, detail_of(refusal), about=about)
            if self._listener is None:  # 4401 would say that the credential is at fault
                self._outbox.end(CloseCode.INTERNAL_ERROR, "nobody can look at it now")

    def _admit(self, message: str | bytes | None) -> None:
        """Take the first message, which must say who is calling. Raises Unauthenticated."""
        if message is None:
            raise Unauthenticated(f"no auth message within {AUTH_SECONDS:g} s")
        try:
            asked = read_message(message)
        except LonghaulError as refusal:
            raise Unauthenticated(f"send auth first: {detail_of(refusal)}") from refusal
        if not isinstance(asked, Auth):
            raise Unauthenticated("send auth first")
        self._authenticate(asked.token)

    def _answer(self, asked: ClientMessage, listener: SocketListener) -> None:
        match asked:
            case Subscribe(job_id=text, after=after):
                job_id = _job_id(text)
                if listener.watch_count >= MAX_SUBSCRIPTIONS and not listener.is_watching(job_id):
                    raise InvalidRequest(f"a socket watches {MAX_SUBSCRIPTIONS} jobs at most")
                listener.subscribe(job_id, after=after)
            case Unsubscribe(job_id=text):
                job_id = _job_id(text)
                listener.unsubscribe(job_id)
                self._say(unsubscribed(job_id))
            case Cancel(job_id=text):
                self._cancel(_job_id(text))
            case Auth(token=token):
                self._authenticate(token)
            case Ping():
                self._say(pong())

    def _cancel(self, job_id: JobId) -> None:
        caller = self._caller
        if caller is None:  # nothing is asked of us before somebody has said who they are
            raise Unauthenticated("send auth first")
        caller.check(Scope.WRITE)
        job = cancel_job(get_own_job(job_id, caller.user, self._parts.store), self._parts.cancel)
        self._say(cancelled(job.id, self._readers.writer.write(job)))

    def _authenticate(self, token: str) -> None:
        """Take a credential; once one was shown, or jobs are watched, the user stays the same."""
        caller = identify_token(token, self._parts.authenticator)
        caller.check(Scope.READ)
        if not self._is_named and self._parts.limits is not None:  # else its handshake was counted
            self._parts.limits.count(caller, is_submit=False)
        if self._listener is None or caller.user != self._listener.user:
            if self._listener is not None and (self._is_named or self._listener.watch_count):
                raise InvalidRequest("this connection belongs to another user already")
            self._stop_listening()
            self._listen_as(caller)
        self._caller = caller
        self._is_named = True
        self._say(authenticated())

    def _listen_as(self, caller: Caller) -> None:
        reader = self._readers.of(caller.user)
        self._listener = SocketListener(hub=self._hub, reader=reader, outbox=self._outbox)
        self._listener.open()
        self._is_new = True

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _break_off(self, fault: Exception) -> None:
        if isinstance(fault, LonghaulError):
            self._note(fault)
            self._say_error(fault.code, detail_of(fault))
        else:
            self._parts.log.error("socket_failed", trace_id=self._trace.id, exc_info=fault)
            self._say_error(LonghaulError.code, detail_of(LonghaulError()))
        self._outbox.end(CloseCode.INTERNAL_ERROR, "internal error")

    def _note(self, refusal: LonghaulError) -> None:
        """Log what is not the client's doing."""
        if answer_to(refusal).status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._parts.log.warning(
                "socket_refused", code=refusal.code, reason=str(refusal), trace_id=self._trace.id
            )

    def _say(self, message: str) -> None:
        self._outbox.offer(text_frame(message))

    def _say_error(self, code: str, detail: str, *, about: str | None = None) -> None:
        job_id = None if about is None else about[:_MAX_ECHO]
        self._say(error(code=code, detail=detail, job_id=job_id, trace_id=self._trace.id))


def _job_id(text: str) -> JobId:
    job_id = parse_job_id(text)
    if job_id is None:
        raise JobNotFound("no job can have this id")
    return job_id
