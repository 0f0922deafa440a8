"""An outage: told once when a part goes away and once when it is back; it is asked sparingly."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.errors import LonghaulError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.ports import Clock, Log

PAUSE = timedelta(seconds=2)


class Outage:
    """For those who can go on without a part: `what` names it and what is done without it."""

    def __init__(self, what: str, *, clock: Clock, log: Log) -> None:
        self._what = what
        self._clock = clock
        self._log = log
        self._until: timedelta | None = None

    def is_on(self) -> bool:
        """Whether the part was away so short a time ago that it need not be asked again yet."""
        until = self._until
        return until is not None and self._clock.elapsed() < until

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note how a call to the part goes; its error is passed on."""
        try:
            yield
        except LonghaulError as error:
            begins, self._until = self._until is None, self._clock.elapsed() + PAUSE
            if begins:
                self._log.warning("part_away", part=self._what, reason=str(error))
            raise
        if self._until is not None:
            self._until = None
            self._log.info("part_back", part=self._what)
