"""One server as a child process: started, read, stopped. Linux only (PR_SET_PDEATHSIG)."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, Final

PR_SET_PDEATHSIG: Final = 1
# Looked up before any fork: the child may only call it.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    output: IO[bytes] | None,
    lock: int,
) -> subprocess.Popen[bytes]:
    """Start a child that ends with this process; `output` None means this process's own.

    It gets a session of its own, so that Ctrl-C and honcho's signals to the group reach only the
    supervisor, which stops servers in order. It keeps `lock` open: the folder stays held until
    the last server that writes to it is gone.
    """
    return subprocess.Popen(  # noqa: S603 - the command is ours, no shell reads it
        command,
        env=dict(environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
        pass_fds=(lock,),
        # Safe because this process has one thread, so no lock can be held across the fork.
        preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 - see the line above
    )


def _end_with(parent: int) -> Callable[[], None]:
    """Have the kernel stop the child when its parent dies, even by SIGKILL.

    SIGTERM, not SIGKILL: ministack saves its tables on SIGTERM only, and honcho kills a
    supervisor that takes longer than five seconds.
    """

    def in_the_child() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if _prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(1)  # the parent died before the kernel was told

    return in_the_child


def stop(child: subprocess.Popen[bytes], *, within: timedelta) -> bool:
    """End a child; return False if it had to be killed because it took too long."""
    if child.poll() is not None:
        return True
    child.terminate()
    try:
        child.wait(within.total_seconds())
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return False
    return True


def last_lines(log: Path, *, count: int = 8) -> list[str]:
    """Return the end of a log, for the person who must find out why a server died."""
    tail = 8192
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - tail))
        return stream.read().decode(errors="replace").splitlines()[-count:]


def how_it_ended(returncode: int) -> str:
    """Say an exit code so that a person understands it."""
    if returncode >= 0:
        return f"exit code {returncode}"
    try:
        return f"signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"signal {-returncode}"


class StopSignals:
    """SIGTERM, SIGINT and SIGHUP as a question instead of an interruption.

    Blocked and asked for, they can only be noticed where nothing is half done.
    """

    ALL: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})

    def __init__(self) -> None:
        self._came = False

    def block(self) -> None:
        """From here on the signals only answer `came`."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self.ALL)

    def came(self, *, within: timedelta) -> bool:
        """Wait up to `within` for a signal; True from the first one on."""
        if not self._came:
            self._came = signal.sigtimedwait(self.ALL, within.total_seconds()) is not None
        return self._came


def wait_until(condition: Callable[[], bool], *, within: timedelta, every: timedelta) -> bool:
    """Poll a condition; return whether it came true in time."""
    deadline = time.monotonic() + within.total_seconds()
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(every.total_seconds())
    return True
