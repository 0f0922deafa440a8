"""Background: run a function beside its caller."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import gevent
from gevent import monkey

if TYPE_CHECKING:
    from collections.abc import Callable


def spawn(function: Callable[[], object]) -> None:
    """Run `function` in a greenlet under gunicorn's gevent worker, elsewhere in a thread.

    A patched thread is a greenlet as well, but its start waits for it: 5,000 sockets that all get
    one event would switch 10,000 times.
    """
    if monkey.is_module_patched("threading"):
        gevent.spawn(function)
    else:
        threading.Thread(target=function, daemon=True).start()
