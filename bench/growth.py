"""`python -m bench.growth`: what the hot path costs with a long history, against itself without.

A system stands on a table of 1,000 ended jobs, others on one of 10,000 and of 100,000. What each
use case asks of the store is counted, and how long it takes is measured in turn.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.comparison import in_turn
from bench.flags import Flags, count
from bench.growth_counts import LEAST_STORED
from bench.growth_report import NAME, Plan, Results, draw, raw_figures, section
from bench.growth_worlds import world
from bench.output import Output, add_places, say
from bench.process import allow_descriptors

if TYPE_CHECKING:
    import argparse

_FILES = 1024
_WARM_TIMES = 2


def main() -> int:
    """Measure, print, and write the document, the picture and the raw figures."""
    arguments = _parse()
    plan = Plan(
        stored=tuple(arguments.stored),
        rounds=arguments.rounds,
        jobs=arguments.jobs,
        times=arguments.times,
    )
    allow_descriptors(_FILES)
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        results = measure(plan, Path(folder))
    output = Output.of(arguments)
    draw(output.pictures / f"{NAME}.svg", results)
    output.write(NAME, text=section(results), figures=raw_figures(results))
    return 0


def measure(plan: Plan, folder: Path) -> Results:
    """Run a world a size, and measure them in turn."""
    load_before = os.getloadavg()[0]
    with ExitStack() as stack:
        worlds = {
            str(stored): stack.enter_context(world(folder / str(stored), stored=stored))
            for stored in plan.stored
        }
        for one in worlds.values():
            one.measure(jobs=_WARM_TIMES, times=_WARM_TIMES)
        say(f"all are warm; {plan.rounds} rounds of each")
        turns = {
            size: partial(one.measure, jobs=plan.jobs, times=plan.times)
            for size, one in worlds.items()
        }
        return Results(
            plan=plan,
            counts={size: one.counts for size, one in worlds.items()},
            seconds=in_turn(plan.rounds, turns),
            load_before=load_before,
        )


def _parse() -> argparse.Namespace:
    parser = Flags("bench.growth", __doc__)
    parser.add_argument(
        "--stored", type=count, nargs="+", default=[1_000, 10_000, 100_000], help="ended jobs"
    )
    parser.add_argument("--rounds", type=count, default=5, help="in each, every size has a turn")
    parser.add_argument("--jobs", type=count, default=40, help="of a turn, the whole way")
    parser.add_argument("--times", type=count, default=15, help="of all else in a turn")
    add_places(parser)
    arguments = parser.parse_args()
    stored = arguments.stored
    if stored != sorted(set(stored)) or min(stored) < LEAST_STORED:
        parser.error(f"sizes grow, from {LEAST_STORED} on")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
