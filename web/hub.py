"""Hub: one subscription to the event bus for all sockets of this process, fanned out here."""

from __future__ import annotations

import threading
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from jobs.errors import LonghaulError, Unavailable
from web.background import spawn
from web.close_codes import CloseCode
from web.measures import Measures, Unmeasured
from web.pushes import Pushes
from web.wire import text_frame

if TYPE_CHECKING:
    from jobs.ports import Clock, EventSource, Heard, Topic
    from web.measures import Kind
    from web.parts import WebLog

REREADERS = 8  # sockets that re-read their jobs at the same time after the bus was away
_PAUSE = timedelta(seconds=1)


class Watcher(Protocol):
    """A socket, as the hub sees it."""

    @property
    def kind(self) -> Kind:
        """What kind of connection it is."""

    def hear(self, heard: Heard, frame: bytes) -> None:
        """Take an event of a topic it has joined, and its message as a frame; never waits."""

    def miss(self) -> None:
        """Learn that events may have been missed; never waits."""

    def reread(self) -> None:
        """Look at the truth for what was missed. Raises Unavailable, and is then called again."""

    def end(self, code: CloseCode, reason: str) -> None:
        """Close; never waits."""


class _Channel:
    """One topic; `order` keeps its add and remove at the source apart."""

    def __init__(self) -> None:
        self.watchers: set[Watcher] = set()
        self.order = threading.Lock()
        self.is_added = False


class Hub:
    """jobs.ports.Listener for a whole process.

    A topic is subscribed to at the source from its first watcher to its last.
    """

    def __init__(
        self,
        *,
        source: EventSource,
        clock: Clock,
        log: WebLog,
        measures: Measures | None = None,
        pushes: Pushes | None = None,
    ) -> None:
        self._pushes = pushes or Pushes()
        self._measures = measures or Unmeasured()
        self._source = source
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()  # held for a few instructions only
        self._watchers: set[Watcher] = set()
        self._channels: dict[Topic, _Channel] = {}
        self._to_reread: deque[Watcher] = deque()
        self._put_off: dict[Watcher, timedelta] = {}  # not before; the earliest is first
        self._is_putting_off = False
        self._rereaders = 0
        self.is_draining = False

    def start(self) -> None:
        """Begin to listen, in the background, until `drain`."""
        spawn(self._listen)

    def enter(self, watcher: Watcher) -> None:
        """Count a socket in; one that comes while the process goes away is closed at once."""
        with self._lock:
            is_new = watcher not in self._watchers
            self._watchers.add(watcher)
            is_late = self.is_draining
        if is_new:
            self._measures.watcher_came(watcher.kind)
        if is_late:
            watcher.end(CloseCode.SERVICE_RESTART, "restarting")

    def exit(self, watcher: Watcher) -> None:
        """Count a socket out; it has left its topics."""
        with self._lock:
            is_here = watcher in self._watchers
            self._watchers.discard(watcher)
        if is_here:
            self._measures.watcher_left(watcher.kind)

    def join(self, topic: Topic, watcher: Watcher) -> None:
        """Let a socket hear a topic: whatever is published once this returns. Raises Unavailable.

        It may hear earlier events, too.
        """
        with self._lock:
            channel = self._channels.setdefault(topic, _Channel())
            channel.watchers.add(watcher)
        try:
            with channel.order:
                if not channel.is_added:
                    self._source.add(topic)
                    channel.is_added = True
        except LonghaulError:
            self.leave(topic, watcher)
            raise

    def leave(self, topic: Topic, watcher: Watcher) -> None:
        """Let a socket hear a topic no more."""
        with self._lock:
            channel = self._channels.get(topic)
            if channel is None or watcher not in channel.watchers:
                return
            channel.watchers.discard(watcher)
        with channel.order:
            if channel.watchers:
                return
            # Even one that was never confirmed: the source goes on wanting it.
            self._source.remove(topic)
            channel.is_added = False
            with self._lock:
                if not channel.watchers and self._channels.get(topic) is channel:
                    del self._channels[topic]

    def confirm(self, topic: Topic) -> None:
        """Wait until a topic is heard again after the bus was away. Raises Unavailable."""
        with self._lock:
            channel = self._channels.get(topic)
        if channel is not None:
            with channel.order:
                if channel.is_added:
                    self._source.add(topic)

    def hear(self, heard: Heard) -> None:
        """Pass an event on to the topic's sockets; its frame is made once."""
        with self._lock:
            channel = self._channels.get(heard.topic)
            watchers = tuple(channel.watchers) if channel else ()
        if watchers:
            span = self._pushes.begin(heard, watchers=len(watchers))
            frame = text_frame(heard.message)
            for watcher in watchers:
                watcher.hear(heard, frame)
            if span is not None:
                span.end()

    def lose_touch(self) -> None:
        """Have every socket re-read its jobs, a few at a time."""
        with self._lock:
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher.miss()
        self._log.warning("events_missed", sockets=len(watchers))
        self._let_all_reread(watchers)

    def let_reread(self, watcher: Watcher) -> None:
        """Have one socket read what it has missed; never waits."""
        self._let_all_reread((watcher,))

    def _let_all_reread(self, watchers: tuple[Watcher, ...]) -> None:
        with self._lock:
            self._to_reread.extend(watchers)
            missing = max(0, min(REREADERS, len(self._to_reread)) - self._rereaders)
            self._rereaders += missing
        for _ in range(missing):
            spawn(self._reread)

    def drain(self) -> None:
        """Close every socket with 1012, so that its client comes back to another process."""
        with self._lock:
            self.is_draining = True
            watchers = tuple(self._watchers)
        self._log.info("sockets_drained", sockets=len(watchers))
        for watcher in watchers:
            watcher.end(CloseCode.SERVICE_RESTART, "restarting")
        self._source.close()

    def _listen(self) -> None:
        while not self.is_draining:
            try:
                self._source.listen(self)
            except Exception:  # noqa: BLE001 - the top of its thread, and no socket hears without it
                self._log.error("listening_failed", exc_info=True)
                self._clock.sleep(_PAUSE)
                self.lose_touch()
            else:
                return

    def _reread(self) -> None:
        while (watcher := self._next_to_reread()) is not None:
            try:
                watcher.reread()
            except Unavailable as error:
                self._log.warning("reread_failed", code=error.code, reason=str(error))
                self._put_off_reread(watcher)
            except Exception:  # noqa: BLE001 - the top of its thread, and the others wait for it
                self._log.error("reread_broken_off", exc_info=True)
                watcher.end(CloseCode.INTERNAL_ERROR, "internal error")

    def _next_to_reread(self) -> Watcher | None:
        with self._lock:
            if self._to_reread and not self.is_draining:
                return self._to_reread.popleft()
            self._rereaders -= 1
            return None

    def _put_off_reread(self, watcher: Watcher) -> None:
        """Have a socket read again after a pause, which keeps none of the others waiting."""
        with self._lock:
            self._put_off.setdefault(watcher, self._clock.elapsed() + _PAUSE)
            is_first, self._is_putting_off = not self._is_putting_off, True
        if is_first:
            spawn(self._bring_back)

    def _bring_back(self) -> None:
        """Let those reread that were put off, each after its pause, until there are none."""
        while (pause := self._pause_of_the_first()) is not None:
            self._clock.sleep(pause)
            self._let_all_reread(self._take_due())

    def _pause_of_the_first(self) -> timedelta | None:
        with self._lock:
            if self._put_off and not self.is_draining:
                return next(iter(self._put_off.values())) - self._clock.elapsed()
            self._is_putting_off = False
            return None

    def _take_due(self) -> tuple[Watcher, ...]:
        """Take those whose pause is over; who has gone is dropped."""
        with self._lock:
            now = self._clock.elapsed()
            due = [watcher for watcher, not_before in self._put_off.items() if not_before <= now]
            for watcher in due:
                del self._put_off[watcher]
            return tuple(watcher for watcher in due if watcher in self._watchers)
