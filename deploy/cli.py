"""The operator's command: `longhaul bootstrap`, `check`, `doctor`, `jobs`, `redrive`, ..."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from deploy.arguments import (
    add_bulk_redrive,
    add_doctor,
    add_drain,
    add_feed_commands,
    add_jobs,
    add_key_commands,
)
from deploy.beside_local import BESIDE_LOCAL, advice_beside_local
from jobs.errors import LonghaulError, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its only name

_WHERE = "Where everything is, the environment says"
_WRONG = 2  # exit status: the arguments, the environment or the resources need an operator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 1 says that not all could be done, 2 that nothing fits.

    Where longhaul-client is installed, too, its commands are here beside the operator's, with more
    exit statuses: the same `longhaul` as the client's own.
    """
    if find_spec("longhaul_client") is not None:
        from longhaul_client.cli import main as run_any  # noqa: PLC0415 - it may not be there

        return run_any(arguments, others=[add_commands])
    parser = argparse.ArgumentParser(
        prog="longhaul",
        description=f"Operate Longhaul. {_WHERE}.",
    )
    add_commands(parser.add_subparsers(metavar="COMMAND", required=True))
    options = parser.parse_args(arguments)
    return _run(options)


def add_commands(commands: Commands) -> None:
    """Add the operator's commands; this distribution's entry point in `longhaul.commands`."""
    before = set(commands.choices)
    _add_each(commands)
    for name in set(commands.choices) - before:
        parser = commands.choices[name]
        parser.set_defaults(runner=_run)
        parser.epilog = f"{_WHERE} ({BESIDE_LOCAL} {parser.prog} ...)."


def _add_each(commands: Commands) -> None:
    bootstrap = commands.add_parser(
        "bootstrap", help="make the tables and the bucket, if they are not there"
    )
    bootstrap.set_defaults(name="bootstrap", run="deploy.resource_commands:make_resources")
    check = commands.add_parser("check", help="check the settings, the tables and the bucket")
    check.set_defaults(name="check", run="deploy.resource_commands:check_resources")
    add_drain(commands.add_parser("drain", help="take workers out of work, and wait for them"))
    add_jobs(commands.add_parser("jobs", help="find jobs of all users that do not end"))
    # A user's `redrive ID` may be there; the client knows this one as its plural.
    name = "redrive" if "redrive" not in commands.choices else "redrive-many"
    told = "redrive what has failed, of all users: redrive --failed-since TIME"
    add_bulk_redrive(commands.add_parser(name, prog="longhaul redrive", help=told))
    add_doctor(commands.add_parser("doctor", help="look at every part, and say what to do"))
    add_feed_commands(
        commands.add_parser("feed", help="see and replay the records that nobody could read")
    )
    add_key_commands(commands.add_parser("keys", help="make, list and revoke API keys"))


def _run(options: argparse.Namespace) -> int:
    run = resolve_name(options.run)
    try:
        status: int = run(options)
    except LonghaulError as error:
        advice = None
        if isinstance(error, Misconfigured):
            advice = advice_beside_local(options.name, os.environ)
        sys.stderr.write(
            f"longhaul {options.name}: {'; '.join(filter(None, (str(error), advice)))}\n"
        )
        return _WRONG
    return status


if __name__ == "__main__":
    sys.exit(main())
