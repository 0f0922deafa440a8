"""Start: what every process of the engine room does first."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from adapters.logs import configure_logs, get_log
from adapters.metrics import Metrics, open_metrics
from adapters.settings import Settings, read_settings
from adapters.traces import open_tracer
from adapters.wiring import check_resources
from jobs.errors import LonghaulError, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.tracing import Tracer


def start_or_exit(
    role: str, *, check: Callable[[Settings], None] = check_resources
) -> tuple[Settings, Metrics]:
    """Read the settings, check the resources and serve metrics.

    What an operator mistyped ends the process. A part that cannot be reached now is no mistake:
    the process starts and waits for it.
    """
    try:
        settings = read_settings(os.environ)
        metrics = open_metrics(settings, role)
        configure_logs(settings, measure=metrics.measure)
        metrics.serve()
        check(settings)
    except Misconfigured as error:
        sys.stderr.write(f"{role}: {error}\n")
        sys.exit(2)
    except LonghaulError as error:
        get_log().warning("started_without", role=role, reason=str(error))
    return settings, metrics


def refuse_arguments(module: str) -> None:
    """End with the usage where the command line has more than the process's name."""
    argparse.ArgumentParser(
        prog=f"python -m {module}",
        description="The environment says all that it needs: docs/operations.md.",
        allow_abbrev=False,
    ).parse_args()


def open_tracer_or_exit(settings: Settings, role: str) -> Tracer:
    """Make the process's tracer; what its exporter does not take ends the process."""
    try:
        return open_tracer(settings, role)
    except Misconfigured as error:
        sys.stderr.write(f"{role}: {error}\n")
        sys.exit(2)
