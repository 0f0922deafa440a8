"""`python -m bench.accept`: how many jobs one web process accepts, beside the least that could.

Longhaul's web process and its floor (bench/peers/bare_accept.py) run side by side and are loaded
in turn: on the DynamoDB stand-in, on a store that keeps nothing, and while other jobs stream.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.accept_report import NAME, Plan, Results, Steady, draw, raw_figures, section
from bench.accept_sides import WATCHER, all_sides
from bench.comparison import in_turn
from bench.flags import Flags, amount, count
from bench.output import Output, add_places, say
from bench.process import allow_descriptors
from bench.streaming import streaming
from tests.stack import LocalStack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from bench.accept_sides import AcceptSide, Offered, Sample

WARM_SECONDS = 1.0
SPARE_FILES = 500  # a process needs beside its sockets


def main() -> int:
    """Measure, print, and write the document, the picture and the raw figures."""
    arguments = _parse()
    plan = Plan(
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        connections=arguments.connections,
        streams=arguments.streams,
        events=arguments.events,
    )
    allow_descriptors(plan.streams + SPARE_FILES)
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        results = measure(plan, Path(folder))
    output = Output.of(arguments)
    draw(output.pictures / f"{NAME}.svg", results)
    output.write(NAME, text=section(results), figures=raw_figures(results))
    return 0


def measure(plan: Plan, folder: Path) -> Results:
    """Run all servers, and load them in turn."""
    load_before = os.getloadavg()[0]
    with (
        LocalStack(folder) as stack,
        all_sides(stack, connections=plan.connections, streams=plan.streams) as sides,
    ):
        pair = {"longhaul": sides.longhaul, "floor": sides.floor}
        alone = {"longhaul alone": sides.longhaul_alone, "floor alone": sides.floor_alone}
        for side in (*pair.values(), *alone.values()):
            side.saturate(WARM_SECONDS)
        say(f"{plan.rounds} rounds on both stores")
        quiet = _saturate({**pair, **alone}, plan)
        say(f"{plan.rounds} rounds at half of what each has taken")
        offered = _offer({**pair, **alone}, quiet, plan)
        say(f"{plan.streams} jobs begin to stream")
        with streaming(
            sides.longhaul.server,
            stack.redis_url,
            jobs=plan.streams,
            events_per_second=plan.events,
            user=WATCHER,
            key=sides.watchers_key,
        ):
            share = _share_of_streams(sides.longhaul, plan)
            busy = _saturate(pair, plan)
            offered_busy = _offer(pair, busy, plan)
    return Results(
        plan=plan,
        quiet=quiet,
        busy=busy,
        offered=offered,
        offered_busy=offered_busy,
        share_of_streams=share,
        load_before=load_before,
    )


def _saturate(sides: Mapping[str, AcceptSide], plan: Plan) -> dict[str, list[Sample]]:
    def ask(side: AcceptSide) -> Callable[[], Sample]:
        return lambda: side.saturate(plan.seconds)

    return in_turn(plan.rounds, {name: ask(side) for name, side in sides.items()})


def _offer(
    sides: Mapping[str, AcceptSide], samples: Mapping[str, list[Sample]], plan: Plan
) -> dict[str, Steady]:
    """Offer each side half of what it could take."""
    rates = {name: median(one.rate for one in samples[name]) / 2 for name in sides}

    def ask(name: str) -> Callable[[], Offered]:
        return lambda: sides[name].offer(rates[name], seconds=plan.seconds)

    loads = in_turn(plan.rounds, {name: ask(name) for name in sides})
    return {name: Steady(rate=rates[name], rounds=loads[name]) for name in sides}


def _share_of_streams(side: AcceptSide, plan: Plan) -> float:
    """Give the share of a core that the streams take by themselves."""
    before = side.server.worker.cpu_seconds()
    time.sleep(plan.seconds)
    return (side.server.worker.cpu_seconds() - before) / plan.seconds


def _parse() -> argparse.Namespace:
    parser = Flags("bench.accept", __doc__)
    parser.add_argument("--rounds", type=count, default=5, help="of each comparison")
    parser.add_argument("--seconds", type=amount, default=2, help="of each load")
    parser.add_argument("--connections", type=count, default=16, help="clients that ask at once")
    parser.add_argument("--streams", type=count, default=500, help="jobs that stream meanwhile")
    parser.add_argument("--events", type=amount, default=1000, help="of all streams, a second")
    add_places(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
