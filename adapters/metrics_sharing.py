"""Sharing metrics: gunicorn's workers count in files of one folder, so that any can tell of all.

In a folder that gunicorn's master names (`begin_sharing`) each worker keeps its numbers in files
of its own, and whichever is asked adds them all up. What a worker that is gone has counted stays;
what it held, such as sockets, goes (`forget_process`). Without a folder there is one process.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported


def begin_sharing() -> bool:
    """Make the folder, before any metric is; say no where this process has made it before."""
    prefix = f"longhaul-metrics-{os.getpid()}-"
    if Path(os.environ.get(FOLDER, "")).name.startswith(prefix):
        return False  # gunicorn reads its configuration once more at SIGHUP
    os.environ[FOLDER] = tempfile.mkdtemp(prefix=prefix)
    return True


def end_sharing() -> None:
    """Remove the folder."""
    shutil.rmtree(os.environ.pop(FOLDER, ""), ignore_errors=True)


def forget_process(pid: int) -> None:
    """Forget what a worker that is gone held."""
    from prometheus_client import multiprocess  # noqa: PLC0415 - the folder has a name by now

    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call] # it has no types
