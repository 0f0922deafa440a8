"""Starts the servers of a plan, watches them, brings dead ones back, and stops them in order."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from deploy.local import child
from deploy.local.environment import REPO_ROOT, LocalPlan, StandIn
from deploy.local.restart import next_start
from deploy.local.servers import Server, answers_http

UP_WITHIN: Final = timedelta(seconds=60)
BOOTSTRAP_WITHIN: Final = timedelta(seconds=60)
LOOK_EVERY: Final = timedelta(milliseconds=500)
POLL: Final = timedelta(milliseconds=50)


class LocalError(Exception):
    """The stand-ins cannot run; the message is for the person at the terminal."""


class Stopped(Exception):
    """A stop signal came."""


def say(line: str) -> None:
    """Print a line at once; whoever read them may be gone, which must not keep us from stopping."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


@dataclass
class _Child:
    """One server's process, its starts so far (monotonic seconds), and when it starts again."""

    server: Server
    log: Path
    process: subprocess.Popen[bytes]
    starts: list[float] = field(default_factory=list)
    again_at: float | None = None


class WebAwaited:
    """Says which address to open, once: when the web process that is started beside us is ready."""

    def __init__(self, plan: LocalPlan) -> None:
        self._port = plan.ports.web
        self._address = plan.web_address
        self._look_at: float | None = 0.0

    def look(self) -> None:
        """Ask it now and then, until it is there."""
        if self._look_at is None or time.monotonic() < self._look_at:
            return
        if answers_http(self._port, "/readyz"):
            say(f"ready: open {self._address}")
            self._look_at = None
        else:
            self._look_at = time.monotonic() + LOOK_EVERY.total_seconds()


class Supervisor:
    """Owns the child processes; every method ends early with Stopped when a stop signal came."""

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        plan: LocalPlan,
        environ: Mapping[str, str],
        lock: int,
        signals: child.StopSignals,
    ) -> None:
        self._servers = servers
        self._data_dir = plan.data_dir
        self._environment = {**environ, **plan.additions}
        self._lock = lock
        self._signals = signals
        self._children: list[_Child] = []

    def start_all(self) -> None:
        """Start every server and wait until each answers; raises LocalError if one does not."""
        for server in self._servers:
            for folder in (*server.folders, self._data_dir / "logs"):
                folder.mkdir(parents=True, exist_ok=True)
            log = self._data_dir / "logs" / f"{server.name}.log"
            log.write_bytes(b"")
            self._children.append(_Child(server, log, self._spawn(server, log), [time.monotonic()]))
        for one in self._children:
            if not self._comes_up(one):
                raise LocalError(f"{one.server.name} did not start: {_how_and_why(one)}")

    def make_stores(self) -> None:
        """Make table and bucket in a process of its own; raises LocalError if that fails."""
        process = child.start(
            (sys.executable, "-m", "deploy.local.bootstrap"),
            environment=self._environment,
            cwd=REPO_ROOT,
            output=None,
            lock=self._lock,
        )
        deadline = time.monotonic() + BOOTSTRAP_WITHIN.total_seconds()
        try:
            while process.poll() is None and time.monotonic() < deadline:
                self._pause()
        finally:
            child.stop(process, within=timedelta(seconds=1))
        if process.returncode != 0:
            raise LocalError(f"table and bucket: {child.how_it_ended(process.returncode)}")

    def watch(self, web: WebAwaited) -> None:
        """Bring dead servers back, for ever; raises LocalError when one dies too often."""
        while True:
            self._pause()
            web.look()
            for one in self._children:
                if one.again_at is None:
                    self._notice_death(one)
                elif time.monotonic() >= one.again_at:
                    self._restart(one)

    def stop_all(self) -> None:
        """Stop the servers, the last one started first, and wait for each."""
        for one in reversed(self._children):
            if not child.stop(one.process, within=one.server.stop_within):
                say(f"{one.server.name} did not stop in {one.server.stop_within}: killed")

    def _spawn(self, server: Server, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return child.start(
                server.command,
                environment=server.environment,
                cwd=REPO_ROOT,
                output=output,
                lock=self._lock,
            )

    def _comes_up(self, one: _Child) -> bool:
        """Wait until a server answers; False if it ended, or had to be killed, before that."""
        deadline = time.monotonic() + UP_WITHIN.total_seconds()
        while one.process.poll() is None:
            if one.server.answers(one.server.port):
                # A stranger on the port could have answered: ours must be alive after it.
                return one.process.poll() is None
            if time.monotonic() >= deadline:
                child.stop(one.process, within=timedelta(seconds=1))
            self._pause()
        return False

    def _notice_death(self, one: _Child) -> None:
        if one.process.poll() is None:
            return
        now = time.monotonic()
        one.again_at = next_start(one.starts, now=now)
        if one.again_at is None:
            raise LocalError(f"{one.server.name} died too often: {_how_and_why(one)}")
        say(f"{one.server.name} died: {_how_and_why(one)}")
        say(f"{one.server.name} starts again in {one.again_at - now:.0f} s")

    def _restart(self, one: _Child) -> None:
        one.process = self._spawn(one.server, one.log)
        one.starts.append(time.monotonic())
        one.again_at = None
        if not self._comes_up(one):
            return  # the next look at it notices the death
        say(f"{one.server.name} is up again")
        if one.server.name is StandIn.AWS:
            say("tables are as they were at the last orderly stop; streams start anew")
            self.make_stores()

    def _pause(self) -> None:
        if self._signals.came(within=POLL):
            raise Stopped


def _how_and_why(one: _Child) -> str:
    how = child.how_it_ended(one.process.returncode)
    return "\n    ".join([f"{how}; the end of {one.log}:", *child.last_lines(one.log)])
