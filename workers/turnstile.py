"""The turnstile: lets tasks through to the desk when there is room here and it is their turn.

Celery's few threads only bring tasks in; jobs run in this process's own threads, and what must
wait stands in a line that all workers share. So no worker hoards tasks that another has room for,
and Celery's queue, which knows no users, stays short.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from jobs.sketch import sketch
from jobs.slots import Use

if TYPE_CHECKING:
    from jobs.ports import Log
    from jobs.slots import Slot, Slots
    from jobs.task import Task
    from workers.desk import Desk

_MOST_AT_ONCE = 32  # tasks called up in one look
_IDLE_SECONDS = 0.5  # between looks at a line that was empty, which another worker may fill
_SHORTEST_SECONDS = 0.01
_EMPTY_SECONDS = 0.05  # a line that was empty is let be for so long, however many jobs end
_KEEP_SECONDS = 10.0


class Turnstile:
    """Runs at most `room` jobs at a time."""

    def __init__(self, *, desk: Desk, slots: Slots, room: int, log: Log) -> None:
        self._desk = desk
        self._slots = slots
        self._log = log
        self._room = threading.BoundedSemaphore(room)
        self._pool = ThreadPoolExecutor(room, thread_name_prefix="job")
        self._held: set[Slot] = set()
        self._lock = threading.Lock()
        self._look = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._call_up, name="turnstile", daemon=True)

    def start(self) -> None:
        """Call up those who wait, from now on."""
        self._thread.start()

    def enter(self, task: Task) -> None:
        """Let a task through now, or see it in line; never raises, never waits for a job."""
        if self._desk.is_early(task) or self._closed.is_set():
            self._desk.pass_on(task)
            return
        has_room = self._room.acquire(blocking=False)
        try:
            slot = self._slots.ask(task, has_room=has_room)
        except Exception:
            self._leave_room(has_room=has_room)
            raise
        if slot is None:
            self._leave_room(has_room=has_room)
            self._look.set()
        else:
            self._pool.submit(self._run, task, slot)

    @property
    def running(self) -> int:
        """How many jobs run here now."""
        with self._lock:
            return len(self._held)

    def close(self) -> None:
        """Let nobody through any more; what runs goes on."""
        self._closed.set()
        self._look.set()

    def wait_until_empty(self) -> None:
        """Wait for the jobs that run."""
        self._pool.shutdown(wait=True)

    def _run(self, task: Task, slot: Slot) -> None:
        with self._lock:
            self._held.add(slot)
        use = Use.CALLED
        try:
            use = self._desk.run(task)
        finally:
            with self._lock:
                self._held.discard(slot)
            self._leave_room(has_room=True)
            self._slots.give_back(slot, use)
            self._look.set()

    def _leave_room(self, *, has_room: bool) -> None:
        if has_room:
            self._room.release()

    def _call_up(self) -> None:
        kept_at = -_KEEP_SECONDS
        while not self._closed.is_set():
            try:
                if time.monotonic() - kept_at >= _KEEP_SECONDS:
                    kept_at = time.monotonic()
                    self._slots.keep(self._in_use())
                wait = self._let_through()
            except Exception as error:  # noqa: BLE001 - a worker that stops calling up starves all
                self._log.warning("turnstile_broke", error=sketch(error))
                wait = _IDLE_SECONDS
            self._look.wait(wait)
            self._look.clear()

    def _let_through(self) -> float:
        """Let through whom there is room for, and say in how many seconds to look again."""
        room = 0
        while room < _MOST_AT_ONCE and self._room.acquire(blocking=False):
            room += 1
        if not room:
            return _IDLE_SECONDS  # a job that ends is the next to say something new
        used = 0
        try:
            called = self._slots.call_up(room)
            for turn in called.turns:
                self._pool.submit(self._run, turn.task, turn.slot)
                used += 1
        finally:
            for _ in range(room - used):
                self._room.release()
        if used == room:
            return _SHORTEST_SECONDS
        if called.again_in is None:
            self._closed.wait(_EMPTY_SECONDS)
            return _IDLE_SECONDS
        return max(_SHORTEST_SECONDS, min(_IDLE_SECONDS, called.again_in.total_seconds()))

    def _in_use(self) -> list[Slot]:
        with self._lock:
            return list(self._held)
