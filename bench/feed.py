"""`python -m bench.feed`: change records a second from the stream to the broker, and their lag.

The feed runs by its own command on shards that are served from memory. Beside it a process reads
the same records from a server of the same kind and does nothing with them. They are measured in
turn, a backlog at a time: the machine may be busy with other things, and their ratio says more
than a rate.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.comparison import in_turn
from bench.feed_reader import OWN, PLAIN
from bench.feed_report import (
    NAME,
    Lags,
    Plan,
    Rates,
    Results,
    draw,
    raw_figures,
    section,
    shown_shards,
)
from bench.feed_stage import FEED, stage
from bench.flags import Flags, amount, count
from bench.output import Output, add_places, say
from tests.stack import Clients, LocalStack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from bench.feed_reader import Drained
    from bench.feed_stage import Stage
    from bench.process import Measured
    from bench.stream_server import Written

RECORDS_A_LIFE = 4
UNPACED = {"LONGHAUL_FEED_READS_PER_SECOND": "1000"}
PACE = 5.0  # reads of a shard a second: the setting's default


def main() -> int:
    """Measure, print, draw, and write the document and the raw figures."""
    arguments = _parse()
    plan = Plan(
        shards=tuple(arguments.shards),
        records=arguments.records,
        rounds=arguments.rounds,
        a_second=arguments.a_second,
        lag_seconds=arguments.lag_seconds,
    )
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        results = measure(plan, Path(folder))
    output = Output.of(arguments)
    draw(output.pictures / f"{NAME}.svg", results)
    output.write(NAME, text=section(results), figures=raw_figures(results))
    return 0


def measure(plan: Plan, folder: Path) -> Results:
    """Take all figures, one number of shards after the other."""
    results = Results(plan=plan, load_before=os.getloadavg()[0])
    with LocalStack(folder) as stack:
        clients = Clients.of(stack.environ)
        for shards in plan.shards:
            with stage(stack, clients, shards=shards, folder=folder) as stood:
                _measure_rates(stood, shards, results)
                _measure_lags(stood, shards, results)
        clients.close()
    return results


def _measure_rates(stage: Stage, shards: int, results: Results) -> None:
    plan = results.plan
    with stage.feed(f"unpaced-{shards}", **UNPACED) as feed:
        say(f"{shown_shards(shards)}: a backlog of new jobs")
        records = stage.life.beginnings(plan.records)
        sides = _rounds(stage, feed, records, tasks=len(records), rounds=plan.rounds)
        results.rates.append(Rates(shards=shards, of="new jobs", sides=sides))
        if shards != plan.shards[-1]:
            return
        say(f"{shown_shards(shards)}: a backlog of whole lives")
        records = stage.life.whole(plan.records // RECORDS_A_LIFE)
        tasks = len(records) // RECORDS_A_LIFE
        sides = _rounds(stage, feed, records, tasks=tasks, rounds=plan.rounds)
        results.rates.append(Rates(shards=shards, of="whole lives", sides=sides))


def _rounds(
    stage: Stage, feed: Measured, records: Sequence[Written], *, tasks: int, rounds: int
) -> dict[str, list[Drained]]:
    """Measure each side once a round, after a first round that only warms them."""
    gave = in_turn(
        rounds + 1,
        {
            FEED: partial(stage.pump, feed, records, tasks=tasks),
            PLAIN: partial(stage.drain, PLAIN, records),
            OWN: partial(stage.drain, OWN, records),
        },
    )
    return {side: drained[1:] for side, drained in gave.items()}


def _measure_lags(stage: Stage, shards: int, results: Results) -> None:
    plan = results.plan
    say(f"{shown_shards(shards)}: {plan.a_second:g} new jobs a second")
    records = stage.life.beginnings(round(plan.a_second * plan.lag_seconds))
    with stage.feed(f"paced-{shards}"):
        ours = stage.feed_lags(records, a_second=plan.a_second)
    peers = stage.reader_lags(PLAIN, records, a_second=plan.a_second, pace=PACE)
    results.lags.append(Lags(shards=shards, sides={FEED: ours, PLAIN: peers}))


def _parse() -> argparse.Namespace:
    parser = Flags("bench.feed", __doc__)
    parser.add_argument("--shards", type=count, nargs="+", default=[1, 4, 16])
    parser.add_argument("--records", type=count, default=3000, help="of a backlog")
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--a-second", type=amount, default=200, help="new jobs, for the lag")
    parser.add_argument("--lag-seconds", type=amount, default=6)
    add_places(parser)
    arguments = parser.parse_args()
    if arguments.records < RECORDS_A_LIFE:
        parser.error("at least four records")
    if arguments.a_second * arguments.lag_seconds < 1:
        parser.error("the lag wants at least one record")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
