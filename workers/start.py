"""Start: what every process of the engine room does first."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from adapters.logs import configure_logs, get_log
from adapters.settings import Settings, read_settings
from adapters.wiring import check_resources
from jobs.errors import LonghaulError, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable


def read_settings_or_exit(
    role: str, *, check: Callable[[Settings], None] = check_resources
) -> Settings:
    """Read the settings and check the resources; what an operator mistyped ends the process.

    A part that cannot be reached now is no mistake: the process starts and waits for it.
    """
    try:
        settings = read_settings(os.environ)
        configure_logs(settings)
        check(settings)
    except Misconfigured as error:
        sys.stderr.write(f"{role}: {error}\n")
        sys.exit(2)
    except LonghaulError as error:
        get_log().warning("started_without", role=role, reason=str(error))
    return settings
