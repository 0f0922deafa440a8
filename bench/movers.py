"""The sides of the throughput's benchmark: what moves jobs, by its own commands, and its costs."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.crowd import HOST
from bench.process import Measured
from bench.turn import channel_ends, socket_ends
from deploy.local.environment import REPO_ROOT
from tests.free_ports import free_base
from tests.stack import Clients, Program, System, answers, clean_environ, descendants

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from bench.turn import Ends
    from tests.stack import LocalStack

LONGHAUL, BARE_CELERY, ARQ, TASKIQ = "Longhaul", "bare Celery", "arq", "taskiq"
AT_ONCE = 100  # jobs under way at a time, on every side
_JOBS_TABLE = "LLM_Jobs"
_PEERS_PYTHON = str(REPO_ROOT / ".venv" / "peers" / "bin" / "python")
# A process's part, by a word of its command.
_STAND_INS = {"ministack": "DynamoDB", "valkey": "Redis", "deploy.local.bedrock": "model"}
_LONGHAULS = {"gunicorn": "web", "worker_entry": "worker", "feed_entry": "feed"}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some processes that are counted together, with what they have started where it says so."""

    name: str
    pids: tuple[int, ...]
    is_whole: bool = False

    def cpu_seconds(self) -> float:
        """Give the processor time that they have used so far."""
        pids = set(self.pids)
        if self.is_whole:  # found anew each time: a worker's own children come when it is up
            pids = pids.union(*map(descendants, self.pids))
        return sum(Measured(pid=pid).cpu_seconds() for pid in pids)


@dataclass(frozen=True, kw_only=True)
class Mover:
    """One side: where jobs are posted, where their ends are heard, where their rows are."""

    name: str
    address: str
    table: str
    dynamodb: DynamoDBClient
    ends: Ends
    parts: tuple[Part, ...]


@contextmanager
def longhaul(stack: LocalStack) -> Iterator[Mover]:
    """Run web, worker and feed as the Procfile does, one process of each."""
    with System(stack) as system, socket_ends(system.url) as ends:
        if system.program is None:
            raise ValueError("the system was not started")
        yield Mover(
            name=LONGHAUL,
            address=f"{system.url}/v1/jobs",
            table=_JOBS_TABLE,
            dynamodb=Clients.of(stack.environ).dynamodb,
            ends=ends,
            parts=parts_of(system.program.pid, _LONGHAULS),
        )


@contextmanager
def bare_celery(stack: LocalStack) -> Iterator[Mover]:
    """Run a Flask view and a Celery worker on gevent, from Longhaul's own environment."""
    worker = (
        *(sys.executable, "-m", "celery", "-A", "bench.peers.celery_peer:celery", "worker"),
        *("--pool=gevent", f"--concurrency={AT_ONCE}", "--loglevel=WARNING"),
    )
    web = flask_command("bench.peers.celery_peer:app")
    with _peer(stack, name=BARE_CELERY, web=web, worker=worker) as mover:
        yield mover


@contextmanager
def on_arq(stack: LocalStack) -> Iterator[Mover]:
    """Run an aiohttp front and arq's worker, from the peers' environment."""
    worker = (_PEERS_PYTHON, "-m", "arq", "bench.peers.arq_peer.WorkerSettings")
    with _peer(stack, name=ARQ, web=_asyncio_front(ARQ), worker=worker) as mover:
        yield mover


@contextmanager
def on_taskiq(stack: LocalStack) -> Iterator[Mover]:
    """Run an aiohttp front and taskiq's worker, from the peers' environment."""
    worker = (
        *(_PEERS_PYTHON, "-m", "taskiq", "worker", "bench.peers.taskiq_peer:broker"),
        *("--workers", "1", "--max-async-tasks", str(AT_ONCE), "--log-level", "WARNING"),
    )
    with _peer(stack, name=TASKIQ, web=_asyncio_front(TASKIQ), worker=worker) as mover:
        yield mover


def flask_command(app: str) -> tuple[str, ...]:
    """Give the command that serves a Flask app as Longhaul's web process is served."""
    return (
        *(sys.executable, "-m", "gunicorn", "--worker-class", "gevent", "--no-control-socket"),
        *("--bind", "{address}", app),
    )


def make_table(dynamodb: DynamoDBClient, name: str, *, has_stream: bool = False) -> None:
    """Make a peer's table: jobs by their ids, and nothing else."""
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "JobId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "JobId", "AttributeType": "S"}],
        StreamSpecification=(
            {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
            if has_stream
            else {"StreamEnabled": False}
        ),
    )


def stand_ins() -> tuple[Part, ...]:
    """Find the stand-ins that this process has started so far."""
    return parts_of(os.getpid(), _STAND_INS)


def parts_of(pid: int, words: Mapping[str, str]) -> tuple[Part, ...]:
    """Name the descendants of a process by the words in their commands."""
    found: dict[str, list[int]] = {name: [] for name in words.values()}
    for child in descendants(pid):
        command = Path(f"/proc/{child}/cmdline").read_bytes().decode()
        for word, name in words.items():
            if word in command:
                found[name].append(child)
                break
    return tuple(Part(name=name, pids=tuple(pids)) for name, pids in found.items())


def whole(name: str, program: Program) -> Part:
    """Count a program and all that it has started."""
    return Part(name=name, pids=(program.pid,), is_whole=True)


@contextmanager
def running(
    command: tuple[str, ...], *, environ: Mapping[str, str], log: Path
) -> Iterator[Program]:
    """Run a program until the block ends."""
    program = Program(command, environ=environ, log=log)
    try:
        yield program
    finally:
        program.kill()


@contextmanager
def front(
    command: tuple[str, ...], *, environ: Mapping[str, str], log: Path
) -> Iterator[tuple[str, Program]]:
    """Serve a peer's front on a free port, and give its address."""
    port = free_base(1)
    address = f"{HOST}:{port}"
    filled = tuple(argument.format(address=address) for argument in command)
    with running(filled, environ={**environ, "PORT": str(port)}, log=log) as program:
        program.wait_for(lambda: answers(f"http://{address}/"), f"{log.stem} answers")
        yield f"http://{address}/jobs", program


def _asyncio_front(queue: str) -> tuple[str, ...]:
    return (_PEERS_PYTHON, "-m", "bench.peers.asyncio_work", queue)


@contextmanager
def _peer(
    stack: LocalStack, *, name: str, web: tuple[str, ...], worker: tuple[str, ...]
) -> Iterator[Mover]:
    word = name.replace(" ", "-")
    table, channel = f"bench-{word}", f"bench:{word}"
    dynamodb = Clients.of(stack.environ).dynamodb
    make_table(dynamodb, table)
    environ = {**clean_environ(), **stack.environ, "BENCH_TABLE": table, "BENCH_ENDS": channel}
    with ExitStack() as opened:
        address, served = opened.enter_context(
            front(web, environ=environ, log=stack.folder / f"{word}-web.log")
        )
        working = opened.enter_context(
            running(worker, environ=environ, log=stack.folder / f"{word}-worker.log")
        )
        ends = opened.enter_context(channel_ends(stack.redis_url, channel))
        yield Mover(
            name=name,
            address=address,
            table=table,
            dynamodb=dynamodb,
            ends=ends,
            parts=(whole("web", served), whole("worker", working)),
        )
