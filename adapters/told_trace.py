"""The trace that goes along with a job's end over the bus, and is taken off before clients get it.

It stands at the end of the message's JSON under a name of its own, so that a process of an older
release, in a rollout, reads the message all the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jobs.trace import Trace

if TYPE_CHECKING:
    from jobs.events import Event

# A quote inside of a JSON string is escaped: what a text says cannot look like this.
_LAST = re.compile(r',"_trace":"([^"\\]*)"\}\Z')


def told_trace(event: Event) -> Trace | None:
    """Say which trace goes along: that of a job's end, where it is sampled."""
    trace = event.trace
    return trace if event.type.is_terminal and trace.sampled and trace.parent else None


def with_trace(event: Event, text: str) -> str:
    """Add a sampled trace to the end of a job; nothing to any other event."""
    if (trace := told_trace(event)) is None:
        return text
    return f'{text[:-1]},"_trace":"{trace.header}"}}'


def split_trace(text: str) -> tuple[str, Trace | None]:
    """Give the message as clients get it, and the trace."""
    found = _LAST.search(text) if text.endswith('"}') else None
    if found is None:
        return text, None
    return f"{text[: found.start()]}}}", Trace.from_xray(found[1])
