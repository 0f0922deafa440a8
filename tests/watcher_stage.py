"""Where stories of watchers are played: two web processes and a Redis, on tables of their own."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.bootstrap import ensure_resources
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.redis_events import RedisEventBus, connect_redis
from adapters.s3 import S3ObjectStore
from tests.builders import RecordingLog
from tests.free_ports import free_base
from tests.stack import BIN, Program, RedisServer, answers, clean_environ, environ_of
from tests.watcher_clients import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import redis

    from tests.stack import Clients, LocalStack

TABLE = "Watchers_Machine"


class Web:
    """One web process, at an address that outlives it."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        port = free_base(1)
        self.url = f"http://127.0.0.1:{port}"
        self._environ = {**environ, "PORT": str(port)}
        self._log = log
        self._program: Program | None = None

    def start(self) -> None:
        command = (f"{BIN}/gunicorn", "--config", "web/gunicorn.py", "web.entry:app")
        program = self._program = Program(command, environ=self._environ, log=self._log)
        program.wait_for(lambda: answers(f"{self.url}/readyz"), "the web process is ready")

    def drain(self) -> None:
        """Ask it to go, and wait until it has."""
        program, self._program = self._program, None
        assert program is not None
        assert program.stop() == 0, program.tail()

    def kill(self) -> None:
        if self._program is not None:
            self._program.kill()
            self._program = None

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What all stories are played on."""

    loop: Loop
    webs: tuple[Web, Web]
    server: RedisServer
    redis: redis.Redis
    buses: tuple[RedisEventBus, ...]
    store: DynamoDBJobStore
    objects: S3ObjectStore

    @property
    def urls(self) -> tuple[str, str]:
        return (self.webs[0].url, self.webs[1].url)


@contextmanager
def open_stage(stand_ins: LocalStack, clients: Clients, folder: Path) -> Iterator[Stage]:
    """Start two web processes and a Redis, on a table of their own."""
    server = RedisServer(folder / "redis")
    server.start()
    environ = {
        **clean_environ(),
        **stand_ins.environ,
        "REDIS_URL": server.url,
        "LONGHAUL_TABLE": TABLE,  # that no feed of another test reads
    }
    with environ_of(environ):
        ensure_resources(environ)
    both = tuple(Web(environ, folder / f"web-{number}.log") for number in range(2))
    with ExitStack() as stack:
        stack.callback(server.kill)
        for web in both:
            stack.callback(web.kill)
            web.start()
        connections = [
            stack.enter_context(connect_redis(server.url, connections=4)) for _ in range(4)
        ]
        yield Stage(
            loop=stack.enter_context(Loop()),
            webs=(both[0], both[1]),
            server=server,
            redis=connections[3],
            buses=tuple(RedisEventBus(client, RecordingLog()) for client in connections[:3]),
            store=DynamoDBJobStore(
                client=clients.dynamodb, table=TABLE, retention=timedelta(days=30)
            ),
            objects=S3ObjectStore(client=clients.s3, bucket=environ["LONGHAUL_BUCKET"]),
        )
