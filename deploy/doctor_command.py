"""`longhaul doctor`: look at every part, and say what to do."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from adapters.checks_rights import Role
from adapters.doctor import WITHIN, WITHIN_WITH_CALL, checks_of
from adapters.settings import read_settings
from adapters.side_by_side import examine
from deploy.beside_local import advice_beside_local
from deploy.table import printable
from jobs.checkup import State, fail, ok, worst_of
from jobs.errors import Misconfigured
from workers.sweep_lease import SWEEP

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from jobs.checkup import Finding

_STATUS = {State.OK: 0, State.WARN: 1, State.FAIL: 2}
_NAME_WIDTH = 30


def see_doctor(options: argparse.Namespace) -> int:
    """Look at every part, and say what to do."""
    found: list[Finding] = []
    for finding in _findings(options):
        found.append(finding)
        if not options.json:
            sys.stdout.write(_line(finding))
            sys.stdout.flush()
    worst = worst_of(found)
    if options.json:
        written = {"state": worst, "findings": [asdict(one) for one in found]}
        sys.stdout.write(json.dumps(written, indent=2) + "\n")
    return _STATUS[worst]


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    try:
        settings = read_settings(os.environ)
        url = options.url or os.environ.get("LONGHAUL_URL")
        checks = checks_of(
            settings,
            roles=[Role(one) for one in dict.fromkeys(options.roles)],
            calls_model=options.call,
            url=url.rstrip("/") if url else None,
            sweep=SWEEP,
        )
    except Misconfigured as error:
        mend = "mend the environment (docs/operations.md, Settings)"
        advice = advice_beside_local("doctor", os.environ)
        yield fail("settings", str(error), mend if advice is None else f"{mend}; {advice}")
        return
    yield ok("settings", "can be read")
    yield from examine(checks, within=WITHIN_WITH_CALL if options.call else WITHIN)


def _line(finding: Finding) -> str:
    told = f"{finding.state:<5} {finding.name:<{_NAME_WIDTH}} {printable(finding.told)}\n"
    return (
        told if finding.advice is None else f"{told}{'':<{_NAME_WIDTH + 6}} -> {finding.advice}\n"
    )
