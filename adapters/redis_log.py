"""The event log in Redis: a stream a job, its entries' ids are the events' numbers.

Redis refuses an id that is not above the last one. So what is said twice, and a late word of a
worker that was fenced out, stays out of the log by itself, and does not make it stay for longer.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import redis

from jobs.errors import Unavailable
from jobs.event_log import PAGE
from jobs.events import EventType
from jobs.job import JobId
from jobs.ports import Heard, topic_of_job

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from redis.client import Pipeline

    from jobs.events import Event
    from jobs.ports import Topic

MOST_EVENTS = 20_000  # a job: twenty minutes of deltas every 50 ms and more
_OPEN_SECONDS = 7 * 86_400
ENDED_SECONDS = 900  # then the row and the result tell the same
_FIELD = b"m"
_ADD = """
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], ARGV[2], 'm', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
"""  # in one, so that what is refused leaves the log's time as it is
_PASSING = (redis.OutOfMemoryError, redis.ReadOnlyError, redis.BusyLoadingError)
_TOO_OLD = "equal or smaller than the target stream top item"


class RedisEventLog:
    """jobs.event_log.EventLog."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def read(self, job_id: JobId, *, start: int) -> list[Heard]:
        """Read a page of a job's log."""
        try:
            entries: Any = self._client.xrange(_key(job_id), min=f"{start}-0", count=PAGE)
        except redis.RedisError as error:
            raise Unavailable("events", f"no event log ({type(error).__name__})") from error
        topic = topic_of_job(job_id)
        return [read_heard(topic, fields[_FIELD].decode()) for _, fields in entries]

    def forget(self, job_id: JobId) -> None:
        """Remove a job's log."""
        try:
            self._client.delete(_key(job_id))
        except redis.RedisError as error:
            raise Unavailable("events", f"no event log ({type(error).__name__})") from error


def log_event(pipe: Pipeline, event: Event, text: str) -> None:
    """Add an event to its job's log, bounded in length and in time."""
    seconds = ENDED_SECONDS if event.type.is_terminal else _OPEN_SECONDS
    pipe.eval(_ADD, 1, _key(event.job), MOST_EVENTS, f"{event.seq}-0", text, seconds)


def refusals(answers: Iterable[object]) -> list[Exception]:
    """Give what a pipeline's commands were refused for, but for events that were said before.

    Raises what passes by itself: a Redis that is full, is loading or may only be read.
    """
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    for error in errors:
        if isinstance(error, _PASSING):
            raise error
    return [error for error in errors if _TOO_OLD not in str(error)]


def read_heard(topic: Topic, text: str) -> Heard:
    """Read an event's message. Raises ValueError, KeyError and TypeError."""
    fields = json.loads(text)
    return Heard(
        topic=topic,
        job=JobId(fields["job_id"]),
        seq=int(fields["seq"]),
        kind=EventType(fields["event"]),
        message=text,
    )


def _key(job_id: JobId) -> str:
    return f"longhaul:log:{job_id}"
