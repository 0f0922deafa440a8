"""Background: run a function beside its caller."""

from __future__ import annotations

import select
import threading
from typing import TYPE_CHECKING, Protocol, cast

import gevent
import gevent.socket
from gevent import monkey

if TYPE_CHECKING:
    from collections.abc import Callable


class Running(Protocol):
    """A function that runs."""

    def join(self) -> None:
        """Wait until it has returned."""


def spawn(function: Callable[[], object]) -> Running:
    """Run `function` in a greenlet under gunicorn's gevent worker, elsewhere in a thread.

    A patched thread is a greenlet as well, but its start waits for it: 5,000 sockets that all get
    one event would switch 10,000 times. And it is some KB larger, its event and its name included.
    """
    if _is_gevent():
        return cast("Running", gevent.spawn(function))
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def wait_until_readable(descriptor: int, seconds: float) -> bool:
    """Wait until there is something to read, or the peer has hung up; whether that is so."""
    if not _is_gevent():
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    try:
        gevent.socket.wait_read(descriptor, seconds)
    except TimeoutError:
        return False
    return True


def _is_gevent() -> bool:
    return bool(monkey.is_module_patched("threading"))
