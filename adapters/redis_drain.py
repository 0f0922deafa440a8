"""The word that a worker is to go, on a Redis channel of its own.

A worker listens there until its process ends, so who speaks to nobody knows that it has gone.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import redis

from adapters.redis_errors import translating_redis
from adapters.redis_slots import KEPT_SECONDS, ROOT
from jobs.find import Heard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DRAIN_CHANNEL = "longhaul:drain:"
_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 0.5


class RedisDrainSource:
    """A worker's end."""

    def __init__(self, client: redis.Redis, *, worker: str) -> None:
        self._client = client
        self._channel = f"{DRAIN_CHANNEL}{worker}"

    def listen(self, hear: Callable[[], object]) -> None:
        """Pass the word on, each time that it is said, for as long as the process lives."""
        while True:
            try:
                self._listen_once(hear)
            except (redis.RedisError, OSError):
                time.sleep(_PAUSE_SECONDS)  # who listens to claims tells that Redis is away

    def _listen_once(self, hear: Callable[[], object]) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call] # redis-py's
            pubsub.subscribe(self._channel)
            while True:
                if pubsub.get_message(timeout=_LOOK_SECONDS) is not None:
                    hear()


class RedisWorkers:
    """The operator's end. Every method may raise Unavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def rooms(self) -> dict[str, int]:
        """Give how many jobs each worker has room for that listens now.

        What a worker says of its room outlives it by a minute where it dies without a word.
        """
        with translating_redis("redis", told="does not answer"):
            said = self._client.hgetall(f"{ROOT}:rooms")
            channels = [f"{DRAIN_CHANNEL}{_text(name)}" for name in said]
            counts = self._client.pubsub_numsub(*channels) if channels else []
        listen = {_text(channel) for channel, count in counts if count}
        rooms = {}
        for name, value in said.items():
            _, _, room = _text(value).partition(" ")
            if f"{DRAIN_CHANNEL}{_text(name)}" in listen and room != "0":
                rooms[_text(name)] = int(room)
        return rooms

    def heard(self, workers: Iterable[str]) -> dict[str, Heard]:
        """Give what is known of each of these: what it said lately, and whether it listens now."""
        names = sorted(set(workers))
        if not names:
            return {}
        with translating_redis("redis", told="does not answer"):
            said = self._client.hmget(f"{ROOT}:rooms", names)
            counts = self._client.pubsub_numsub(*(f"{DRAIN_CHANNEL}{name}" for name in names))
            seconds, microseconds = self._client.time()
        now = seconds + microseconds / 1e6
        return {
            name: Heard(listens=bool(count), ago=_ago(value, now))
            for name, value, (_, count) in zip(names, said, counts, strict=True)
        }

    def tell_to_go(self, worker: str) -> bool:
        """Say that a worker is to go, and give whether it is there to hear it."""
        with translating_redis("redis", told="does not answer"):
            return bool(self._client.publish(f"{DRAIN_CHANNEL}{worker}", "go"))


def _ago(said: bytes | str | None, now: float) -> timedelta | None:
    """Read when a worker said its room: what it says counts for so long from then, by one clock."""
    if said is None:
        return None
    until, _, _ = _text(said).partition(" ")
    ago = now - (float(until) - KEPT_SECONDS)
    return timedelta(seconds=ago) if ago <= KEPT_SECONDS else None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
