"""`longhaul drain`: take workers out of work, and say when they have gone."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from adapters.settings import read_settings
from adapters.wiring import open_workers
from jobs.errors import InvalidRequest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from adapters.redis_drain import RedisWorkers

_STILL_THERE = 1  # exit status
_LOOK_SECONDS = 0.5
_GONE_FOR_SECONDS = 3.0  # longer than a worker takes to come back to a Redis that blinked
_MARGIN_SECONDS = 60.0


def drain_workers(options: argparse.Namespace) -> int:
    """Take workers out of work, and wait for them."""
    settings = read_settings(os.environ)
    workers = open_workers(settings)
    there = workers.rooms()
    if bool(options.workers) == options.all:
        known = ", ".join(sorted(there)) or "none"
        raise InvalidRequest(f"name the workers to drain, or say --all; there are: {known}")
    if unknown := sorted(set(options.workers) - set(there)):
        raise InvalidRequest(f"no worker {', '.join(unknown)}; see longhaul doctor")
    wanted = sorted(there if options.all else set(options.workers))
    timeout = options.timeout
    if timeout is None:
        timeout = settings.drain_seconds + _MARGIN_SECONDS
    left = _wait_for(wanted, workers, seconds=timeout, tell=_keep_silent if options.json else _tell)
    if options.json:
        gone = [worker for worker in wanted if worker not in left]
        _tell(json.dumps({"gone": gone, "still_there": left}))
    else:
        for worker in left:
            _tell(f"{worker}  still there after {timeout:g} s")
    return _STILL_THERE if left else 0


def _wait_for(
    wanted: list[str], workers: RedisWorkers, *, seconds: float, tell: Callable[[str], object]
) -> list[str]:
    """Say it again and again until nobody hears it, and give those who still do."""
    deadline = time.monotonic() + seconds
    last_heard = dict.fromkeys(wanted, time.monotonic())
    for worker in wanted:
        tell(f"{worker}  finishes what it runs, and takes nothing new")
    while last_heard and time.monotonic() < deadline:
        for worker in list(last_heard):
            if workers.tell_to_go(worker):
                last_heard[worker] = time.monotonic()
            elif time.monotonic() - last_heard[worker] > _GONE_FOR_SECONDS:
                del last_heard[worker]
                tell(f"{worker}  has gone")
        time.sleep(_LOOK_SECONDS)
    return sorted(last_heard)


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _keep_silent(_: str) -> None:
    """Leave what a person would read out of what a script reads."""
