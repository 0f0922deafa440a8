"""What one job asks Redis for and reads of its row; a test counts the same on the real parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bench.capacity.workload import Workload

# `job.queued` by web, `job.started` and `job.completed` by the worker; and the end once more, by
# the feed, which watchers drop by its number (workers/late_word.py).
STATE_EVENTS: Final = 4
CHANNELS_OF_A_STATE: Final = 2  # the job's and its user's
NUDGES: Final = 1
READS_A_WATCHER: Final = 2  # the row before the answer begins, and once more once it listens


@dataclass(frozen=True, kw_only=True)
class EventCalls:
    """Commands by which events reach their log and their watchers."""

    logged: float  # EVAL of an XADD and an EXPIRE
    published: float  # PUBLISH


def event_calls(deltas: float) -> EventCalls:
    """Count for a job with so many events of text that completes at its first attempt."""
    return EventCalls(
        logged=deltas + STATE_EVENTS,
        published=deltas + STATE_EVENTS * CHANNELS_OF_A_STATE + NUDGES,
    )


def row_reads(workload: Workload) -> tuple[float, float]:
    """Count consistent reads of a job's row: while it waits or runs, and after its end."""
    return READS_A_WATCHER * workload.watchers, workload.looks
