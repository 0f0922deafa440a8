"""The worker process: the product's own desk and leases, on simulated ports and timers."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from adapters.kept_answers import AnswersInObjects
from jobs.job import WorkerId
from jobs.retry import DEFAULT_POLICY
from jobs.running import RunParts
from tests.builders import document_parts
from tests.simulation.baton import MILLISECOND, Process
from tests.simulation.ports import (
    SimChance,
    SimClock,
    SimEvents,
    SimLog,
    SimModel,
    SimObjects,
    SimQueue,
    SimStore,
)
from workers.desk import Desk
from workers.leases import RenewingLeases
from workers.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.world import World

T = TypeVar("T")
LEASE = timedelta(seconds=60)


class _InOrder(set[T], Generic[T]):
    """A set that is walked in the order of its additions, so that a seed tells one story."""

    def __init__(self) -> None:
        super().__init__()
        self._order: dict[T, None] = {}

    def add(self, item: T) -> None:
        super().add(item)
        self._order[item] = None

    def discard(self, item: object) -> None:
        super().discard(item)
        self._order = {kept: None for kept in self._order if kept is not item}

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._order))


class SimTimers(Timers):
    """The worker's timers on the virtual clock."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(clock=SimClock(world, process), log=SimLog(world))
        self._world = world
        self._process = process

    def call_after(self, delay: timedelta, call: Callable[[], object]) -> None:
        """Call it after `delay`, if the process lives and runs then."""
        baton = self._world.baton
        baton.call_at(baton.now + delay // MILLISECOND, call, of=self._process)


class _SimPool(ThreadPoolExecutor):
    """The renewing threads, as actors."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__(1)
        self._world = world
        self._process = process

    def submit(self, call, /, *args, **keys):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN002, ANN003, ANN202 - as the parent's
        self._world.baton.start(self._process, lambda: call(*args, **keys))
        return Future()


class SimLeases(RenewingLeases):
    """The worker's own leases; only threads and the order of a set are simulated."""

    def __init__(self, world: World, process: Process, timers: Timers) -> None:
        super().__init__(
            store=SimStore(world, process),
            clock=SimClock(world, process),
            log=SimLog(world),
            timers=timers,
        )
        self._pool = _SimPool(world, process)
        self._kept = _InOrder()


class SimDesk(Desk):
    """The worker's own desk."""

    def __init__(self, *, parts: RunParts, queue: SimQueue, timers: Timers) -> None:
        super().__init__(parts=parts, queue=queue, timers=timers)
        self._parked = _InOrder()


class Worker(Process):
    """A worker process."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(name=name)
        timers = SimTimers(world, self)
        self.leases = SimLeases(world, self, timers)
        parts = RunParts(
            store=SimStore(world, self),
            objects=SimObjects(world, self),
            kept=AnswersInObjects(objects=SimObjects(world, self), log=SimLog(world)),
            model=SimModel(world, self),
            leases=self.leases,
            events=SimEvents(world, self),
            clock=SimClock(world, self),
            chance=SimChance(world),
            log=SimLog(world),
            policy=DEFAULT_POLICY,
            worker=WorkerId(name),
            lease=LEASE,
            patience=timedelta(seconds=600),
            inline_result_bytes=8,  # so that about half of the results go to the object store
            documents=document_parts(),
        )
        self.desk = SimDesk(parts=parts, queue=SimQueue(world, self), timers=timers)
