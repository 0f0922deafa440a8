"""What this process is called in timelines and logs."""

from __future__ import annotations

import os
import socket


def process_name(role: str) -> str:
    """Name it by its role, machine and process id, as in `worker@host:4711`."""
    return f"{role}@{socket.gethostname()}:{os.getpid()}"
