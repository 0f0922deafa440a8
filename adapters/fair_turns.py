"""Turns at what few may do at once: a free one goes to who has the fewest, owners in turn.

Who is alone may have all of them; as soon as others wait, each turn that is given back goes to one
of these, so nobody waits behind another's long line.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(eq=False, kw_only=True, slots=True)
class _Waiting:
    """One who stands in line; `called` is set once the turn is theirs."""

    owner: str
    called: threading.Event = field(default_factory=threading.Event)


class FairTurns:
    """At most `at_once` turns at a time; `look_seconds` is how often those in line look up."""

    def __init__(self, at_once: int, *, look_seconds: float) -> None:
        self._look_seconds = look_seconds
        self._lock = threading.Lock()  # held for a few instructions only
        self._free = at_once
        self._held: Counter[str] = Counter()
        self._line: list[_Waiting] = []
        self._given = 0
        self._last: dict[str, int] = {}  # when each who is here had a turn; never is 0

    def waiting(self, owner: str) -> int:
        """Count an owner's who stand in line."""
        with self._lock:
            return sum(one.owner == owner for one in self._line)

    @contextmanager
    def one(self, owner: str, check: Callable[[], object]) -> Iterator[None]:
        """Have one turn; while it is waited for, `check` may raise, which leaves the line."""
        me = _Waiting(owner=owner)
        with self._lock:
            self._line.append(me)
            self._call()
        try:
            while not me.called.wait(self._look_seconds):
                check()
            yield
        finally:
            self._leave(me)

    def _leave(self, me: _Waiting) -> None:
        with self._lock:
            if not me.called.is_set():
                self._line.remove(me)
                self._forget(me.owner)
                return
            self._held[me.owner] -= 1
            if not self._held[me.owner]:
                del self._held[me.owner]
            self._free += 1
            self._call()
            self._forget(me.owner)

    def _call(self) -> None:
        """Give what is free to those in line; `min` takes the first of equals."""
        while self._free and self._line:
            chosen = min(self._line, key=self._standing)
            self._line.remove(chosen)
            self._held[chosen.owner] += 1
            self._free -= 1
            self._given += 1
            self._last[chosen.owner] = self._given
            chosen.called.set()

    def _standing(self, one: _Waiting) -> tuple[int, int]:
        return self._held.get(one.owner, 0), self._last.get(one.owner, 0)

    def _forget(self, owner: str) -> None:
        if owner not in self._held and not any(one.owner == owner for one in self._line):
            self._last.pop(owner, None)
