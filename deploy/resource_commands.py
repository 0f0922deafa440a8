"""The operator's commands on tables and bucket: `longhaul bootstrap` and `longhaul check`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from adapters.bootstrap import ensure_resources
from adapters.settings import read_settings
from adapters.wiring import check_all_resources

if TYPE_CHECKING:
    import argparse


def make_resources(_: argparse.Namespace) -> int:
    """Make the tables and the bucket, if they are not there."""
    for line in ensure_resources(os.environ):
        sys.stdout.write(f"{line}\n")
    return 0


def check_resources(_: argparse.Namespace) -> int:
    """Check the settings, the tables and the bucket."""
    settings = read_settings(os.environ)
    check_all_resources(settings)
    sys.stdout.write(f"table {settings.table} and bucket {settings.bucket} are there and fit\n")
    if settings.eventbridge_bus is not None:
        sys.stdout.write(f"event bus {settings.eventbridge_bus} is there, or not ours to look at\n")
    return 0
