"""Ports for a stack of a test's own."""

import os
import random
import socket

# Below Linux's ephemeral range, so that no outgoing connection takes one meanwhile.
LOWEST, HIGHEST = 20000, 32000
TRIES = 1000

_chance = random.Random(os.getpid())  # noqa: S311 - spreads parallel runs, guards no secret


def free_base(count: int) -> int:
    """Return a port that is free on loopback, as are the `count - 1` after it."""
    for _ in range(TRIES):
        base = _chance.randrange(LOWEST, HIGHEST - count)
        if all(_is_free(port) for port in range(base, base + count)):
            return base
    message = f"no {count} free ports in a row between {LOWEST} and {HIGHEST}"
    raise RuntimeError(message)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
