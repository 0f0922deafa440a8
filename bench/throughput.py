"""`python -m bench.throughput`: jobs a second through the whole path, against the same in queues.

Longhaul (web, worker, feed) and its peers run side by side on one stack, take turns at so many
jobs, and each job of each is checked: its row has its own answer, and the model was called once.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.comparison import in_turn
from bench.flags import Flags, count
from bench.movers import AT_ONCE, bare_celery, longhaul, on_arq, on_taskiq, stand_ins
from bench.output import Output, add_places, say
from bench.pattern_mover import on_step_functions
from bench.throughput_report import NAME, Measured, Plan, draw, raw_figures, section
from bench.turn import run_turn
from tests.stack import LocalStack, http

if TYPE_CHECKING:
    import argparse

    from bench.movers import Mover, Part
    from bench.turn import Turn

_NO_DELAY = {
    "LONGHAUL_BEDROCK_FIRST_TOKEN_SECONDS": "0",
    "LONGHAUL_BEDROCK_TOKENS_PER_SECOND": "1000000",
}
_ROWS_A_READ = 100  # BatchGetItem's most
_WARM_JOBS = 40


class WrongCount(Exception):
    """A job has no result, another's, or was paid for more or less than once."""


def main() -> int:
    """Measure, print, and write the document, the picture and the raw figures."""
    parser = _parser()
    arguments = parser.parse_args()
    plan = Plan(jobs=arguments.jobs, rounds=arguments.rounds, window=AT_ONCE)
    output = Output.of(arguments)
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        turns = measure(plan, Path(folder))
    draw(output.pictures / f"{NAME}.svg", turns)
    output.write(NAME, text=section(plan, turns), figures=raw_figures(plan, turns))
    return 0


def measure(plan: Plan, folder: Path) -> dict[str, list[Measured]]:
    """Run all sides on one stack, warm them, and take turns; give each side's turns."""
    with ExitStack() as stack:
        local = stack.enter_context(LocalStack(folder, named=_NO_DELAY))
        bench = _Bench(stack=local, stand_ins=stand_ins())
        movers = []
        for opening in (longhaul, bare_celery, on_arq, on_taskiq, on_step_functions):
            movers.append(stack.enter_context(opening(local)))
            bench.take_turn(movers[-1], jobs=min(_WARM_JOBS, plan.jobs), window=plan.window)
        say(f"all are warm; {plan.rounds} rounds of {plan.jobs} jobs a side")
        turns = {
            mover.name: partial(bench.take_turn, mover, jobs=plan.jobs, window=plan.window)
            for mover in movers
        }
        return in_turn(plan.rounds, turns)


@dataclass(kw_only=True)
class _Bench:
    """What all turns stand on; `asked` counts the questions so far: no two are the same."""

    stack: LocalStack
    stand_ins: tuple[Part, ...]
    asked: int = 0

    def take_turn(self, mover: Mover, *, jobs: int, window: int) -> Measured:
        """Run jobs through one side, and count them. Raises WrongCount."""
        numbers = range(self.asked, self.asked + jobs)
        self.asked += jobs
        self.stack.clear_ledger()
        parts = (*mover.parts, *self.stand_ins)
        before, own_before = [part.cpu_seconds() for part in parts], time.process_time()
        turn = run_turn(mover.address, mover.ends, numbers=numbers, window=window)
        used = {
            part.name: part.cpu_seconds() - at_first
            for part, at_first in zip(parts, before, strict=True)
        }
        measured = Measured(
            jobs=jobs,
            seconds=turn.seconds,
            own={part.name: used[part.name] for part in mover.parts},
            stand_ins={part.name: used[part.name] for part in self.stand_ins},
            clients=time.process_time() - own_before,
        )
        self._check_rows(mover, turn)
        self._check_calls(mover, turn)
        say(f"{mover.name}: {measured.rate:.0f} jobs a second")
        return measured

    def _check_rows(self, mover: Mover, turn: Turn) -> None:
        ids = list(turn.answers)
        for first in range(0, len(ids), _ROWS_A_READ):
            keys = [{"JobId": {"S": job_id}} for job_id in ids[first : first + _ROWS_A_READ]]
            read = mover.dynamodb.batch_get_item(
                RequestItems={mover.table: {"Keys": keys, "ConsistentRead": True}}
            )
            rows = {row["JobId"]["S"]: row for row in read["Responses"][mover.table]}
            for key in keys:
                job_id = key["JobId"]["S"]
                row = rows[job_id]
                said = (row["JobStatus"].get("S"), row.get("ResultData", {}).get("S"))
                if said != ("COMPLETED", turn.answers[job_id]):
                    raise WrongCount(f"{mover.name}: {job_id} is {said}")

    def _check_calls(self, mover: Mover, turn: Turn) -> None:
        answer = http.get(f"{self.stack.bedrock_url}/_stand-in/calls").raise_for_status()
        calls = [(call["job"], call["outcome"]) for call in answer.json()["calls"]]
        if sorted(calls) != sorted((job_id, "completed") for job_id in turn.answers):
            raise WrongCount(f"{mover.name}: {len(calls)} calls for {len(turn.answers)} jobs")


def _parser() -> argparse.ArgumentParser:
    parser = Flags("bench.throughput", __doc__)
    parser.add_argument("--jobs", type=count, default=150, help="a turn of each side")
    parser.add_argument("--rounds", type=count, default=5, help="in each, every side has a turn")
    add_places(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
