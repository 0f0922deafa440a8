"""A leash: what the tests start ends with the process that started it, however that one ends.

Pytest that is told to stop by a signal, or is killed, runs no fixture to its end. So beside each
process that starts programs there is one of this file's, which waits for its end and then kills
whatever bears its mark. A mark is a variable of the environment, because that is inherited: by
pytest-xdist's workers, by honcho's and gunicorn's processes, and by those whose parent is gone.
Redis writes its title over its environment, so who is started directly also holds a pipe open.
The kernel's own leash (PR_SET_PDEATHSIG) would end them with the thread that started them.
"""

import functools
import os
import secrets
import select
import signal
import sys
import time
from pathlib import Path

PREFIX = "TESTS_LEASH_"
ALL_GONE_WITHIN = 20.0
LOOK_SECONDS = 0.05


def leash() -> dict[str, str]:
    """Give the variable that ties to this process whoever has it in its environment."""
    return {_tie(os.getpid())[0]: "1"}


def leash_descriptor() -> int:
    """Give the open file that ties to this process whoever is started with it."""
    return _tie(os.getpid())[1]


@functools.cache
def _tie(owner: int) -> tuple[str, int]:
    held = os.pipe()[0]
    pipe = str(Path(f"/proc/self/fd/{held}").readlink())
    mark = f"{PREFIX}{owner}_{secrets.token_hex(4)}"
    nothing = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", __file__, str(owner), mark, pipe],
        os.environ,
        file_actions=nothing,
        setsid=True,
    )
    return mark, held


def main(owner: int, mark: str, pipe: str) -> None:
    """Wait for the end of this process's parent; then end who bears the mark, and their children.

    There may be some that are only just being started: it looks until there are none.
    """
    _wait_for_end_of(owner)
    deadline = time.monotonic() + ALL_GONE_WITHIN
    while (tied := _tied(mark, pipe)) and time.monotonic() < deadline:
        for pid in tied:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(LOOK_SECONDS)


def _wait_for_end_of(owner: int) -> None:
    try:
        descriptor = os.pidfd_open(owner)
    except ProcessLookupError:
        return
    if os.getppid() == owner:  # otherwise it has ended, and the number may be another's by now
        select.select([descriptor], [], [])


def _tied(mark: str, pipe: str) -> set[int]:
    """Find who bears the mark, and the children of those; zombies bear nothing."""
    parents: dict[int, int] = {}
    tied: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                environ = (entry / "environ").read_bytes()
                files = {str(file.readlink()) for file in (entry / "fd").iterdir()}
            except OSError:
                continue  # it has ended, or is another user's
            if state not in "ZX":
                parents[int(entry.name)] = int(parent)
                if pipe in files or f"{mark}=1".encode() in environ.split(b"\0"):
                    tied.add(int(entry.name))
    front = tied
    while front:
        front = {pid for pid, parent in parents.items() if parent in front} - tied
        tied = tied | front
    return tied - {os.getpid()}


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
