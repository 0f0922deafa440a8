"""A command that leaves nothing behind: all it starts ends with it, and it with us. Linux only."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from deploy.local.child import wait_until

PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KILLED_GO_WITHIN: Final = timedelta(seconds=5)
POLL: Final = timedelta(milliseconds=50)
# Looked up before any fork: the child may only call it.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Interrupted(Exception):
    """A stop signal came."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextlib.contextmanager
def stop_signals_raise() -> Iterator[None]:
    """Have Ctrl-C, SIGTERM and SIGHUP raise Interrupted, so that every `finally` runs."""

    def interrupt(number: int, _frame: object) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stop_signals_wait() -> Iterator[None]:
    """Keep stop signals waiting, where nothing may be left half done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class ProcessTree:
    """One command and every process under it, in whatever session or group they are."""

    def __init__(
        self, command: Sequence[str], *, environ: Mapping[str, str], cwd: Path, log: Path
    ) -> None:
        self._command = command
        self._environ = environ
        self._cwd = cwd
        self.log = log
        self._root: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command in a session of its own, its output in the log, which starts anew."""
        # Orphans become our children instead of init's, so that `stop` finds them.
        _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            self._root = subprocess.Popen(  # noqa: S603 - the command is ours, no shell reads it
                self._command,
                env=dict(self._environ),
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Safe because no other thread runs yet, so no lock can be held across the fork.
                preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 - see the line above
            )

    @property
    def exit_code(self) -> int | None:
        """The command's exit code, None while it runs or has not been started."""
        return None if self._root is None else self._root.poll()

    def log_lines(self) -> list[str]:
        """Return what the command has written so far."""
        try:
            return self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def stop(self, *, within: timedelta) -> bool:
        """End the command and all under it; return False if anything had to be killed."""
        if self._root is None:
            return True
        deadline = time.monotonic() + within.total_seconds()
        if self._root.poll() is None:
            self._root.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._root.wait(within.total_seconds())
        if self._all_gone():
            return True
        _send_all(signal.SIGTERM)  # the command was killed before it could stop what it started
        left = timedelta(seconds=max(1.0, deadline - time.monotonic()))
        if wait_until(self._all_gone, within=left, every=POLL):
            return True
        _send_all(signal.SIGKILL)
        wait_until(self._all_gone, within=KILLED_GO_WITHIN, every=POLL)
        return False

    def _all_gone(self) -> bool:
        if self._root is not None and self._root.poll() is None:
            return False
        alive = descendants(os.getpid())
        for pid in alive:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return not alive


def descendants(pid: int) -> list[int]:
    """Return every process under one, itself not among them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent_of(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, unvisited = list[int](), [pid]
    while unvisited:
        below = children.get(unvisited.pop(), [])
        found += below
        unvisited += below
    return found


def _send_all(number: signal.Signals) -> None:
    for pid in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _parent_of(entry: Path) -> int | None:
    try:
        # The name in parentheses may hold anything; after it come the state and the parent.
        return int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None  # it has just ended


def _end_with(parent: int) -> Callable[[], None]:
    """Have the kernel stop the child when its parent dies, even by SIGKILL."""

    def in_the_child() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if _prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(1)  # the parent died before the kernel was told

    return in_the_child
