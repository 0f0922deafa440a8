"""`python -m bench.capacity`: what some rates need, cost and wait, into docs/capacity.md."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from bench.capacity.measured import read_costs
from bench.capacity.needs import needs_of
from bench.capacity.rehearse import rehearse, run_short
from bench.capacity.report import flow_section, sections
from bench.capacity.workload import RATES, Workload, add_flags
from bench.document import replace_section
from bench.flags import Flags, amount
from bench.output import Output, add_places, say
from deploy.local.environment import REPO_ROOT

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

DOCUMENT: Final = REPO_ROOT / "docs" / "capacity.md"
_LEAST_PART: Final = 0.02


def main() -> int:
    """Work it out, play it, and write the page's sections."""
    arguments, workload = _parse()
    costs = read_costs()
    document: Path = arguments.document
    for name, text in sections(workload, costs).items():
        replace_section(document, name, text)
        say(text)
    part = arguments.part
    played = [rehearse(rate, workload, costs, part=part) for rate in RATES]
    shorts = run_short(workload, costs, minutes=10 * part)
    figures = {
        "workload": asdict(workload),
        "costs": asdict(costs),
        "needs": [asdict(needs_of(rate, workload, costs)) for rate in RATES],
        "rehearsed": [asdict(one) for one in played],
        "shorts": [asdict(one) for one in shorts],
    }
    Output.of(arguments).write("capacity-flow", text=flow_section(played, shorts), figures=figures)
    return 0


def _parse() -> tuple[argparse.Namespace, Workload]:
    parser = Flags("bench.capacity", __doc__)
    add_flags(parser)
    parser.add_argument("--part", type=amount, default=1.0, help="of the time that is played")
    add_places(parser, document=DOCUMENT)
    arguments = parser.parse_args()
    if not _LEAST_PART <= arguments.part <= 1:
        parser.error(f"--part must be {_LEAST_PART:g} to 1")
    try:
        return arguments, Workload.from_flags(arguments)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
