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
    add_command,
    add_doctor,
    add_drain,
    add_feed_commands,
    add_jobs,
    add_key_commands,
)
from deploy.beside_local import advice_beside_local
from jobs.errors import LonghaulError, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.arguments import Commands

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
        description="Operate Longhaul. Where everything is, the environment says.",
    )
    add_commands(parser.add_subparsers(metavar="COMMAND", required=True))
    options = parser.parse_args(arguments)
    return _run(options)


def add_commands(commands: Commands) -> None:
    """Add the operator's commands; this distribution's entry point in `longhaul.commands`."""
    before = set(commands.choices)
    _add_each(commands)
    for name in set(commands.choices) - before:
        commands.choices[name].set_defaults(runner=_run)


def _add_each(commands: Commands) -> None:
    told = "make the tables and the bucket, if they are not there"
    bootstrap = add_command(commands, "bootstrap", told)
    bootstrap.set_defaults(name="bootstrap", run="deploy.resource_commands:make_resources")
    check = add_command(commands, "check", "check the settings, the tables and the bucket")
    check.set_defaults(name="check", run="deploy.resource_commands:check_resources")
    add_drain(add_command(commands, "drain", "take workers out of work, and wait for them"))
    add_jobs(add_command(commands, "jobs", "find jobs of all users that do not end"))
    _add_redrive(commands)
    add_doctor(add_command(commands, "doctor", "look at every part, and say what to do"))
    told = "see and replay the records that nobody could read"
    add_feed_commands(add_command(commands, "feed", told))
    add_key_commands(add_command(commands, "keys", "make, list and revoke API keys"))


def _add_redrive(commands: Commands) -> None:
    """Add the plural, unless a user's `redrive ID` is there, which then tells of it."""
    user_s = commands.choices.get("redrive")
    if user_s is None:
        add_bulk_redrive(
            add_command(commands, "redrive", "run what has failed, of all users, again")
        )
        return
    plural = "redrive --failed-since TIME: all that have failed, of all users"
    user_s.description = f"{user_s.description}\n\nFor operators, {plural}."
    for line in commands._get_subactions():  # noqa: SLF001 - what `longhaul --help` says
        if line.dest == "redrive":
            line.help = f"{line.help}; {plural}"


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
