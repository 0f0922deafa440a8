"""`python -m tests.faults --jobs N --seed S [--rounds R] [--storms K] [--only kill-worker,...]`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.load import LONGEST_JOB
from tests.faults.round import RoundPlan, run_round
from tests.faults.schedule import FaultKind, Spacing

if TYPE_CHECKING:
    from tests.faults.report import Report


def main() -> int:
    """Run rounds with one seed after another; 0 where every promise was kept in all of them."""
    arguments = _parse()
    reports: list[Report] = []
    for seed in range(arguments.seed, arguments.seed + arguments.rounds):
        folder = Path(tempfile.mkdtemp(prefix=f"longhaul-faults-{seed}-"))
        plan = RoundPlan(
            seed=seed,
            jobs=arguments.jobs,
            kinds=arguments.only,
            storms=arguments.storms,
            longest_job=arguments.longest_job,
            spacing=Spacing(least=arguments.gap[0], most=arguments.gap[1]),
        )
        report = run_round(plan, folder, _say)
        _say(str(report))
        if report.has_passed and not arguments.keep:
            shutil.rmtree(folder)
        reports.append(report)
    return 0 if all(report.has_passed for report in reports) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--rounds", type=int, default=1, help="each with the next seed")
    parser.add_argument("--storms", type=int, default=4, help="times that several faults overlap")
    parser.add_argument("--longest-job", type=float, default=LONGEST_JOB, help="seconds")
    parser.add_argument(
        "--gap",
        type=float,
        nargs=2,
        default=(Spacing.least, Spacing.most),
        metavar=("LEAST", "MOST"),
        help="seconds between two faults",
    )
    parser.add_argument("--keep", action="store_true", help="keep the logs of a round that passed")
    parser.add_argument(
        "--only",
        type=_kinds,
        default=tuple(FaultKind),
        help=f"kinds of fault, with commas between: {', '.join(FaultKind)}",
    )
    return parser.parse_args()


def _kinds(text: str) -> tuple[FaultKind, ...]:
    try:
        return tuple(FaultKind(name) for name in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
