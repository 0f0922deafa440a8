"""Ports for a stack of a test's own."""

import os
import random
import socket

# Below Linux's ephemeral range, so that no outgoing connection takes one meanwhile.
LOWEST, HIGHEST = 20000, 32000
TRIES = 1000

_chance = random.Random(os.getpid())  # noqa: S311 - spreads parallel runs, guards no secret
_kept: dict[int, socket.socket] = {}


def free_base(count: int) -> int:
    """Return a port that is free on loopback, as are the `count - 1` after it.

    They are this process's until it ends: no other process that asks here is given one of them.
    """
    for _ in range(TRIES):
        base = _chance.randrange(LOWEST, HIGHEST - count)
        if _keep(range(base, base + count)):
            return base
    message = f"no {count} free ports in a row between {LOWEST} and {HIGHEST}"
    raise RuntimeError(message)


def _keep(ports: range) -> bool:
    kept: dict[int, socket.socket] = {}
    for port in ports:
        name = _claim(port)
        if name is None or not _is_free(port):
            for socket_ in (*kept.values(), *([name] if name else [])):
                socket_.close()
            return False
        kept[port] = name
    _kept.update(kept)
    return True


def _claim(port: int) -> socket.socket | None:
    """Take a name that stands for the port, for between two looks the port is only seen free.

    The name is a socket in Linux's abstract namespace: one process has it, the kernel takes it
    back when that process ends however it ends, and no file is left behind.
    """
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0longhaul-test-port-{port}")
    except OSError:
        name.close()
        return None
    return name


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
