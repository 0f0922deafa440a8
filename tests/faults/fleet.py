"""The fleet: two of each of the Procfile's processes, brought back whenever they die."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

import httpx

from deploy.local.environment import REPO_ROOT
from tests.faults.clocks import ProcessClock
from tests.stack import Program, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

LOOK_SECONDS = 0.05
BACK_AFTER = 0.3  # as a supervisor pauses before it starts a process again
UP_WITHIN = 60.0
GONE_WITHIN = 15.0
_probe = httpx.Client(timeout=0.5, trust_env=False)


class Role(StrEnum):
    """The Procfile's names."""

    WEB = "web"
    WORKER = "worker"
    FEED = "feed"


STARTED_EVENT = {Role.WORKER: '"worker_started"', Role.FEED: '"feed_started"'}


@dataclass(frozen=True, kw_only=True)
class Life:
    """One process from start to end, in seconds since the epoch; None while that has not come."""

    name: str
    pid: int
    started_at: float
    ready_at: float | None
    ended_at: float | None
    was_ended_by_us: bool


class Member:
    """One place in the fleet; the process in it changes. Its clock is in `clocks`, if given."""

    def __init__(
        self,
        role: Role,
        number: int,
        *,
        environ: Mapping[str, str],
        logs: Path,
        clocks: Path | None,
    ) -> None:
        self.role = role
        self.name = f"{role}-{number + 1}"
        self.clock = ProcessClock(path=clocks / self.name) if clocks else None
        self.lives: list[Life] = []
        self.url = f"http://127.0.0.1:{environ['PORT']}" if role is Role.WEB else ""
        self._environ = {**environ, **(self.clock.environ if self.clock else {})}
        self._log = logs / f"{self.name}.log"
        self._command = ("/bin/sh", "-c", procfile_line(role))
        self._program: Program | None = None
        self._log_from = 0
        self._began = 0.0
        self._ready_at: float | None = None
        self._struck = False
        self.again_at: float | None = None

    @property
    def pid(self) -> int:
        """The process that is in this place now, or was last."""
        assert self._program is not None, f"{self.name} was not started"
        return self._program.pid

    @property
    def is_running(self) -> bool:
        return self._program is not None and self._program.is_running

    def start(self) -> None:
        self._log_from = self._log.stat().st_size if self._log.exists() else 0
        self._program = Program(self._command, environ=self._environ, log=self._log)
        self._began, self._ready_at, self._struck = time.time(), None, False
        self.again_at = None

    def look(self) -> bool:
        """Note the time at which the process is ready; say whether it is."""
        if self._ready_at is None and self._is_ready():
            self._ready_at = time.time()
        return self._ready_at is not None

    def send(self, number: signal.Signals) -> None:
        """Signal the process and all that it started."""
        self._struck = self._struck or number is signal.SIGKILL
        os.killpg(self.pid, number)

    def ask_to_end(self) -> None:
        """SIGTERM to the process alone, as a supervisor does."""
        self._struck = True
        os.kill(self.pid, signal.SIGTERM)

    def bury(self) -> None:
        """Note that the process has ended."""
        assert self._program is not None, f"{self.name} was not started"
        self._program.kill()
        self.lives.append(self.life(ended_at=time.time()))

    def life(self, *, ended_at: float | None = None) -> Life:
        """Tell of the process that is in this place now."""
        return Life(
            name=self.name,
            pid=self.pid,
            started_at=self._began,
            ready_at=self._ready_at,
            ended_at=ended_at,
            was_ended_by_us=self._struck,
        )

    def end(self) -> None:
        """End it for good."""
        if not self.is_running:
            return
        self._struck = True
        for number in (signal.SIGCONT, signal.SIGKILL):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                break
        self.bury()

    def _is_ready(self) -> bool:
        if self.role is Role.WEB:
            try:
                return _probe.get(f"{self.url}/healthz").status_code == httpx.codes.OK
            except httpx.HTTPError:
                return False
        with self._log.open(errors="replace") as log:
            log.seek(self._log_from)
            return STARTED_EVENT[self.role] in log.read()


class Fleet:
    """All members, and the thread that brings them back."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        ports: tuple[int, ...],
        logs: Path,
        each: int,
        clocks: Path | None = None,
    ) -> None:
        self.members = {
            role: [
                Member(
                    role,
                    number,
                    environ={**environ, "PORT": str(ports[number])},
                    logs=logs,
                    clocks=clocks,
                )
                for number in range(each)
            ]
            for role in Role
        }
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fleet", daemon=True)

    def __enter__(self) -> Self:
        try:
            for member in self.all():
                if member.clock is not None:
                    member.clock.step_to(0)
                member.start()
            for member in self.all():
                wait_until(_ready(member), f"{member.name} to be ready", within=UP_WITHIN)
        except BaseException:
            self._end_all()
            raise
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(GONE_WITHIN)
        self._end_all()

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the web processes are."""
        return tuple(member.url for member in self.members[Role.WEB])

    def all(self) -> list[Member]:
        return [member for role in Role for member in self.members[role]]

    def lives(self) -> list[Life]:
        """All processes that there were, and those that there are."""
        ended = [life for member in self.all() for life in member.lives]
        return ended + [member.life() for member in self.all() if member.is_running]

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for member in self.all():
                if member.again_at is not None:
                    if time.time() >= member.again_at:
                        member.start()
                elif not member.is_running:
                    member.bury()
                    member.again_at = time.time() + BACK_AFTER
                else:
                    member.look()

    def _end_all(self) -> None:
        for member in self.all():
            member.end()


def _ready(member: Member) -> Callable[[], bool]:
    return lambda: member.is_running and member.look()


def procfile_line(role: Role) -> str:
    """Give the command that the Procfile has for a process."""
    for line in (REPO_ROOT / "Procfile").read_text().splitlines():
        name, _, command = line.partition(":")
        if name == role:
            return command.strip()
    raise AssertionError(f"the Procfile has no {role}")
