"""The messenger: delivers in a few threads of its own, so that slow receivers hold up no job.

What is more than these can take is dropped: its task was a hint, and the sweep brings it again.
This is a process top: what deliver raises ends here.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from structlog.contextvars import bound_contextvars

from jobs.deliver import deliver
from jobs.errors import LonghaulError
from jobs.sketch import sketch

if TYPE_CHECKING:
    from jobs.deliver import DeliverParts
    from jobs.delivery import DeliveryKey

_WAITING_EACH = 16  # deliveries that may wait for each thread


class Messenger:
    """Delivers at most `room` at a time."""

    def __init__(self, *, parts: DeliverParts, room: int) -> None:
        self._parts = parts
        self._room = threading.BoundedSemaphore(room * (1 + _WAITING_EACH))
        self._pool = ThreadPoolExecutor(room, thread_name_prefix="delivery")
        self._closed = threading.Event()

    def take(self, key: DeliveryKey) -> bool:
        """Deliver soon, if there is room, and say whether there is; never waits."""
        if self._closed.is_set() or not self._room.acquire(blocking=False):
            self._parts.log.info("delivery_left_to_sweep", **_keys(key))
            return False
        self._pool.submit(self._run, key)
        return True

    def close(self) -> None:
        """Take nothing more, and wait for what is being told; what waits is left to the sweep."""
        self._closed.set()
        self._pool.shutdown(wait=True)

    def _run(self, key: DeliveryKey) -> None:
        try:
            with bound_contextvars(**_keys(key)):  # for lines of libraries, too
                if not self._closed.is_set():
                    deliver(key, self._parts)
        except LonghaulError as error:
            self._parts.log.warning("delivery_waits", reason=str(error), **_keys(key))
        except Exception as error:  # noqa: BLE001 - a worker outlives any delivery
            self._parts.log.warning("delivery_broke", error=sketch(error), **_keys(key))
        finally:
            self._room.release()


def _keys(key: DeliveryKey) -> dict[str, str]:
    return {"job_id": key.job, "delivery_id": key.delivery, "trace_id": key.trace}
