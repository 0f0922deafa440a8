"""The two locks in the data folder: who runs the stand-ins, and who is attached to them.

Both are flocks, so the kernel gives them back however a process ends. `lock` is held by
`python -m deploy.local` and inherited by its servers: it is free only when nobody writes to the
folder any more. `attached` is shared by every process that `deploy.local.attach` started.
"""

import fcntl
import os
from pathlib import Path

LOCK = "lock"
ATTACHED = "attached"


def take_lock(data_dir: Path) -> int | None:
    """Hold the folder for this process: an open file descriptor, or None if another holds it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _try_lock(lock, fcntl.LOCK_EX):
        os.close(lock)
        return None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def holder(data_dir: Path) -> int | None:
    """Return the pid of the supervisor that last took the lock, or None if none ever did."""
    try:
        return int((data_dir / LOCK).read_text())
    except (OSError, ValueError):
        return None


def is_held(data_dir: Path) -> bool:
    """Tell whether a supervisor, or a server it left behind, holds the folder."""
    return _is_locked(data_dir / LOCK, fcntl.LOCK_SH)


def is_attached(data_dir: Path) -> bool:
    """Tell whether any process that uses the stand-ins is alive."""
    return _is_locked(data_dir / ATTACHED, fcntl.LOCK_EX)


def attach(data_dir: Path) -> None:
    """Mark this process, and what it becomes by exec, as a user of the stand-ins."""
    mark = os.open(data_dir / ATTACHED, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(mark, fcntl.LOCK_SH)
    os.set_inheritable(mark, True)


def is_alive(pid: int) -> bool:
    """Tell whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_locked(path: Path, kind: int) -> bool:
    try:
        probe = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(probe, kind)
    finally:
        os.close(probe)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
