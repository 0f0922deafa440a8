"""An event stream: one job's events over one HTTP answer, in the format of server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from jobs.errors import LonghaulError
from jobs.ports import topic_of_job
from web.follow import Place, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.job import Job, JobId
    from jobs.ports import Heard
    from web.close_codes import CloseCode
    from web.follow import Told
    from web.hub import Hub
    from web.job_reader import JobReader
    from web.live_response import Peer
    from web.measures import Kind

MAX_BYTES = 1024 * 1024  # of live events that a client may be behind
MAX_HELD = 2_000  # events while the log is read and told
BATCH_BYTES = 64 * 1024
COMMENT_SECONDS = 15.0
OPENING = b"retry: 1000\n\n"
_COMMENT = b": keep-alive\n\n"


class EventStream:
    """web.hub.Watcher of one job for one client; read by the thread that answers the request.

    That thread reads what was missed, too, and tells it at the client's pace. A client that falls
    behind what is live is cut off, and comes back where it was. One whose credential is over is
    let go as well: `is_welcome` tells, and is asked as often as a comment would come.
    """

    kind: Kind = "sse"

    def __init__(
        self,
        *,
        job_id: JobId,
        hub: Hub,
        reader: JobReader,
        peer: Peer,
        is_welcome: Callable[[], bool] = lambda: True,
    ) -> None:
        self._job_id = job_id
        self._hub = hub
        self._reader = reader
        self._peer = peer
        self._is_welcome = is_welcome
        self._asked_at = time.monotonic()
        self._changed = threading.Condition()
        self._place = Place()
        self._held: list[Heard] | None = []
        self._has_missed_some = False
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._is_over = False  # what was told last is the job's last event
        self._is_broken_off = False

    def open(self, job: Job, after: int | None) -> None:
        """Listen; what was told since `after` is read by `chunks`. Raises Unavailable."""
        self._place = Place.after(after, job)
        self._hub.enter(self)
        try:
            self._hub.join(topic_of_job(self._job_id), self)
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Listen no more."""
        self._hub.leave(topic_of_job(self._job_id), self)
        self._hub.exit(self)

    def chunks(self) -> Iterator[bytes]:
        """Give what is to be sent as it comes, to the job's last event."""
        chunk = OPENING
        while True:
            if self._held is not None:
                try:
                    told = self._read_on()
                except LonghaulError:
                    yield chunk  # a part is away, or the job is gone: the client comes back to that
                    return
                for batch in _batches(told, chunk):
                    yield batch
                    if self._is_broken_off:
                        return
                self._pass_on_held(told)
            chunk, is_last = self._take()
            if chunk:
                yield chunk
            if is_last:
                return
            chunk = b""

    def hear(self, heard: Heard, frame: bytes) -> None:  # noqa: ARG002 - the port's; frames are WebSocket's
        """Pass on, hold back or drop an event."""
        with self._changed:
            if self._held is None:
                self._pass_on(heard)
            elif len(self._held) < MAX_HELD:
                self._held.append(heard)
            else:
                self._cut_off()

    def miss(self) -> None:
        """Learn that events may have been missed."""
        with self._changed:
            self._has_missed_some = True
            self._held = self._held or []
            self._changed.notify_all()

    def reread(self) -> None:
        """Do nothing: the thread that answers reads by itself."""

    def end(self, code: CloseCode, reason: str) -> None:  # noqa: ARG002 - SSE has no such words
        """End the answer; the client comes back by itself."""
        with self._changed:
            self._is_broken_off = True
            self._changed.notify_all()

    def _read_on(self) -> list[Told]:
        """Read what was told since the client's place. Raises LonghaulError."""
        with self._changed:
            self._has_missed_some = False
        self._hub.confirm(topic_of_job(self._job_id))
        return self._reader.catch_up(self._place, self._reader.read(self._job_id)).told

    def _pass_on_held(self, told: list[Told]) -> None:
        """Go on with what is live, unless some of that was missed while the log was told."""
        with self._changed:
            if told:
                self._is_over = told[-1].kind.is_terminal
            if self._has_missed_some:
                return
            held, self._held = self._held or [], None
            for heard in held:
                self._pass_on(heard)

    def _take(self) -> tuple[bytes, bool]:
        """Wait for something to send, or else for the time of a comment; True with the last."""
        with self._changed:
            has_something = self._changed.wait_for(self._has_something, COMMENT_SECONDS)
            chunk = b"".join(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            must_read = self._held is not None
            is_last = self._is_broken_off or (self._is_over and not must_read)
        if not has_something:
            is_last = self._peer.has_left()
            chunk = b"" if is_last else _COMMENT
        return chunk, is_last or not self._may_go_on()

    def _may_go_on(self) -> bool:
        """Ask now and then whether the client's credential still holds."""
        now = time.monotonic()
        if now - self._asked_at < COMMENT_SECONDS:
            return True
        self._asked_at = now
        return self._is_welcome()

    def _has_something(self) -> bool:
        return bool(self._waiting) or self._held is not None or self._is_over or self._is_broken_off

    def _pass_on(self, heard: Heard) -> None:
        if self._held is not None:
            self._held.append(heard)
            return
        match self._place.hear(heard):
            case Verdict.TELL:
                self._offer(heard)
            case Verdict.CATCH_UP:
                self._held = [heard]
                self._changed.notify_all()

    def _offer(self, heard: Heard) -> None:
        chunk = _block(heard)
        if self._waiting and self._bytes + len(chunk) > MAX_BYTES:
            self._cut_off()
        elif not self._is_broken_off:
            self._waiting.append(chunk)
            self._bytes += len(chunk)
            self._is_over = heard.kind.is_terminal
            self._reader.measures.event_told()
        self._changed.notify_all()

    def _cut_off(self) -> None:
        self._waiting.clear()
        self._bytes = 0
        self._is_broken_off = True
        self._peer.cut_off()
        self._changed.notify_all()


def _block(event: Heard | Told) -> bytes:
    return f"id: {event.seq}\ndata: {event.message}\n\n".encode()


def _batches(told: list[Told], opening: bytes) -> Iterator[bytes]:
    """Put events together for as few writes as can be."""
    batch = opening
    for event in told:
        block = _block(event)
        if batch and len(batch) + len(block) > BATCH_BYTES:
            yield batch
            batch = b""
        batch += block
    if batch:
        yield batch
