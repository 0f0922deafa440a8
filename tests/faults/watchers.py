"""Watchers: clients on a WebSocket that reconnect, and write down what they are told."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

PING_EVERY = 2.0
SILENCE = 6.0  # seconds after which a client takes the connection for dead
LOOK = 0.1
SUBSCRIPTIONS_A_LOOK = 3  # a client may send 50 messages a second
PAUSE = 0.3
TERMINAL = frozenset({"job.completed", "job.failed", "job.cancelled", "job.expired"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One event as it came, before any is dropped."""

    at: float
    connection: int
    job_id: str
    seq: int
    event: str

    @property
    def is_terminal(self) -> bool:
        return self.event in TERMINAL


class Watcher(threading.Thread):
    """Watches jobs until their terminal events; asks for what came after the last it saw."""

    def __init__(self, number: int, urls: tuple[str, ...]) -> None:
        super().__init__(name=f"watcher-{number + 1}", daemon=True)
        self.sights: list[Sight] = []
        self.connections = 0
        self.open: set[str] = set()
        self.watched: set[str] = set()
        self._urls = [f"{url.replace('http://', 'ws://')}/v1/ws" for url in urls]
        self._turn = number
        self._last: dict[str, int] = {}
        self._wanted: deque[str] = deque()
        self._lock = threading.Lock()
        self._stop_asked = threading.Event()
        self._anew = threading.Event()

    def watch(self, job_id: str) -> None:
        """Watch a job from now on."""
        with self._lock:
            self.watched.add(job_id)
            self.open.add(job_id)
            self._wanted.append(job_id)

    def reconnect(self) -> None:
        """Connect anew, as a client does that hears nothing."""
        self._anew.set()

    def stop(self) -> None:
        self._stop_asked.set()

    def run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                with connect(
                    self._urls[self._turn % len(self._urls)],
                    compression=None,
                    proxy=None,
                    open_timeout=3,
                    close_timeout=0.5,
                    ping_interval=None,
                    max_size=2**20,
                ) as connection:
                    self.connections += 1
                    self._converse(connection)
            except (OSError, WebSocketException):
                pass  # what clients do: come back, perhaps elsewhere
            self._turn += 1
            self._stop_asked.wait(PAUSE)

    def _converse(self, connection: ClientConnection) -> None:
        self._anew.clear()
        with self._lock:
            self._wanted = deque(sorted(self.open))
        heard_at = pinged_at = time.monotonic()
        followed: set[str] = set()  # what is heard of a job before its `subscribed` is told again
        while not self._stop_asked.is_set() and not self._anew.is_set():
            self._subscribe(connection)
            now = time.monotonic()
            if now - pinged_at > PING_EVERY:
                connection.send('{"type":"ping"}')
                pinged_at = now
            try:
                message = json.loads(connection.recv(timeout=LOOK))
            except TimeoutError:
                if now - heard_at > SILENCE:
                    return
                continue
            heard_at = now
            if message["type"] == "error":
                self._stop_asked.wait(PAUSE)
                return
            if message["type"] == "subscribed":
                followed.add(message["job_id"])
            if message["type"] == "event" and message["job_id"] in followed:
                self._note(message["job_id"], message["seq"], message["event"])

    def _subscribe(self, connection: ClientConnection) -> None:
        for _ in range(SUBSCRIPTIONS_A_LOOK):
            with self._lock:
                if not self._wanted:
                    return
                job_id = self._wanted.popleft()
            message = {"type": "subscribe", "job_id": job_id}
            if job_id in self._last:
                message["after"] = self._last[job_id]  # type: ignore[assignment] # JSON's values
            connection.send(json.dumps(message))

    def _note(self, job_id: str, seq: int, event: str) -> None:
        sight = Sight(
            at=time.time(), connection=self.connections, job_id=job_id, seq=seq, event=event
        )
        self.sights.append(sight)
        self._last[job_id] = max(seq, self._last.get(job_id, 0))
        if sight.is_terminal:
            with self._lock:
                self.open.discard(job_id)
