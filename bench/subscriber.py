"""The floor: one bare redis-py subscriber, which hears what the web process hears."""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING, Self

import redis

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

_HEARS_WITHIN = 30.0


class Subscriber:
    """A process that notes when each message of a channel comes."""

    def __init__(self, url: str, channel: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_run, args=(theirs, url, channel), daemon=True
        )

    def __enter__(self) -> Self:
        self._process.start()
        self.heard_at()  # the subscription's own confirmation
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def heard_at(self) -> float:
        """Give when the next message came, in seconds of CLOCK_MONOTONIC."""
        if not self._pipe.poll(_HEARS_WITHIN):
            raise TimeoutError(f"nothing was heard within {_HEARS_WITHIN:g} s")
        at: float = self._pipe.recv()
        return at


def _run(pipe: Connection, url: str, channel: str) -> None:
    pubsub = redis.Redis.from_url(url).pubsub()  # type: ignore[no-untyped-call] # redis-py's
    pubsub.subscribe(channel)
    while True:
        if pubsub.get_message(timeout=1.0) is not None:
            pipe.send(time.monotonic())
