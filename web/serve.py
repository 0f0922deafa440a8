"""The web process's entry: `python -m web.serve` becomes gunicorn, with further arguments its own.

gunicorn reads WEB_CONCURRENCY while it is imported, before any configuration, and ends in a
traceback of its own where that is no number.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from jobs.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMAND = ("-m", "gunicorn", "--config", "python:web.gunicorn", "web.entry:app")
_WRONG = 2  # exit status


def main(arguments: Sequence[str]) -> int:
    """Replace this process by gunicorn; returns only where the settings stop that."""
    if (wrong := _what_stops_gunicorn()) is None:
        command = [sys.executable, *_COMMAND, *arguments]
        os.execv(sys.executable, command)  # noqa: S606 - no shell, on purpose
    sys.stderr.write(f"web: {wrong}\n")
    return _WRONG


def _what_stops_gunicorn() -> str | None:
    processes = os.environ.get("WEB_CONCURRENCY", "1")
    if processes.isascii() and processes.isdigit():
        return None  # gunicorn reads the settings in a moment
    from adapters.settings import read_settings  # noqa: PLC0415 - seldom needed

    try:
        read_settings(os.environ)
    except Misconfigured as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
