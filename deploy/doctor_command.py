"""`longhaul doctor`: look at every part, and say what to do."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from adapters.checks_rights import Role
from adapters.doctor import checks_of
from adapters.settings import read_settings
from deploy.beside_local import advice_beside_local
from deploy.table import printable
from jobs.checkup import State, examine, fail, ok, worst_of
from jobs.errors import Misconfigured
from workers.sweep_lease import SWEEP

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from jobs.checkup import Finding

_STATUS = {State.OK: 0, State.WARN: 1, State.FAIL: 2}
_NAME_WIDTH = 20


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
        written = [
            {"name": one.name, "state": one.state, "told": one.told, "advice": one.advice}
            for one in found
        ]
        sys.stdout.write(json.dumps({"state": worst, "findings": written}, indent=2) + "\n")
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
    yield from examine(checks)


def _line(finding: Finding) -> str:
    told = f"{finding.state:<5} {finding.name:<{_NAME_WIDTH}} {printable(finding.told)}\n"
    return told if finding.advice is None else f"{told}{'':<26} -> {finding.advice}\n"
