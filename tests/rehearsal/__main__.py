"""`python -m tests.rehearsal [--jobs N] [--scale S] [--longest SECONDS]`: `make rehearse`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.rehearsal.rollout import Plan, rehearse
from tests.stack import LocalStack


def main() -> int:
    """Rehearse a rollout; 0 where every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.rehearsal", description=__doc__)
    parser.add_argument("--jobs", type=int, default=Plan.jobs)
    parser.add_argument("--longest", type=float, default=Plan.longest, help="seconds of a job")
    parser.add_argument("--over", type=float, default=Plan.over, help="seconds in which jobs come")
    parser.add_argument("--scale", type=float, default=Plan.scale, help="of the manifests' times")
    parser.add_argument("--overlong", type=int, default=Plan.overlong, help="jobs to hand on")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="longhaul-rehearsal-"))
    with LocalStack(folder) as stack:
        report = asyncio.run(rehearse(Plan(**vars(arguments)), stack, folder))
    sys.stdout.write(f"{report}\nlogs: {folder}\n")
    return 1 if report.findings() else 0


if __name__ == "__main__":
    sys.exit(main())
