"""An event stream: one job's events over one HTTP answer, in the format of server-sent events.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from jobs.errors import LonghaulError
from jobs.ports import topic_of_job
from web.follow import Place, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.job import Job, JobId
    from jobs.ports import Heard
    from web.hub import Hub
    from web.job_reader import JobReader
    from web.outbox import CloseCode

MAX_BYTES = 1024 * 1024  # that a client may be behind
COMMENT_SECONDS = 15.0
RETRY_MS = 1_000
_COMMENT = b": keep-alive\n\n"


class EventStream:
    """web.hub.Watcher of one job for one client; read by the thread that answers the request.

    A client that reads too slowly is cut off by `cut_off`, and comes back where it was.
    """

    def __init__(
        self, *, job_id: JobId, hub: Hub, reader: JobReader, cut_off: Callable[[], object]
    ) -> None:
        self._job_id = job_id
        self._hub = hub
        self._reader = reader
        self._cut_off = cut_off
        self._changed = threading.Condition()
        self._place = Place()
        self._held: list[Heard] | None = []
        self._waiting: deque[bytes] = deque([f"retry: {RETRY_MS}\n\n".encode()])
        self._bytes = 0
        self._has_ended = False

    def open(self, job: Job, after: int | None) -> None:
        """Listen, and then read what was told since `after`. Raises Unavailable."""
        self._place = Place.after(after, job)
        self._hub.enter(self)
        try:
            self._hub.join(topic_of_job(self._job_id), self)
            self._read_on()
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Listen no more."""
        self._hub.leave(topic_of_job(self._job_id), self)
        self._hub.exit(self)

    def chunks(self) -> Iterator[bytes]:
        """Give what is to be sent as it comes, to the job's last event."""
        while True:
            with self._changed:
                self._changed.wait_for(self._has_something, COMMENT_SECONDS)
                chunk = b"".join(self._waiting)
                self._waiting.clear()
                self._bytes = 0
                must_read, has_ended = self._held is not None, self._has_ended
            if chunk or not (must_read or has_ended):
                yield chunk or _COMMENT
            if has_ended:
                return
            if must_read:
                try:
                    self._read_on()
                except LonghaulError:
                    return  # a part is away: the client comes back by itself

    def hear(self, heard: Heard, frame: bytes) -> None:  # noqa: ARG002 - the port's; frames are WebSocket's
        """Pass on, hold back or drop an event."""
        with self._changed:
            if self._held is not None:
                self._held.append(heard)
            else:
                self._pass_on(heard)

    def miss(self) -> None:
        """Learn that events may have been missed."""
        with self._changed:
            self._held = self._held or []
            self._changed.notify_all()

    def reread(self) -> None:
        """Do nothing: the thread that answers reads by itself."""

    def end(self, code: CloseCode, reason: str) -> None:  # noqa: ARG002 - SSE has no such words
        """End the answer; the client comes back by itself."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _has_something(self) -> bool:
        return bool(self._waiting) or self._held is not None or self._has_ended

    def _read_on(self) -> None:
        self._hub.confirm(topic_of_job(self._job_id))
        missed = self._reader.catch_up(self._place, self._reader.read(self._job_id))
        with self._changed:
            for told in missed.told:
                self._offer(told.seq, told.message, is_last=told.kind.is_terminal)
            held, self._held = self._held or [], None
            for heard in held:
                self._pass_on(heard)

    def _pass_on(self, heard: Heard) -> None:
        if self._held is not None:
            self._held.append(heard)
            return
        match self._place.hear(heard):
            case Verdict.TELL:
                self._offer(heard.seq, heard.message, is_last=heard.kind.is_terminal)
            case Verdict.CATCH_UP:
                self._held = [heard]
                self._changed.notify_all()

    def _offer(self, number: int, message: str, *, is_last: bool) -> None:
        if self._has_ended:
            return
        chunk = f"id: {number}\ndata: {message}\n\n".encode()
        if self._bytes + len(chunk) > MAX_BYTES and self._waiting:
            self._waiting.clear()
            self._has_ended = True
            self._cut_off()
        else:
            self._waiting.append(chunk)
            self._bytes += len(chunk)
            self._has_ended = is_last
        self._changed.notify_all()
