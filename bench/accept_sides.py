"""The sides of accepting: Longhaul's web process and its floor, each on two stores."""

from __future__ import annotations

import json
import secrets
import socket
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.comparison import percentile
from bench.crowd import HOST
from bench.load import LoadGenerator, post
from bench.process import Measured
from bench.servers import gunicorn, longhaul_web
from tests.free_ports import free_base
from tests.stack import Program, clean_environ, descendants

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.servers import Server
    from tests.stack import LocalStack

CALLER, WATCHER = "caller", "watcher"  # whose jobs are accepted, and whose stream meanwhile
PROMPT = ("words of a prompt " * 120)[:2048]
_TABLE = "LLM_Jobs"  # where the stack's own jobs are
_KEPT_SECONDS = 130  # as Longhaul keeps an idle connection
_STORE_VARIABLE = "AWS_ENDPOINT_URL_DYNAMODB"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one load gave: a rate, seconds, and processor seconds a request of whoever took part."""

    rate: float
    p50: float
    p99: float
    web_cpu: float
    store_cpu: float
    clients_cpu: float

    def rate_of_a_core(self, *, taken: float = 0.0) -> float:
        """Give the rate of a web process with a core of its own, `taken` of it by other work."""
        return (1 - taken) / (self.web_cpu - taken / self.rate)


@dataclass(frozen=True, kw_only=True)
class Offered:
    """What one even load gave, in seconds; `waited` are shares of its time without a core."""

    latencies: Sequence[float]
    late: Sequence[float]
    web_waited: float
    store_waited: float


@dataclass(frozen=True, kw_only=True)
class AcceptSide:
    """A server that accepts jobs into a store, and its clients."""

    server: Server
    store: Measured
    clients: LoadGenerator

    def saturate(self, seconds: float) -> Sample:
        """Ask for as much as it can take."""
        web, store = self.server.worker.cpu_seconds(), self.store.cpu_seconds()
        load = self.clients.saturate(seconds)
        count = len(load.latencies)
        return Sample(
            rate=load.rate,
            p50=percentile(load.latencies, 0.5),
            p99=percentile(load.latencies, 0.99),
            web_cpu=(self.server.worker.cpu_seconds() - web) / count,
            store_cpu=(self.store.cpu_seconds() - store) / count,
            clients_cpu=load.cpu_seconds / count,
        )

    def offer(self, rate: float, *, seconds: float) -> Offered:
        """Ask so many times a second, whether answers have come or not."""
        web, store = self.server.worker.waited_seconds(), self.store.waited_seconds()
        load = self.clients.offer(rate, seconds=seconds)
        return Offered(
            latencies=load.latencies,
            late=load.late,
            web_waited=(self.server.worker.waited_seconds() - web) / load.seconds,
            store_waited=(self.store.waited_seconds() - store) / load.seconds,
        )


@dataclass(frozen=True, kw_only=True)
class Sides:
    """All of them; `alone` are those on the store that keeps nothing."""

    longhaul: AcceptSide
    floor: AcceptSide
    longhaul_alone: AcceptSide
    floor_alone: AcceptSide
    watchers_key: str


@contextmanager
def all_sides(stack: LocalStack, *, connections: int, streams: int) -> Iterator[Sides]:
    """Run the four servers, each with clients of its own."""
    keys = {user: secrets.token_hex(16) for user in (CALLER, WATCHER)}
    with ExitStack() as running:
        stub, port = running.enter_context(_stub_store(stack))
        stand_in = Measured.running("deploy.local.ministack", among=descendants(stack.pid))
        elsewhere = {_STORE_VARIABLE: f"http://{HOST}:{port}"}

        def side(server: Server, store: Measured) -> AcceptSide:
            body = json.dumps({"prompt": PROMPT}).encode()
            request = post("/v1/jobs", body, port=server.port, token=keys[CALLER])
            clients = LoadGenerator(server.port, request, connections=connections)
            return AcceptSide(server=server, store=store, clients=running.enter_context(clients))

        def longhaul(store: Mapping[str, str] | None = None) -> Server:
            held = connections + streams
            return running.enter_context(
                longhaul_web(stack, keys=keys, connections=held, store=store)
            )

        def floor(store: Mapping[str, str] | None = None) -> Server:
            return running.enter_context(_floor(stack, store or {}))

        yield Sides(
            longhaul=side(longhaul(), stand_in),
            floor=side(floor(), stand_in),
            longhaul_alone=side(longhaul(elsewhere), stub),
            floor_alone=side(floor(elsewhere), stub),
            watchers_key=keys[WATCHER],
        )


@contextmanager
def _floor(stack: LocalStack, store: Mapping[str, str]) -> Iterator[Server]:
    command = (
        *("--worker-class", "gevent", "--worker-connections", "1000"),
        *("--keep-alive", str(_KEPT_SECONDS), "--no-control-socket"),
        "bench.peers.bare_accept:app",
    )
    environ = {"BENCH_TABLE": _TABLE, **store}
    with gunicorn(command, stack=stack, environ=environ, name="floor", path="/") as server:
        yield server


@contextmanager
def _stub_store(stack: LocalStack) -> Iterator[tuple[Measured, int]]:
    port = free_base(1)
    program = Program(
        (sys.executable, "-m", "bench.peers.stub_store", str(port)),
        environ=clean_environ(),
        log=stack.folder / "stub_store.log",
    )
    try:
        program.wait_for(lambda: _is_open(port), "the store that keeps nothing is there")
        yield Measured(pid=program.pid), port
    finally:
        program.kill()


def _is_open(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
