"""Readiness: ask every outside part at the same time, each for a bounded time."""

from __future__ import annotations

import threading
import time
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from jobs.errors import LonghaulError
from web.background import spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from web.parts import WebLog

CHECK_SECONDS = 2.0
# The parts without which no request is answered (docs/decisions/0054-ready-is-what-can-serve.md).
NEEDED_BY_ALL = frozenset({"store"})


class PartState(StrEnum):
    """What a check found."""

    READY = "ready"
    UNAVAILABLE = "unavailable"
    SILENT = "silent"  # no answer within CHECK_SECONDS


def tell_what_is_away(checks: Mapping[str, Callable[[], None]], log: WebLog) -> None:
    """Warn at once of each part that is not usable as the process begins, beside what it does.

    The process serves all the same, as one whose part goes away later does.
    """

    def look(name: str, check: Callable[[], None]) -> None:
        try:
            check()
        except LonghaulError as error:
            log.warning("started_without", role="web", part=name, reason=str(error))

    for name, check in checks.items():
        spawn(partial(look, name, check))


class _Check:
    """One check that is under way; whoever asks meanwhile waits for the same."""

    def __init__(self) -> None:
        self.state = PartState.SILENT
        self.ended = threading.Event()


class Readiness:
    """Asks the parts. However often it is asked, one check a part is under way at most."""

    def __init__(
        self,
        checks: Mapping[str, Callable[[], None]],
        log: WebLog,
        *,
        check_seconds: float = CHECK_SECONDS,
    ) -> None:
        self._checks = checks
        self._log = log
        self._check_seconds = check_seconds
        self._lock = threading.Lock()
        self._under_way: dict[str, _Check] = {}

    def states(self) -> dict[str, PartState]:
        """Give each part's state, within a little more than `check_seconds`."""
        checks = {name: self._begin(name) for name in self._checks}
        deadline = time.monotonic() + self._check_seconds
        states = {}
        for name, check in checks.items():
            check.ended.wait(max(0.0, deadline - time.monotonic()))
            states[name] = check.state
        return states

    def _begin(self, name: str) -> _Check:
        with self._lock:
            check = self._under_way.get(name)
            if check is not None:
                return check
            check = self._under_way[name] = _Check()
        spawn(lambda: self._run(name, check))
        return check

    def _run(self, name: str, check: _Check) -> None:
        state = PartState.UNAVAILABLE
        try:
            self._checks[name]()
            state = PartState.READY
        except LonghaulError as error:
            self._log.warning("part_not_ready", part=name, code=error.code, reason=str(error))
        except Exception:  # noqa: BLE001 - the top of its thread; the answer is a state either way
            self._log.error("part_check_failed", part=name, exc_info=True)
        finally:
            with self._lock:
                del self._under_way[name]
            check.state = state
            check.ended.set()
