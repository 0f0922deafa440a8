"""`python -m bench.calls`: how many functions Python calls to run a job, and in which packages.

It runs jobs one after the other in this thread, under cProfile. Neighbours change no count, so two
states of the code can be compared by a handful of jobs. Log lines go to stderr, as a worker's.
"""

from __future__ import annotations

import cProfile
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.bedrock import BedrockModel
from adapters.clock import SystemClock
from adapters.logs import configure_logs, get_log
from adapters.settings import read_settings
from adapters.wiring import open_worker_parts
from bench.flags import Flags, count
from bench.output import say
from jobs.job import Job, JobId, JobStatus
from jobs.run import run_job
from tests.builders import a_job, a_task
from tests.stack import LocalStack, environ_of
from workers.leases import RenewingLeases
from workers.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from urllib3 import HTTPResponse

    from jobs.running import RunParts
    from jobs.task import Task

_AT_ONCE = {"LONGHAUL_BEDROCK_FIRST_TOKEN_SECONDS": "0"}
_WARM_JOBS = 3
_PACKAGES_SHOWN = 8


def main() -> int:
    """Count, and print."""
    parser = Flags("bench.calls", __doc__)
    parser.add_argument("--jobs", type=count, default=20)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder, _parts(folder) as parts:
        _run(parts, _add(parts, range(_WARM_JOBS)))
        tasks = _add(parts, range(_WARM_JOBS, _WARM_JOBS + jobs))
        profile, began = cProfile.Profile(), time.thread_time()
        profile.enable()
        _run(parts, tasks)
        profile.disable()
        seconds = time.thread_time() - began
    calls: Counter[str] = Counter()
    for entry in profile.getstats():
        calls[_package(entry.code)] += entry.callcount
    say(f"{calls.total() / jobs:,.0f} calls a job, {seconds / jobs * 1000:.1f} ms under cProfile")
    for package, number in calls.most_common(_PACKAGES_SHOWN):
        say(f"{number / jobs:10,.0f} {package}")
    return 0


@contextmanager
def _parts(folder: str) -> Iterator[RunParts]:
    with (
        LocalStack(Path(folder), named=_AT_ONCE) as stack,
        environ_of({**stack.environ, "LONGHAUL_LOG_FORMAT": "json"}),
    ):
        settings, clock, log = read_settings(os.environ), SystemClock(), get_log()
        configure_logs(settings)
        timers = Timers(clock=clock, log=log)
        parts, _ = open_worker_parts(
            settings,
            make_leases=lambda store: RenewingLeases(
                store=store, clock=clock, log=log, timers=timers
            ),
        )
        if not isinstance(parts.model, BedrockModel):
            raise TypeError("traces are on, and would be counted")
        yield replace(parts, model=replace(parts.model, bodies=_HereAndNow()))


class _HereAndNow:
    """BodyReader in the thread that asks, whose calls are counted."""

    def read(self, response: HTTPResponse, take: Callable[[bytes], object]) -> None:
        for piece in response.stream():
            take(piece)


def _add(parts: RunParts, numbers: range) -> list[Task]:
    tasks = []
    for number in numbers:
        now = parts.clock.now()
        job = a_job(id=JobId(f"job_{number:026d}"), created_at=now, queued_at=now)
        parts.store.add(job)
        tasks.append(a_task(job))
    return tasks


def _run(parts: RunParts, tasks: list[Task]) -> None:
    for task in tasks:
        ended = run_job(task, parts)
        if not isinstance(ended, Job) or ended.status is not JobStatus.COMPLETED:
            raise ValueError(f"{task.job_id} did not complete: {ended}")


def _package(code: object) -> str:
    """Name where a function is: a library, one of our packages, or Python itself."""
    path = Path(getattr(code, "co_filename", ""))
    parts = path.parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1]
    if {"adapters", "jobs", "workers"} & set(parts):
        return path.parent.name
    return "Python"


if __name__ == "__main__":
    sys.exit(main())
