"""Listening: what one socket hears of its jobs, each event once and in order."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.errors import JobNotFound, RecordUnreadable, Unavailable
from jobs.ports import topic_of_job, topic_of_user
from web.close_codes import CloseCode
from web.follow import Place, Verdict
from web.problems import detail_of
from web.socket_messages import error, subscribed
from web.wire import text_frame

if TYPE_CHECKING:
    from jobs.job import JobId
    from jobs.ports import Heard
    from web.hub import Hub
    from web.job_reader import JobReader
    from web.measures import Kind
    from web.outbox import Outbox

MAX_HELD = 2_000  # events while one job is read
_JOBS_REMEMBERED = 512  # of those that are heard of without a subscription


@dataclass(slots=True)
class Watch:
    """One job that is watched by name; `held` are events that wait until it has been read."""

    place: Place = field(default_factory=Place)
    held: list[tuple[Heard, bytes]] | None = field(default_factory=list)


class SocketListener:
    """web.hub.Watcher for one user's socket.

    With subscriptions it passes on all events of those jobs; with none, the state events of all
    the user's jobs. Of each job, numbers only rise: a duplicate, or a late word of a worker that
    has lost its claim, ends here.
    """

    kind: Kind = "websocket"

    def __init__(self, *, hub: Hub, reader: JobReader, outbox: Outbox) -> None:
        self.user = reader.user
        self._hub = hub
        self._reader = reader
        self._outbox = outbox
        self._turn = threading.Lock()  # one row is read at a time, by the client's wish or ours
        self._lock = threading.Lock()  # of the fields below; nothing waits while it is held
        self._watches: dict[JobId, Watch] = {}
        self._user_seqs: OrderedDict[JobId, int] = OrderedDict()
        self._has_missed_some = False
        self._is_deaf = False  # the user's topic was to be joined, and could not be

    def open(self) -> None:
        """Be there, and hear nothing yet: a job's events are to begin with what is subscribed."""
        self._hub.enter(self)

    def hear_of_all(self) -> None:
        """Hear of all the user's jobs, unless some are watched by name. Raises Unavailable."""
        with self._turn:
            self._hear_of_all()

    def close(self) -> None:
        """Hear no more."""
        with self._turn:
            self._is_deaf = False
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
        """Watch a job: first listen, then read row and log, so that nothing falls in between.

        Without `after` it is told from its first event on, whatever was heard of it without asking:
        that was its states only.

        Raises JobNotFound, and then does not watch it, and Unavailable: then it watches what it
        has watched before.
        """
        with self._turn:
            with self._lock:
                earlier = self._watches.get(job_id)
                self._watches[job_id] = Watch()
            try:
                self._hub.join(topic_of_job(job_id), self)
                self._show(job_id, after)
            except Unavailable:
                self._go_back_to(earlier, job_id)
                raise
            except Exception:
                self._give_up(job_id)
                raise
            self._hub.leave(topic_of_user(self.user), self)

    def unsubscribe(self, job_id: JobId) -> None:
        """Watch a job no more; after the last one, hear of all again.

        Raises Unavailable where that cannot be yet; it is tried again.
        """
        with self._turn:
            self._drop(job_id)
            try:
                self._hear_of_all()
            except Unavailable:
                self._hub.let_reread(self)
                raise

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
                self._pass_on(watch, heard, frame)
            elif len(watch.held) < MAX_HELD:
                watch.held.append((heard, frame))
            else:
                self._outbox.end(CloseCode.TOO_SLOW, "more events than can be held")

    def miss(self) -> None:
        """Learn that events may have been missed; `reread` is called soon."""
        with self._lock:
            self._has_missed_some = True
            for watch in self._watches.values():
                watch.held = watch.held or []

    def reread(self) -> None:
        """Read every job on that has a hole; one that is gone is let go. Raises Unavailable."""
        with self._lock:
            waiting = [job_id for job_id, watch in self._watches.items() if watch.held is not None]
            tells_of_gap = self._has_missed_some
        with self._turn:
            if tells_of_gap or self._is_deaf:
                self._tell_of_a_gap()
        for job_id in waiting:
            self._outbox.wait_for_room()
            with self._turn:
                try:
                    self._read_on(job_id)
                except (JobNotFound, RecordUnreadable) as refusal:
                    self._let_go(job_id, refusal)
        with self._lock:
            self._has_missed_some = False

    def end(self, code: CloseCode, reason: str) -> None:
        """Close the connection."""
        self._outbox.end(code, reason)

    def _show(self, job_id: JobId, after: int | None) -> None:
        """Send the job as it stands, then what was told since `after`, then what was heard."""
        job = self._reader.read(job_id)
        watch = self._watches[job_id]
        watch.place = Place.after(after, job)
        missed = self._reader.catch_up(watch.place, job)
        opening = subscribed(
            job_id=job.id,
            seq=job.seq,
            recovered=not missed.has_gap,
            job=self._reader.writer.write(job),
        )
        self._send(watch, [opening, *(told.message for told in missed.told)])

    def _read_on(self, job_id: JobId) -> None:
        """Send what was told since the watch's place, then what was heard meanwhile."""
        watch = self._watches.get(job_id)
        if watch is None or watch.held is None:
            return
        self._hub.confirm(topic_of_job(job_id))
        missed = self._reader.catch_up(watch.place, self._reader.read(job_id))
        self._send(watch, [told.message for told in missed.told])

    def _go_back_to(self, earlier: Watch | None, job_id: JobId) -> None:
        """Watch a job as before; what was heard meanwhile is held until it has been read."""
        if earlier is None:
            self._give_up(job_id)
            return
        with self._lock:
            heard_since = self._watches[job_id].held or []
            earlier.held = [*(earlier.held or []), *heard_since]
            self._watches[job_id] = earlier
        self._hub.let_reread(self)

    def _let_go(self, job_id: JobId, refusal: JobNotFound | RecordUnreadable) -> None:
        """Watch a job no more that can be read no more, and say so."""
        message = error(code=refusal.code, detail=detail_of(refusal), job_id=job_id)
        self._outbox.offer(text_frame(message))
        self._give_up(job_id)

    def _give_up(self, job_id: JobId) -> None:
        """Watch a job no more; after the last one, hear of all again, as soon as that can be."""
        self._drop(job_id)
        try:
            self._hear_of_all()
        except Unavailable:
            self._hub.let_reread(self)

    def _hear_of_all(self) -> None:
        """Hear of all where no job is watched by name. Raises Unavailable; `reread` tries again."""
        if not self._watches:
            self._is_deaf = True
            self._hub.join(topic_of_user(self.user), self)
            self._is_deaf = False

    def _send(self, watch: Watch, messages: list[str]) -> None:
        for message in messages:
            self._outbox.wait_for_room()  # a log may be longer than what an outbox holds
            self._outbox.offer(text_frame(message), more=len(messages) > 1)
        with self._lock:
            held, watch.held = watch.held or [], None
            for heard, frame in held:
                self._pass_on(watch, heard, frame)

    def _pass_on(self, watch: Watch, heard: Heard, frame: bytes) -> None:
        if watch.held is not None:
            watch.held.append((heard, frame))
            return
        match watch.place.hear(heard):
            case Verdict.TELL:
                self._tell(frame)
            case Verdict.CATCH_UP:
                watch.held = [(heard, frame)]
                self._hub.let_reread(self)

    def _hear_of_any(self, heard: Heard, frame: bytes) -> None:
        if self._watches or heard.seq <= self._user_seqs.get(heard.job, 0):
            return
        self._user_seqs[heard.job] = heard.seq
        self._user_seqs.move_to_end(heard.job)
        if len(self._user_seqs) > _JOBS_REMEMBERED:
            self._user_seqs.popitem(last=False)
        self._tell(frame)

    def _tell(self, frame: bytes) -> None:
        self._outbox.offer(frame)
        self._reader.measures.event_told()

    def _drop(self, job_id: JobId) -> None:
        with self._lock:
            self._watches.pop(job_id, None)
        self._hub.leave(topic_of_job(job_id), self)

    def _tell_of_a_gap(self) -> None:
        """Say so to whoever watches no job by name: a job that is watched is read."""
        if self._watches:
            return
        if self._is_deaf:
            self._hear_of_all()
        else:
            self._hub.confirm(topic_of_user(self.user))
        detail = "events of your jobs may have been missed; read the jobs that matter again"
        self._outbox.offer(text_frame(error(code="events_missed", detail=detail)))
