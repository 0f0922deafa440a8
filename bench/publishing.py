"""Publishing: to Longhaul's watchers as a worker does, and to the peer's."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx

from adapters.logs import get_log
from adapters.redis_events import RedisEventBus, connect_redis
from bench.plain import CHANNEL
from jobs import seq
from jobs.events import Event, EventType
from jobs.job import JobId, UserId
from jobs.trace import Trace, TraceId

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.servers import Server

TEXT = "Some words of a model's answer, as many as fit "  # what a delta carries, and a number


@dataclass(frozen=True, kw_only=True)
class WatchedJob:
    """A job that waits for ever, because no worker runs, and that has watchers."""

    id: JobId
    user: UserId
    trace_id: TraceId

    @classmethod
    def submit(cls, server: Server, *, user: str, key: str) -> WatchedJob:
        """Make one through the API."""
        [job] = cls.submit_many(1, server, user=user, key=key)
        return job

    @classmethod
    def submit_many(cls, number: int, server: Server, *, user: str, key: str) -> list[WatchedJob]:
        """Make so many through the API, one after the other."""
        made = []
        with httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False
        ) as client:
            for _ in range(number):
                job = client.post("/v1/jobs", json={"prompt": "x"}).raise_for_status().json()
                made.append(
                    cls(id=JobId(job["id"]), user=UserId(user), trace_id=TraceId(job["trace_id"]))
                )
        return made

    def events(self) -> Iterator[Event]:
        """Tell what a worker would: it has started, and then text without end."""
        yield self._event(seq.first_in(1), EventType.STARTED, None)
        for number in seq.numbers_after_first(1):
            yield self._event(number, EventType.DELTA, f"{TEXT}{number}")

    def _event(self, number: int, kind: EventType, text: str | None) -> Event:
        return Event(
            job=self.id,
            user=self.user,
            seq=number,
            type=kind,
            at=datetime.now(UTC),
            trace=Trace(id=self.trace_id),
            attempt=1,
            text=text,
        )


class Publisher:
    """Publishes to Longhaul's watchers as its workers do, and to the peer's sockets."""

    def __init__(self, redis_url: str) -> None:
        self._client = connect_redis(redis_url, connections=2)
        self._bus = RedisEventBus(self._client, get_log())

    def publish(self, event: Event) -> float:
        """Publish an event through log and pub/sub; give when that was asked for."""
        at = time.monotonic()
        self._bus.publish(event)
        return at

    def publish_plainly(self, text: str) -> float:
        """Publish a text on the peer's channel; give when that was asked for."""
        at = time.monotonic()
        self._client.publish(CHANNEL, text)
        return at

    def publish_to_each(self, channels: Sequence[str], text: str) -> None:
        """Publish a text on each of the peer's channels, in one round trip."""
        with self._client.pipeline(transaction=False) as pipe:
            for channel in channels:
                pipe.publish(channel, text)
            pipe.execute()
