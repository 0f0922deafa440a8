"""Nudges on Redis pub/sub: that there is something to read, and nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import redis

from adapters.redis_events import NUDGE_CHANNEL

if TYPE_CHECKING:
    from redis.client import PubSub


class RedisNudges:
    """The feed's end of the nudges."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._pubsub: PubSub | None = None

    def wait(self, seconds: float) -> bool:
        """Wait for a nudge, `seconds` at most, and say whether one came; never raises."""
        deadline = time.monotonic() + seconds
        try:
            if self._pubsub is None:
                self._pubsub = self._client.pubsub(  # type: ignore[no-untyped-call] # redis-py's
                    ignore_subscribe_messages=True
                )
                self._pubsub.subscribe(NUDGE_CHANNEL)
            while (left := deadline - time.monotonic()) > 0:
                if self._pubsub.get_message(timeout=left) is not None:
                    self._drain()
                    return True
        except redis.RedisError:
            self._pubsub = None
            time.sleep(max(0.0, deadline - time.monotonic()))
        return False

    def _drain(self) -> None:
        """Take the nudges that came together: one read serves them all."""
        while self._pubsub is not None and self._pubsub.get_message(timeout=0) is not None:
            pass
