"""The servers under measurement: Longhaul's web process and its peer, by their own commands."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.crowd import HOST
from bench.process import Measured
from tests.free_ports import free_base
from tests.stack import BIN, Program, answers, clean_environ

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.stack import LocalStack

_ROOM = 100  # connections beside those that are counted
# The stand-ins' own choices are a laptop's: lines for people, and pages of any port.
_AS_IN_PRODUCTION = {"LONGHAUL_LOG_FORMAT": "json", "LONGHAUL_ALLOWED_ORIGINS": ""}


@dataclass(frozen=True, kw_only=True)
class Server:
    """One gunicorn with one gevent worker; `worker` is the process that holds the sockets."""

    port: int
    worker: Measured

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"


@contextmanager
def longhaul_web(
    stack: LocalStack,
    *,
    keys: Mapping[str, str],
    connections: int,
    store: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run the web process as the Procfile does; `keys` are its callers' keys by user.

    `store` are variables that lead it to another store than the stack's.
    """
    environ = {
        **(store or {}),
        "LONGHAUL_API_KEYS": ",".join(f"{user}:{key}" for user, key in keys.items()),
        "LONGHAUL_WEB_CONNECTIONS": str(connections + _ROOM),
        **_AS_IN_PRODUCTION,
    }
    command = ("--config", "web/gunicorn.py", "web.entry:app")
    path = "/healthz" if store else "/readyz"  # another store may have no tables to show
    with gunicorn(command, stack=stack, environ=environ, name="web", path=path) as server:
        yield server


@contextmanager
def plain_peer(stack: LocalStack, *, connections: int) -> Iterator[Server]:
    """Run bench/plain.py under the same gunicorn and gevent."""
    command = (
        *("--worker-class", "gevent", "--worker-connections", str(connections + _ROOM)),
        "--no-control-socket",
        "bench.plain:app",
    )
    with gunicorn(command, stack=stack, environ={}, name="plain", path="/") as server:
        yield server


@contextmanager
def gunicorn(
    command: tuple[str, ...],
    *,
    stack: LocalStack,
    environ: Mapping[str, str],
    name: str,
    path: str,
) -> Iterator[Server]:
    """Run a gunicorn of one worker on a port of its own, until it answers at `path`."""
    port = free_base(1)
    program = Program(
        (f"{BIN}/gunicorn", "--bind", f"{HOST}:{port}", *command),
        environ={**clean_environ(), **stack.environ, "PORT": str(port), **environ},
        log=stack.folder / f"{name}.log",
    )
    try:
        program.wait_for(lambda: answers(f"http://{HOST}:{port}{path}"), f"{name} answers")
        [worker] = program.children()
        yield Server(port=port, worker=Measured(pid=worker))
    finally:
        program.kill()
