"""Pushes: one span for each end of a job that this process tells its watchers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from jobs.tracing import UNTRACED, SpanKind, Unspanned

if TYPE_CHECKING:
    from jobs.ports import Heard
    from jobs.tracing import Span, Tracer

_REMEMBERED = 1_000


class Pushes:
    """An end comes on its job's and its user's topic, and late once more; the first has the span.

    Tokens and states have none: a trace is of one job, and a job has thousands of them.
    """

    def __init__(self, tracer: Tracer = UNTRACED) -> None:
        self._tracer = tracer
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[str, int], None] = OrderedDict()

    def begin(self, heard: Heard, *, watchers: int) -> Span | None:
        """Begin the span of an event that is about to be told; None where it has none."""
        if heard.trace is None or not heard.kind.is_terminal:
            return None
        with self._lock:
            key = (heard.job, heard.seq)
            if key in self._told:
                return None
            self._told[key] = None
            if len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
        facts: dict[str, str | int] = {
            "longhaul.job_id": heard.job,
            "longhaul.watchers": watchers,
        }
        name = f"push {heard.kind}"
        span = self._tracer.begin(name, SpanKind.PRODUCER, heard.trace, facts=facts)
        return None if isinstance(span, Unspanned) else span
