"""`python -m bench.processes`: what web, worker and feed hold and use, idle and while jobs stream.

One of each runs by its manifest, on stand-ins. Memory is the proportional set size of a process
and its children; the processor is counted in time used, and not in shares of a busy machine.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.settings import Settings
from bench.flags import Flags, amount, count
from bench.output import Output, add_places, say
from bench.process import Measured
from bench.processes_report import (
    DOCUMENT,
    NAME,
    Figures,
    Plan,
    Reading,
    Results,
    raw_figures,
    section,
)
from deploy.start import PROCESSES
from tests.rehearsal.load import stream_jobs
from tests.rehearsal.replica import Replica, Terms
from tests.stack import LocalStack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_LOOK_SECONDS = 1.0
_WITHIN = 570.0
_QUICK = 0.01  # of the manifests' times: nothing is replaced here
# The overlay with the stand-ins reads its stream more often than a real one is.
_AS_IN_PRODUCTION = {
    "LONGHAUL_FEED_READS_PER_SECOND": str(Settings.model_fields["feed_reads_per_second"].default)
}


def main() -> int:
    """Measure, print, and write the document's section and the raw figures."""
    arguments = _parse()
    plan = Plan(
        jobs=arguments.jobs,
        seconds=arguments.seconds,
        tokens=arguments.tokens,
        idle=arguments.idle,
        rounds=arguments.rounds,
    )
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        results = asyncio.run(measure(plan, Path(folder)))
    Output.of(arguments).write(NAME, text=section(results), figures=raw_figures(results))
    return 0


async def measure(plan: Plan, folder: Path) -> Results:
    """Run one of each process, leave them alone for a while, and then let jobs stream."""
    loaded: list[dict[str, Reading]] = []
    took: list[float] = []
    with LocalStack(folder) as stand_ins:
        async with AsyncExitStack() as exits:
            environ = {**stand_ins.environ, **_AS_IN_PRODUCTION}
            watched = {name: Watched(_begin(name, environ, folder)) for name in PROCESSES}
            for one in watched.values():
                exits.callback(one.replica.kill)
            for one in watched.values():
                await one.replica.become_ready()
            url = f"http://127.0.0.1:{watched['web'].replica.port}"
            async with asyncio.timeout(_WITHIN):
                await _stream(url, Plan(jobs=1, seconds=1, tokens=10))  # what loads late
                say(f"idle for {plan.idle:g} s")
                idle = await _readings(watched, asyncio.sleep(plan.idle))
                for _ in range(plan.rounds):
                    say(f"{plan.jobs} jobs stream for {plan.seconds:g} s")
                    began = time.monotonic()
                    loaded.append(await _readings(watched, _stream(url, plan)))
                    took.append(time.monotonic() - began)
    figures = {
        name: Figures(idle=idle[name], loaded=[one[name] for one in loaded]) for name in PROCESSES
    }
    return Results(plan=plan, figures=figures, took_seconds=took)


@dataclass
class Watched:
    """One process with its children."""

    replica: Replica
    most_bytes: int = 0
    _cpu: dict[int, float] = field(default_factory=dict)  # of children that have ended, too

    def look(self) -> None:
        """Take both figures as they are now."""
        held = 0
        for pid in self.replica.pids():
            one = Measured(pid=pid)
            try:
                held += one.memory_bytes()
                self._cpu[pid] = one.cpu_seconds()
            except (FileNotFoundError, ProcessLookupError):
                continue
        self.most_bytes = max(self.most_bytes, held)

    @property
    def cpu_seconds(self) -> float:
        """The time that it has used so far."""
        return sum(self._cpu.values())


async def _readings(watched: Mapping[str, Watched], work: object) -> dict[str, Reading]:
    """Look at all of them, once a second, until the work is done."""
    for one in watched.values():
        one.most_bytes = 0
        one.look()
    before = {name: one.cpu_seconds for name, one in watched.items()}
    task = asyncio.ensure_future(work)  # type: ignore[call-overload] # a coroutine
    while not task.done():
        await asyncio.wait([task], timeout=_LOOK_SECONDS)
        for one in watched.values():
            one.look()
    await task
    return {
        name: Reading(mib=one.most_bytes / 2**20, cpu_seconds=one.cpu_seconds - before[name])
        for name, one in watched.items()
    }


def _begin(process: str, environ: Mapping[str, str], logs: Path) -> Replica:
    terms = Terms.of(process, scale=_QUICK)
    return Replica(process, 0, terms=terms, stack=environ, logs=logs)


async def _stream(url: str, plan: Plan) -> None:
    await stream_jobs(url, jobs=plan.jobs, prompt=plan.prompt)


def _parse() -> argparse.Namespace:
    parser = Flags("bench.processes", __doc__)
    parser.add_argument("--jobs", type=count, default=Plan.jobs)
    parser.add_argument(
        "--seconds", type=amount, default=Plan.seconds, help="that each streams for"
    )
    parser.add_argument("--tokens", type=count, default=Plan.tokens, help="of each job's answer")
    parser.add_argument("--idle", type=amount, default=Plan.idle, help="seconds without any work")
    parser.add_argument("--rounds", type=count, default=Plan.rounds, help="of the streams")
    add_places(parser, document=DOCUMENT)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
