"""Fenced hints on Redis pub/sub: one subscription a worker process."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import redis

from jobs.fenced import Fenced
from jobs.job import JobId

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.ports import Log

FENCED_CHANNEL = "longhaul:fenced"
_LOOK_SECONDS = 1.0  # between looks at whether to go on listening
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


def write_fenced(fenced: Fenced) -> str:
    """Write the hint's message."""
    return json.dumps({"job_id": fenced.job, "epoch": fenced.epoch})


def read_fenced(message: bytes) -> Fenced:
    """Read what `write_fenced` wrote. Raises ValueError for anything else."""
    match json.loads(message):
        case {"job_id": str(job), "epoch": int(epoch)}:
            return Fenced(job=JobId(job), epoch=epoch)
    raise ValueError("not a hint of ours")


class RedisFencedSource:
    """jobs.fenced.FencedSource; the hints are told by adapters.redis_events.RedisEventBus.

    After Redis was away it just goes on: what was told meanwhile is learnt at the next renewal.
    To renew every claim at once instead would be a burst of writes whenever Redis blinks.
    """

    def __init__(self, client: redis.Redis, log: Log) -> None:
        self._client = client
        self._log = log
        self._closed = False

    def listen(self, hear: Callable[[Fenced], object]) -> None:
        """Pass hints on until `close`; connects anew for as long as it takes."""
        pause = _FIRST_PAUSE_SECONDS
        while not self._closed:
            began = time.monotonic()
            try:
                self._listen_once(hear)
            except (redis.RedisError, OSError) as error:
                self._log.warning("fenced_disconnected", reason=type(error).__name__)
                time.sleep(pause)
                has_lasted = time.monotonic() - began > 2 * _LONGEST_PAUSE_SECONDS
                pause = _FIRST_PAUSE_SECONDS if has_lasted else _longer(pause)

    def close(self) -> None:
        """End `listen`, within a second."""
        self._closed = True

    def _listen_once(self, hear: Callable[[Fenced], object]) -> None:
        with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call] # redis-py's
            pubsub.subscribe(FENCED_CHANNEL)
            while not self._closed:
                message = pubsub.get_message(timeout=_LOOK_SECONDS)
                if message is not None:
                    self._pass_on(message["data"], hear)

    def _pass_on(self, message: bytes, hear: Callable[[Fenced], object]) -> None:
        try:
            fenced = read_fenced(message)
        except (ValueError, RecursionError) as error:
            self._log.warning("fenced_unreadable", reason=type(error).__name__)
            return
        hear(fenced)


def _longer(pause: float) -> float:
    return min(pause * 2, _LONGEST_PAUSE_SECONDS)
