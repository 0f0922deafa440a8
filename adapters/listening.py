"""Whether a port can be listened on, said before a server would say it in its own words."""

from __future__ import annotations

import socket

from jobs.errors import Misconfigured


def port_refused(what: str, host: str, port: int, error: OSError) -> Misconfigured:
    """Say why nothing can be served there; `what` is metrics, or requests."""
    return Misconfigured(f"{what} cannot be served on {host}:{port}: {error.strerror or error}")


def check_port(what: str, host: str, port: int) -> None:
    """Check that `what` can be served there. Raises Misconfigured."""
    try:
        [(family, *_, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise port_refused(what, host, port, error) from error
