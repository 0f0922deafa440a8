"""Sharing metrics: gunicorn's workers count in files of one folder, so that any can tell of all.

In a folder that gunicorn's master names (`begin_sharing`) each worker keeps its numbers in files
of its own, and whichever is asked adds them all up. What a worker that is gone has counted stays;
what it held, such as sockets, goes (`forget_process`). Without a folder there is one process.

A master that is killed leaves its folder, and the next one removes it. Whether anyone counts there
is told by a lock that the kernel drops with its last holder: process ids come again, and mean
nothing to another container that has the same temporary directory.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported
_NAME = re.compile(r"longhaul-metrics-([0-9]+)-[a-z0-9_]+")
_LOCK = "in-use"
_MAKING_SECONDS = 60.0  # far more than passes between a folder and its lock

_held: list[int] = []  # the lock's descriptor, which gunicorn's workers inherit


def begin_sharing() -> bool:
    """Make the folder, before any metric is; say no where this process has made it before."""
    prefix = f"longhaul-metrics-{os.getpid()}-"
    if Path(os.environ.get(FOLDER, "")).name.startswith(prefix):
        return False  # gunicorn reads its configuration once more at SIGHUP
    _remove_what_was_left()
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    with suppress(OSError):  # a file system without locks: then the process id has to do
        _held.append(_lock_in(folder))
    os.environ[FOLDER] = str(folder)
    return True


def end_sharing() -> None:
    """Remove the folder."""
    shutil.rmtree(os.environ.pop(FOLDER, ""), ignore_errors=True)
    while _held:
        os.close(_held.pop())


def forget_process(pid: int) -> None:
    """Forget what a worker that is gone held."""
    from prometheus_client import multiprocess  # noqa: PLC0415 - the folder has a name by now

    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call] # it has no types


def _lock_in(folder: Path) -> int:
    """Make the lock, which has its name once it is held."""
    made = folder / f"{_LOCK}-soon"
    lock = os.open(made, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(folder / _LOCK)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_what_was_left() -> None:
    """Remove the folders of masters that were killed; those of this user alone."""
    for folder in Path(tempfile.gettempdir()).glob("longhaul-metrics-*"):
        with suppress(OSError):  # somebody else removes it, or it is not ours to remove
            if _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    named, found = _NAME.fullmatch(folder.name), folder.lstat()
    if named is None or not S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return False
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:  # a version that knew no lock, or one that is about to make it
        return time.time() - found.st_mtime > _MAKING_SECONDS and not _lives(int(named[1]))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's; no pid of this machine
        return True
    return True
