"""The sides of the waiting benchmark: each holds many calls to one stand-in model, its own way."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import redis
from celery import Celery

from adapters.settings import read_settings
from adapters.wiring import open_web_parts
from bench.peers.waiting_words import BEGIN, CALL, ENDED, MODEL
from bench.process import Measured
from deploy.local.environment import REPO_ROOT
from jobs.events import EventType
from jobs.job import ModelId, UserId
from jobs.ports import topic_of_user
from jobs.prompt import Prompt
from jobs.submit import JobRequest, submit_job
from jobs.task import Task
from jobs.trace import Trace
from tests.builders import RecordingLog
from tests.stack import BIN, Program, clean_environ, environ_of
from workers.broker import CeleryTaskQueue, make_celery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.stack import LocalStack

PEERS_BIN = BIN.parent / "peers" / "bin"
SUBMITTERS = 4
_USER = UserId("bench")


class Side(Protocol):
    """What holds calls in flight."""

    program: Program

    def prepare(self, calls: int, prompt: str) -> None:
        """Make ready what is not measured."""

    def begin(self) -> None:
        """Let the calls that were prepared begin."""

    def ended(self) -> int:
        """Tell how many of them have ended."""


def processes(side: Side) -> list[Measured]:
    """Name the processes that hold the calls."""
    return [Measured(pid=pid) for pid in (side.program.pid, *side.program.children())]


@dataclass(kw_only=True)
class Longhaul:
    """One worker process by its own command; jobs are rows before their tasks leave."""

    stack: LocalStack
    program: Program
    _tasks: list[Task] = field(default_factory=list)
    _ended: int = 0

    def __post_init__(self) -> None:
        with environ_of(self.stack.environ):
            submit = open_web_parts(read_settings(os.environ)).submit
        self._submit = replace(submit, log=RecordingLog())  # not a line a job to the terminal
        self._queue = CeleryTaskQueue(make_celery(self.stack.redis_url, connections=2))
        self._heard = redis.Redis.from_url(self.stack.redis_url).pubsub()  # type: ignore[no-untyped-call] # redis-py's
        self._heard.subscribe(topic_of_user(_USER))

    def prepare(self, calls: int, prompt: str) -> None:
        """Write the rows; the feed, which would begin them as they are written, does not run."""
        self._ended = 0
        with ThreadPoolExecutor(SUBMITTERS) as pool:
            self._tasks = list(pool.map(lambda _: self._write(prompt), range(calls)))

    def begin(self) -> None:
        """Hand all tasks to the broker, as the feed would."""
        self._queue.enqueue(self._tasks)

    def ended(self) -> int:
        """Count the ends that a watcher of the user hears."""
        while (message := self._heard.get_message()) is not None:
            if message["type"] == "message":
                event = EventType(json.loads(message["data"])["event"])
                self._ended += event.is_terminal
        return self._ended

    def _write(self, prompt: str) -> Task:
        now = datetime.now(UTC)
        request = JobRequest(
            user=_USER,
            model=ModelId(MODEL),
            prompt=Prompt(text=prompt),
            trace=Trace.start(now, os.urandom(12)),
            accepted_at=now,
        )
        return Task.of(submit_job(request, self._submit), now=now, by="bench")


@dataclass(kw_only=True)
class Peer:
    """A program of bench/peers; it says by Redis what has ended."""

    program: Program
    broker: redis.Redis
    _asked: tuple[int, str] = (0, "")

    def prepare(self, calls: int, prompt: str) -> None:
        """Remember what to ask for."""
        self.broker.delete(ENDED)
        self._asked = (calls, prompt)

    def begin(self) -> None:
        """Ask for all calls in a word."""
        calls, prompt = self._asked
        self.broker.rpush(BEGIN, json.dumps({"calls": calls, "prompt": prompt}))

    def ended(self) -> int:
        """Count what has ended."""
        return int(self.broker.llen(ENDED))


@dataclass(kw_only=True)
class CeleryPeer(Peer):
    """A Celery worker, which wants a message a call."""

    celery: Celery

    def begin(self) -> None:
        """Send a task a call."""
        calls, prompt = self._asked
        with self.celery.producer_pool.acquire() as producer:
            for _ in range(calls):
                self.celery.send_task(CALL, (prompt,), producer=producer)


@contextmanager
def longhaul(stack: LocalStack, *, room: int, name: str) -> Iterator[Side]:
    """Run a worker with room for so many jobs, all of them one user's."""
    settings = {
        "LONGHAUL_WORKER_CONCURRENCY": str(room),
        "LONGHAUL_USER_SHARE": "1",
        "LONGHAUL_LOG_FORMAT": "json",
    }
    command = (f"{BIN}/python", "-m", "workers.worker_entry")
    with _run(command, stack=stack, environ=settings, name=name) as program:
        program.wait_for(lambda: "worker_started" in program.output, "the worker has started")
        yield Longhaul(stack=stack, program=program)


@contextmanager
def asyncio_peer(stack: LocalStack, *, room: int, tells: bool, name: str) -> Iterator[Side]:
    """Run the plain asyncio program."""
    command = (f"{PEERS_BIN}/python", "-m", "bench.peers.waiting_asyncio", str(room))
    broker = redis.Redis.from_url(stack.redis_url)
    with _run(
        (*command, *(["--tell"] if tells else [])), stack=stack, environ={}, name=name
    ) as program:
        yield Peer(program=program, broker=broker)


@contextmanager
def celery_peer(stack: LocalStack, *, pool: str, room: int, name: str) -> Iterator[Side]:
    """Run a Celery worker without anything that it can do without."""
    command = (
        *(f"{BIN}/celery", "--app=bench.peers.waiting_celery", "--quiet", "worker"),
        *(f"--pool={pool}", f"--concurrency={room}", "--loglevel=WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )
    environ = {"BENCH_CONNECTIONS": str(room), "C_FORCE_ROOT": "true"}
    broker = redis.Redis.from_url(stack.redis_url)
    celery = Celery("waiting", broker=stack.redis_url, set_as_current=False)
    with _run(command, stack=stack, environ=environ, name=name) as program:
        yield CeleryPeer(program=program, broker=broker, celery=celery)


@contextmanager
def _run(
    command: tuple[str, ...], *, stack: LocalStack, environ: Mapping[str, str], name: str
) -> Iterator[Program]:
    program = Program(
        command,
        environ={**clean_environ(), **stack.environ, "PYTHONUNBUFFERED": "1", **environ},
        log=stack.folder / f"{name}.log",
        cwd=REPO_ROOT,
    )
    try:
        yield program
    finally:
        program.kill()
