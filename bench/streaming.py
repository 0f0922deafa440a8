"""Streams beside a load: jobs whose workers talk all the time, each watched on a socket."""

from __future__ import annotations

import json
import multiprocessing
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.crowd import Crowd, handshake
from bench.publishing import Publisher, WatchedJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from bench.servers import Server

SUBSCRIBED = b'"subscribed"'
_BEGINS_WITHIN = 30.0


@contextmanager
def streaming(  # noqa: PLR0913 - whose streams, and how much, read by name at one place
    server: Server, redis_url: str, *, jobs: int, events_per_second: float, user: str, key: str
) -> Iterator[None]:
    """Let so many jobs stream, each to one WebSocket, so many events a second in all."""
    if not jobs:
        yield
        return
    watched = WatchedJob.submit_many(jobs, server, user=user, key=key)
    with Crowd(server.port) as crowd:
        crowd.open([handshake("/v1/ws", port=server.port, token=key)] * jobs)
        ask_for_each(crowd, subscriptions(watched), answer=SUBSCRIBED)
        with talking(_talk, watched, redis_url, events_per_second) as talker:
            if not talker.poll(_BEGINS_WITHIN):
                raise TimeoutError("nobody streams")
            yield


def subscriptions(jobs: Sequence[WatchedJob]) -> list[str]:
    """Write what a client says to watch each job; it is answered by SUBSCRIBED."""
    return [json.dumps({"type": "subscribe", "job_id": job.id}) for job in jobs]


def ask_for_each(crowd: Crowd, texts: Sequence[str], *, answer: bytes) -> None:
    """Let each client say a text of its own, one after the other, until it was answered."""
    for number, text in enumerate(texts):
        crowd.expect(answer, messages=1)
        crowd.say(text, clients=range(number, number + 1))
        crowd.wait_for_last()


@contextmanager
def talking(talk: Callable[..., None], *args: object) -> Iterator[Connection]:
    """Let a process of its own `talk` while the block lasts; it and we have a pipe."""
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process: BaseProcess = context.Process(target=talk, args=(theirs, *args), daemon=True)
    process.start()
    try:
        yield pipe
    finally:
        process.terminate()
        process.join()


def _talk(pipe: Connection, jobs: Sequence[WatchedJob], redis_url: str, rate: float) -> None:
    """Publish each job's next event in turn, as its worker would, at an even pace."""
    publisher = Publisher(redis_url)
    streams = [job.events() for job in jobs]
    due, said = time.monotonic(), 0
    while True:
        for stream in streams:
            publisher.publish(next(stream))
            due += 1 / rate
            time.sleep(max(0.0, due - time.monotonic()))
        if not said:
            pipe.send(True)  # every job has begun
        said += 1
