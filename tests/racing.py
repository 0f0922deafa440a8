"""Races: threads that begin together, and whose own errors are seen before what those lead to."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

TOGETHER_WITHIN = 60.0


def race(racers: int, run: Callable[[Callable[[], object]], T]) -> list[T]:
    """Run `run` in so many threads; what it is given waits until all of them are there.

    It may wait there more than once, a round each time. A racer that fails lets nobody wait for
    it: its error is raised, not that of the others, who waited in vain.
    """
    barrier = threading.Barrier(racers, timeout=TOGETHER_WITHIN)

    def go() -> T:
        try:
            return run(barrier.wait)
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(racers) as pool:
        futures = [pool.submit(go) for _ in range(racers)]
    for future in futures:
        error = future.exception()
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [future.result() for future in futures]
