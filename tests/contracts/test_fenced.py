"""jobs.fenced.Holders and FencedSource, in memory and on Redis."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from adapters.memory import MemoryFenced
from adapters.redis_events import RedisEventBus, connect_redis
from adapters.redis_fenced import FENCED_CHANNEL, RedisFencedSource, read_fenced, write_fenced
from jobs.fenced import Fenced, FencedSource, Holders
from jobs.job import JobId
from tests.builders import RecordingLog
from tests.contracts.stories import new_id
from tests.contracts.test_events import TOLD_WITHIN_SECONDS, Silent
from tests.stack import RedisServer, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import LocalStack


@dataclass(frozen=True, kw_only=True)
class Both:
    """Both ends, with two workers that listen."""

    holders: Holders
    heard: tuple[list[Fenced], list[Fenced]]

    def hear(self, *hints: Fenced) -> None:
        for heard in self.heard:
            wait_until(lambda heard=heard: len(of(hints[0].job, heard)) >= len(hints), "the hints")  # type: ignore[misc] # mypy infers no lambda with a default
            assert of(hints[0].job, heard) == list(hints)


def of(job_id: JobId, heard: list[Fenced]) -> list[Fenced]:
    return [fenced for fenced in heard if fenced.job == job_id]


def a_hint(epoch: int = 2) -> Fenced:
    return Fenced(job=new_id(), epoch=epoch)


@contextmanager
def listening(holders: Holders, *sources: FencedSource) -> Iterator[Both]:
    heard: tuple[list[Fenced], list[Fenced]] = ([], [])
    threads = [
        threading.Thread(target=source.listen, args=(one.append,), daemon=True)
        for source, one in zip(sources, heard, strict=True)
    ]
    for thread in threads:
        thread.start()
    both = Both(holders=holders, heard=heard)
    try:
        await_listeners(both)
        yield both
    finally:
        for source in sources:
            source.close()
        for thread in threads:
            thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in threads), "`close` did not end `listen`"


def await_listeners(both: Both) -> None:
    """Tell until both have heard: what is told to nobody is lost, and may be."""
    hints = (Fenced(job=JobId("job_probe"), epoch=number) for number in itertools.count())

    def heard() -> bool:
        told = next(hints)
        both.holders.tell_fenced(told)
        time.sleep(0.02)
        return all(told in one for one in both.heard)

    wait_until(heard, "both to listen")


@contextmanager
def on_redis(url: str, log: RecordingLog | None = None) -> Iterator[Both]:
    clients = [connect_redis(url, connections=2) for _ in range(3)]
    sources = [RedisFencedSource(client, log or Silent()) for client in clients[1:]]
    try:
        with listening(RedisEventBus(clients[0], Silent()), *sources) as both:
            yield both
    finally:
        for client in clients:
            client.close()


@pytest.fixture(scope="module", params=["memory", "redis"])
def both(request: pytest.FixtureRequest) -> Iterator[Both]:
    if request.param == "memory":
        memory = MemoryFenced()
        with listening(memory, memory, memory) as ends:
            yield ends
        return
    stand_ins: LocalStack = request.getfixturevalue("stand_ins")
    with on_redis(stand_ins.redis_url) as ends:
        yield ends


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


def test_every_worker_hears_every_hint_in_order(both: Both) -> None:
    first = a_hint()
    hints = [Fenced(job=first.job, epoch=epoch) for epoch in range(2, 52)]

    for hint in hints:
        both.holders.tell_fenced(hint)

    both.hear(*hints)


def test_a_hint_reads_as_it_was_written() -> None:
    hint = a_hint()

    assert read_fenced(write_fenced(hint).encode()) == hint


def test_workers_hear_again_after_redis_was_away(own_redis: RedisServer) -> None:
    log = RecordingLog()
    with on_redis(own_redis.url, log) as both:
        own_redis.kill()
        wait_until(lambda: log.count("fenced_disconnected") >= 2, "both to notice")
        own_redis.start()

        await_listeners(both)


def test_workers_hear_again_after_their_connections_were_cut(own_redis: RedisServer) -> None:
    with on_redis(own_redis.url) as both:
        operator = connect_redis(own_redis.url, connections=1)
        operator.client_kill_filter(_type="pubsub")
        operator.close()

        await_listeners(both)


GARBAGE = ["", "{}", "7", "[" * 100_000, '{"job_id": "x"}', '{"job_id": 1, "epoch": 2}', "\ud800"]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_no_hint_of_ours_is_passed_over(stand_ins: LocalStack, garbage: str) -> None:
    with on_redis(stand_ins.redis_url) as both:
        client = connect_redis(stand_ins.redis_url, connections=1)
        client.publish(FENCED_CHANNEL, garbage.encode(errors="surrogatepass"))
        client.close()
        hint = a_hint()

        both.holders.tell_fenced(hint)

        both.hear(hint)


@pytest.mark.parametrize("away", ["kill", "freeze"])
def test_telling_never_raises_nor_blocks_without_redis(own_redis: RedisServer, away: str) -> None:
    client = connect_redis(own_redis.url, connections=2)
    bus = RedisEventBus(client, Silent())
    bus.tell_fenced(a_hint())

    getattr(own_redis, away)()
    began = time.monotonic()
    for _ in range(100):
        bus.tell_fenced(a_hint())
    lasted = time.monotonic() - began
    own_redis.thaw() if away == "freeze" else own_redis.start()
    client.close()

    assert lasted < TOLD_WITHIN_SECONDS
