"""Which process serves its metrics where."""

from __future__ import annotations

from jobs.errors import Misconfigured

# One setting for all kinds of process, which may stand on one machine.
PORTS_ON = {"web": 0, "worker": 1, "feed": 2}
MOST_PORTS_ON = max(PORTS_ON.values())


def port_refused(what: str, host: str, port: int, error: OSError) -> Misconfigured:
    """Say why nothing can be served there; `what` is metrics, or requests."""
    return Misconfigured(f"{what} cannot be served on {host}:{port}: {error.strerror or error}")
