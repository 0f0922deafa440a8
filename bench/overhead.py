"""`python -m bench.overhead`: what Longhaul adds to one call of the model, before it and after.

One job at a time through the whole system, watched on a WebSocket; beside it, in turn, the polling
client of the pattern's AWS form, and bare Celery around the same call of the same model.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.comparison import in_turn
from bench.flags import Flags, count
from bench.output import Output, add_places, say
from bench.overhead_report import NAME, Plan, Results, draw, raw_figures, section
from bench.overhead_sides import Bare, Ledger, Polling, Watching, bare_celery
from tests.stack import LocalStack, System

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from bench.overhead_sides import Overhead, Side

WARM_JOBS = 3


def main() -> int:
    """Measure, print, and write the document, the picture and the raw figures."""
    arguments = _parse()
    plan = Plan(rounds=arguments.rounds, jobs=arguments.jobs)
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        results = measure(plan, Path(folder))
    output = Output.of(arguments)
    draw(output.pictures / f"{NAME}.svg", results)
    output.write(NAME, text=section(results), figures=raw_figures(results))
    return 0


def measure(plan: Plan, folder: Path) -> Results:
    """Run the whole system and bare Celery's worker, and ask each for jobs in turn."""
    load_before = os.getloadavg()[0]
    with LocalStack(folder) as stack, System(stack), bare_celery(stack) as celery:
        ledger = Ledger(stack)
        sides: dict[str, Side] = {
            "longhaul": Watching(port=stack.base, ledger=ledger),
            "celery": Bare(celery=celery, ledger=ledger),
            "polling": Polling(port=stack.base, ledger=ledger),
        }
        for name in ("longhaul", "celery"):
            sides[name].ask(WARM_JOBS)
        say(f"{plan.rounds} rounds of {plan.jobs} jobs a side")

        def ask(side: Side) -> Callable[[], list[Overhead]]:
            return lambda: side.ask(plan.jobs)

        gave = in_turn(plan.rounds, {name: ask(side) for name, side in sides.items()})
    return Results(plan=plan, sides=gave, load_before=load_before)


def _parse() -> argparse.Namespace:
    parser = Flags("bench.overhead", __doc__)
    parser.add_argument("--rounds", type=count, default=8, help="of each side in turn")
    parser.add_argument("--jobs", type=count, default=20, help="of a side in each round")
    add_places(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
