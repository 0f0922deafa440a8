"""Listening: what one socket hears of its jobs, each event once and in order."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from jobs.events import message_of, terminal_event
from jobs.ports import topic_of_job, topic_of_user
from jobs.results import get_own_job
from web.json_text import write_json
from web.outbox import CloseCode
from web.socket_messages import error, subscribed
from web.watch import MAX_HELD, Watch, is_recovered, seq_told
from web.wire import text_frame

if TYPE_CHECKING:
    from jobs.job import Job, JobId, UserId
    from jobs.ports import Heard, JobStore
    from web.hub import Hub
    from web.job_json import JobWriter
    from web.outbox import Outbox

_JOBS_REMEMBERED = 512  # of those that are heard of without a subscription


class SocketListener:
    """web.hub.Watcher for one user's socket.

    With subscriptions it passes on all events of those jobs; with none, the state events of all
    the user's jobs. Of each job, numbers only rise: a duplicate, or a late word of a worker that
    has lost its claim, ends here.
    """

    def __init__(
        self, *, user: UserId, hub: Hub, store: JobStore, writer: JobWriter, outbox: Outbox
    ) -> None:
        self.user = user
        self._hub = hub
        self._store = store
        self._writer = writer
        self._outbox = outbox
        self._turn = threading.Lock()  # one row is read at a time, by the client's wish or ours
        self._lock = threading.Lock()  # of the fields below; nothing waits while it is held
        self._watches: dict[JobId, Watch] = {}
        self._user_seqs: OrderedDict[JobId, int] = OrderedDict()

    def open(self) -> None:
        """Begin to hear. Raises Unavailable."""
        self._hub.enter(self)
        self._hub.join(topic_of_user(self.user), self)

    def close(self) -> None:
        """Hear no more."""
        with self._turn:
            self._hub.leave(topic_of_user(self.user), self)
            for job_id in tuple(self._watches):
                self._drop(job_id)
            self._hub.exit(self)

    def is_watching(self, job_id: JobId) -> bool:
        """Whether it watches this job by name."""
        return job_id in self._watches

    @property
    def watch_count(self) -> int:
        """How many jobs it watches by name."""
        return len(self._watches)

    def subscribe(self, job_id: JobId, *, after: int | None) -> None:
        """Watch a job: first listen, then read the row, so that nothing falls in between.

        Raises JobNotFound and Unavailable, and then does not watch it.
        """
        with self._turn:
            with self._lock:
                self._watches[job_id] = Watch()
            try:
                self._hub.join(topic_of_job(job_id), self)
                self._show(get_own_job(job_id, self.user, self._store), after)
            except Exception:
                self._drop(job_id)
                raise
            self._hub.leave(topic_of_user(self.user), self)

    def unsubscribe(self, job_id: JobId) -> None:
        """Watch a job no more; after the last one, hear of all again. Raises Unavailable."""
        with self._turn:
            self._drop(job_id)
            if not self._watches:
                self._hub.join(topic_of_user(self.user), self)

    def hear(self, heard: Heard, frame: bytes) -> None:
        """Pass on, hold back or drop an event."""
        with self._lock:
            watch = self._watches.get(heard.job)
            if watch is None:
                if heard.topic == topic_of_user(self.user):
                    self._hear_of_any(heard, frame)
                return
            # Of a watched job both topics count: what was told while the client was about to
            # subscribe may have come by the user's topic only.
            if watch.held is None:
                self._pass_on(watch, heard.seq, frame)
            elif len(watch.held) < MAX_HELD:
                watch.held.append((heard.seq, frame))
            else:
                self._outbox.end(CloseCode.TOO_SLOW, "more events than can be held")

    def reread(self) -> None:
        """Show every watched job anew, as events may have been missed. Raises Unavailable."""
        if not self._watches:
            self._tell_of_a_gap()
        for job_id in tuple(self._watches):
            self._outbox.wait_for_room()
            with self._turn:
                self._reread_one(job_id)

    def end(self, code: CloseCode, reason: str) -> None:
        """Close the connection."""
        self._outbox.end(code, reason)

    def _show(self, job: Job, after: int | None) -> None:
        """Send the job as it stands, then what was heard meanwhile, then its end if it has ended.

        A replay of the events between `after` and the row has its place before the held ones.
        """
        opening = text_frame(
            subscribed(
                job_id=job.id,
                seq=job.seq,
                recovered=is_recovered(job, after),
                job=self._writer.write(job),
            )
        )
        ending = terminal_event(job)
        with self._lock:
            watch = self._watches[job.id]
            watch.last = max(watch.last, seq_told(job, after))
            self._outbox.offer(opening)
            self._release(watch)
            if ending is not None:
                self._pass_on(watch, ending.seq, text_frame(write_json(message_of(ending))))

    def _reread_one(self, job_id: JobId) -> None:
        with self._lock:
            watch = self._watches.get(job_id)
            if watch is None:
                return
            watch.held = []
        try:
            self._hub.confirm(topic_of_job(job_id))
            self._show(get_own_job(job_id, self.user, self._store), watch.last)
        finally:
            with self._lock:
                self._release(watch)

    def _release(self, watch: Watch) -> None:
        held, watch.held = watch.held or [], None
        for number, frame in held:
            self._pass_on(watch, number, frame)

    def _pass_on(self, watch: Watch, number: int, frame: bytes) -> None:
        if number > watch.last:
            watch.last = number
            self._outbox.offer(frame)

    def _hear_of_any(self, heard: Heard, frame: bytes) -> None:
        if self._watches or heard.seq <= self._user_seqs.get(heard.job, 0):
            return
        self._user_seqs[heard.job] = heard.seq
        self._user_seqs.move_to_end(heard.job)
        if len(self._user_seqs) > _JOBS_REMEMBERED:
            self._user_seqs.popitem(last=False)
        self._outbox.offer(frame)

    def _drop(self, job_id: JobId) -> None:
        with self._lock:
            self._watches.pop(job_id, None)
        self._hub.leave(topic_of_job(job_id), self)

    def _tell_of_a_gap(self) -> None:
        self._hub.confirm(topic_of_user(self.user))
        detail = "events of your jobs may have been missed; read the jobs that matter again"
        self._outbox.offer(text_frame(error(code="events_missed", detail=detail)))
