"""The operator's command: `longhaul bootstrap`, `longhaul check`."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from adapters.bootstrap import ensure_resources
from adapters.settings import read_settings
from adapters.wiring import check_resources
from jobs.errors import LonghaulError

if TYPE_CHECKING:
    from collections.abc import Sequence

_WRONG = 2  # exit status: the environment or the resources need an operator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 2 says that an operator must act."""
    command = _parser().parse_args(arguments).command
    try:
        lines = _bootstrap() if command == "bootstrap" else _check()
    except LonghaulError as error:
        sys.stderr.write(f"longhaul {command}: {error}\n")
        return _WRONG
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="longhaul",
        description="Operate Longhaul; where everything is, the environment says.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("bootstrap", help="make the tables and the bucket, if they are not there")
    commands.add_parser("check", help="check the settings, the tables and the bucket")
    return parser


def _bootstrap() -> list[str]:
    return ensure_resources(os.environ)


def _check() -> list[str]:
    settings = read_settings(os.environ)
    check_resources(settings)
    return [f"table {settings.table} and bucket {settings.bucket} are there and fit"]


if __name__ == "__main__":
    sys.exit(main())
