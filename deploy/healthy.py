"""The image's health check: exit status 0 while this container's process is well.

A web process must answer `/healthz`. A worker or a feed is well while it runs: each ends by itself
on what it cannot wait for, and nothing but its end is worth a restart, which would hand jobs on.
"""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path

from deploy.start import PROCESSES

_SECONDS = 4.0  # within the Dockerfile's time-out
_OK = 200


def main(processes: Path = Path("/proc")) -> int:
    """Look at the container's processes, whichever number theirs has."""
    commands = _commands(processes)
    if _runs("web", commands):
        return 0 if _answers() else 1
    return 0 if _runs("worker", commands) or _runs("feed", commands) else 1


def _commands(processes: Path) -> list[list[str]]:
    found = []
    for file in processes.glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text(errors="replace").split("\0"))
        except OSError:  # it has ended, or is not ours to look at
            continue
    return found


def _runs(process: str, commands: list[list[str]]) -> bool:
    return any(PROCESSES[process][-1] in command for command in commands)


def _answers() -> bool:
    port = int(os.environ.get("PORT", "5000"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == _OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
