"""The real stack for tests: stand-ins, and the Procfile's processes by its own commands.

Everything is started here, waits with a deadline, and is ended by the pid it was started with, or
else together with the tests' own process (tests/leash.py). A service that does not come up fails
the test; nothing is skipped.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import boto3
import botocore.session
import httpx
import pytest
from botocore.loaders import Loader, create_loader

from adapters.aws import connect_bedrock, connect_dynamodb, connect_s3, connect_streams
from adapters.direct_dynamodb import connect_direct
from adapters.schema import feed_table, idempotency_table, jobs_table, keys_table
from deploy.local.environment import REPO_ROOT, plan
from deploy.local.ready import read_ready
from deploy.local.servers import servers_of
from tests.free_ports import free_base
from tests.leash import leash, leash_descriptor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef
    from mypy_boto3_dynamodbstreams.client import DynamoDBStreamsClient
    from mypy_boto3_s3.client import S3Client

    from adapters.direct_dynamodb import DirectDynamoDB

T = TypeVar("T")

POLL_SECONDS = 0.02
STARTS_WITHIN = 60.0
STOPS_WITHIN = 45.0
LOG_LINES_SHOWN = 60
BIN = Path(sys.prefix) / "bin"
# What would lead a process under test elsewhere than to its own stack.
OURS = ("AWS_", "LONGHAUL_", "HONCHO_", "OTEL_", "REDIS_", "PORT")
# The stand-in's model answers fast unless a prompt asks for a pace of its own.
QUICK_MODEL = {
    "LONGHAUL_BEDROCK_FIRST_TOKEN_SECONDS": "0.02",
    "LONGHAUL_BEDROCK_TOKENS_PER_SECOND": "2000",
}
# With AWS elsewhere, Redis is the only stand-in.
ONLY_REDIS = {"AWS_ENDPOINT_URL": "http://aws.invalid"}

started: list[Program] = []
# One client for all: a new one takes longer to make than most answers take to come.
# It lets a connection go before gunicorn does, which would close it under a request.
http = httpx.Client(timeout=30, trust_env=False, limits=httpx.Limits(keepalive_expiry=2))


def wait_until(condition: Callable[[], T], what: str, *, within: float = 30.0) -> T:
    """Look at a condition every 20 ms until it is true, and give what it gave."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() >= deadline:
            pytest.fail(f"waited {within:g} s in vain for: {what}")
        time.sleep(POLL_SECONDS)  # between two looks at a condition, not in place of one
    return found


def is_running(pid: int) -> bool:
    try:
        return _state_and_parent(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> set[int]:
    """Give the pids of a process's children, and of theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = _state_and_parent(int(entry.name))[1]
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    front = [pid]
    while front:
        new = [child for parent in front for child in children.get(parent, ())]
        found.update(new)
        front = new
    return found


def clean_environ() -> dict[str, str]:
    """Give this process's environment without what names any part."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


@contextmanager
def environ_of(environ: Mapping[str, str]) -> Iterator[None]:
    """Let this process's environment be `environ`: boto3 and the settings read nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            patch.delenv(name)
        for name, value in environ.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers what it once read
        patch.setattr(botocore.session, "create_loader", _descriptions)
        yield


@cache
def _descriptions(path: str | None = None) -> Loader:
    """Read what AWS's services are like once: for a session of its own it takes 0.2 s a client."""
    return create_loader(path)


class Program:
    """One command in a process group of its own, its output in a file."""

    def __init__(
        self,
        command: tuple[str, ...],
        *,
        environ: Mapping[str, str],
        log: Path,
        cwd: Path = REPO_ROOT,
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self._offspring: set[int] = set()
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - the programs under test
                command,
                env={**environ, **leash()},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(leash_descriptor(),),
            )
        started.append(self)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def wait_for(
        self, condition: Callable[[], T], what: str, *, within: float = STARTS_WITHIN
    ) -> T:
        """Wait for something that the program brings about; fails at once when it has ended."""

        def found() -> T:
            true = condition()
            if not true and not self.is_running:
                pytest.fail(f"ended before {what}:\n{self.tail()}")
            return true

        return wait_until(found, what, within=within)

    def children(self) -> set[int]:
        self._offspring |= descendants(self.pid)
        return {pid for pid in self._offspring if is_running(pid)}

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and wait; what is left after the deadline is killed, pid by pid."""
        self.children()
        if self.is_running:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOPS_WITHIN)
        except subprocess.TimeoutExpired:
            pytest.fail(f"did not end within {STOPS_WITHIN:g} s:\n{self.tail()}")
        finally:
            self.kill()

    def kill(self) -> None:
        """End it and all that it started, at once."""
        for pid in (*self.children(), *([self.pid] if self.is_running else [])):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(STOPS_WITHIN)
        if self in started:
            started.remove(self)

    def tail(self) -> str:
        return "\n".join(self.output.splitlines()[-LOG_LINES_SHOWN:])


class LocalStack:
    """`python -m deploy.local` in a folder and on ports of its own.

    `environ` leads a process that is started by itself to the stand-ins; `place` lets the
    Procfile's commands find them by themselves.
    """

    def __init__(self, folder: Path, *, named: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.base = free_base(4)
        self.place = {
            "LONGHAUL_PORT_BASE": str(self.base),
            "LONGHAUL_LOCAL_DIR": str(folder / "data"),
            **(named or {}),
        }
        self._program: Program | None = None

    def __enter__(self) -> Self:
        program = self._program = Program(
            (sys.executable, "-m", "deploy.local"),
            environ={**clean_environ(), **QUICK_MODEL, **self.place},
            log=self.folder / "local.log",
        )
        try:
            program.wait_for(lambda: read_ready(self.folder / "data"), "the stand-ins are up")
        except BaseException:
            program.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._program is not None:
            self._program.stop()

    @property
    def pid(self) -> int:
        assert self._program is not None, "the stand-ins were not started"
        return self._program.pid

    @property
    def environ(self) -> dict[str, str]:
        ready = read_ready(self.folder / "data")
        assert ready is not None, "the stand-ins are not up"
        return {**ready.environment, **self.place}

    @property
    def redis_url(self) -> str:
        return self.environ["REDIS_URL"]

    @property
    def bedrock_url(self) -> str:
        return self.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"]

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.base}"

    def model_calls(self, job_id: str) -> list[dict[str, Any]]:
        """Give the stand-in's ledger of one job, in the order the calls came."""
        answer = http.get(f"{self.bedrock_url}/_stand-in/calls", params={"job": job_id})
        calls: list[dict[str, Any]] = answer.raise_for_status().json()["calls"]
        return calls

    def ledger_summary(self) -> dict[str, Any]:
        answer = http.get(f"{self.bedrock_url}/_stand-in/calls/summary")
        summary: dict[str, Any] = answer.raise_for_status().json()
        return summary

    def clear_ledger(self) -> None:
        http.delete(f"{self.bedrock_url}/_stand-in/calls").raise_for_status()


@dataclass(frozen=True, kw_only=True)
class Clients:
    """boto3's clients of a stack, made by the adapters that the product makes them by."""

    dynamodb: DynamoDBClient
    direct: DynamoDBClient | DirectDynamoDB
    streams: DynamoDBStreamsClient
    s3: S3Client
    bedrock: BedrockRuntimeClient

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Clients:
        with environ_of(environ):
            return cls(
                dynamodb=connect_dynamodb(connections=40),
                direct=connect_direct(connections=40),
                streams=connect_streams(),
                s3=connect_s3(connections=10),
                bedrock=connect_bedrock(connections=10, read_timeout=60),
            )

    def close(self) -> None:
        for client in (self.dynamodb, self.direct, self.streams, self.s3, self.bedrock):
            client.close()

    def make_tables(self, name: str) -> str:
        """Make a table of jobs, with its feed's and its keys', that nobody else knows."""
        for definition in _tables(name):
            self.dynamodb.create_table(**definition)
            self.dynamodb.get_waiter("table_exists").wait(
                TableName=definition["TableName"], WaiterConfig={"Delay": 1, "MaxAttempts": 10}
            )
        return name

    def drop_tables(self, name: str) -> None:
        """Remove what `make_tables` has made."""
        for definition in _tables(name):
            self.dynamodb.delete_table(TableName=definition["TableName"])


def _tables(name: str) -> tuple[CreateTableInputTypeDef, ...]:
    return jobs_table(name), feed_table(name), idempotency_table(name), keys_table(name)


class RedisServer:
    """deploy.local's Redis without its supervisor, to be killed, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environ = {
            **clean_environ(),
            **ONLY_REDIS,
            "LONGHAUL_PORT_BASE": str(free_base(4)),
            "LONGHAUL_LOCAL_DIR": str(folder),
        }
        decided = plan(self._environ)
        [self._server] = servers_of(decided, self._environ)
        self.url = decided.additions["REDIS_URL"]
        self._program: Program | None = None

    def start(self) -> None:
        for path in self._server.folders:
            path.mkdir(parents=True, exist_ok=True)
        self._program = Program(
            self._server.command,
            environ=self._server.environment,
            log=self._folder / "redis.log",
        )
        self._program.wait_for(lambda: self._server.answers(self._server.port), "Redis answers")

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._program is not None:
            self._program.kill()
            self._program = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._program is not None, "Redis was not started"
        self._program.process.send_signal(number)


@dataclass
class System:
    """`honcho start` in a stack's place: with some names of the Procfile, or with all of them."""

    stack: LocalStack
    processes: tuple[str, ...] = ("web", "worker", "feed")
    settings: Mapping[str, str] = field(default_factory=dict)
    name: str = "honcho"
    program: Program | None = None

    def __enter__(self) -> Self:
        environ = {
            **clean_environ(),
            **self.stack.place,
            "LONGHAUL_LOG_FORMAT": "json",
            **self.settings,
        }
        self.program = honcho(
            self.processes, environ=environ, log=self.stack.folder / f"{self.name}.log"
        )
        try:
            self._wait_until_ready(self.program)
        except BaseException:
            self.program.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.program is not None:
            self.program.stop()

    @property
    def url(self) -> str:
        return self.stack.web_url

    def log_lines(self, **keys: object) -> list[dict[str, Any]]:
        """Give the log lines that have all of these keys with these values."""
        assert self.program is not None, "the system was not started"
        return [
            line
            for line in _json_lines(self.program.output)
            if all(line.get(key) == value for key, value in keys.items())
        ]

    def _wait_until_ready(self, program: Program) -> None:
        processes = self.processes or ("web", "worker", "feed")
        if "web" in processes:
            program.wait_for(lambda: answers(f"{self.url}/readyz"), "web is ready")
        for process, event in (("worker", "worker_started"), ("feed", "feed_started")):
            if process in processes:
                program.wait_for(lambda event=event: event in program.output, event)  # type: ignore[misc] # mypy infers no lambda with a default


def honcho(processes: tuple[str, ...], *, environ: Mapping[str, str], log: Path) -> Program:
    """Run `honcho start` with these processes of the Procfile, or with all of them."""
    return Program(
        (str(BIN / "honcho"), "--no-colour", "--no-prefix", "start", *processes),
        environ={
            **environ,
            "PATH": os.pathsep.join([str(BIN), environ.get("PATH", os.defpath)]),
            "VIRTUAL_ENV": sys.prefix,
            "PYTHONUNBUFFERED": "1",
        },
        log=log,
    )


def answers(url: str) -> bool:
    try:
        return http.get(url, timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue  # half a line: it is being written


def has_ended(pid: int) -> bool:
    """Say whether a process is gone, or only waits for whoever tidies up after it."""
    try:
        return _state_and_parent(pid)[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _state_and_parent(pid: int) -> tuple[str, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[1])
