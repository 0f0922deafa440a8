"""The world of one story: who acts when, what processes share, and what is written down."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from adapters.local_slots import LocalSlots
from adapters.memory import MemoryObjectStore
from jobs.cancel import CancelParts, cancel_job
from jobs.dispatch import ChangeRecord, tasks_for
from jobs.errors import NotRedrivable, Unavailable
from jobs.events import terminal_event
from jobs.job import JobStatus, ModelId, OnInterrupted, UserId
from jobs.prompt import Prompt
from jobs.redrive import RedriveParts, redrive_job
from jobs.retry import DEFAULT_POLICY
from jobs.shards import ShardId
from jobs.submit import JobRequest, SubmitParts, submit_job
from jobs.sweep import BATCH, SweepParts, sweep
from jobs.trace import Trace, TraceId
from tests.builders import announce_parts
from tests.simulation.baton import MILLISECOND, SECOND, START, Baton, Crashed, Process
from tests.simulation.ports import (
    SimChance,
    SimClock,
    SimEvents,
    SimHolders,
    SimLog,
    SimObjects,
    SimQueue,
    SimStore,
)
from tests.simulation.processes import LEASE, Worker
from tests.simulation.records import Call, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.claim import Claim
    from jobs.events import Event
    from jobs.fenced import Fenced
    from jobs.job import Job, JobId, ObjectKey
    from jobs.task import Task
    from tests.simulation.faults import Design, Faults


class World:
    """One story: the processes, what they share, and the records that are judged at its end."""

    def __init__(self, seed: int, *, jobs: int, faults: Faults, design: Design) -> None:
        self.chance = Random(seed)  # noqa: S311 - a story, not a secret
        self.baton = Baton()
        self.faults = faults
        self.design = design
        self.rows = design.store(self._wrote)
        self.objects = MemoryObjectStore()
        self.versions: list[Version] = []
        self.published: list[Event] = []
        self.heard: list[Event] = []
        self.calls: list[Call] = []
        self.accepted: list[JobId] = []
        self.kept: set[ObjectKey] = set()
        self.excuses: Counter[tuple[JobId, int]] = Counter()  # by job and epoch: hit in mid-call
        self.trouble: list[str] = []
        self.broken: list[str] = []
        self.writer: tuple[str, Claim | None, Process | None] = ("", None, None)
        self._open_calls: dict[JobId, tuple[int, Process]] = {}
        self._workers: list[Worker] = []
        self._names = itertools.count(1)
        self._records = 0
        self._awaited = jobs  # what operators have yet to do
        self._outages = [(part, *self._outage()) for part in ("store", "broker")]
        self._begin(jobs)

    def _outage(self) -> tuple[int, int]:
        if not self.faults.outages or self.chance.random() < 0.4:
            return (0, 0)
        begin = self.chance.randrange(120 * SECOND)
        return (begin, begin + self.chance.randrange(1, self.faults.longest_outage))

    def _begin(self, jobs: int) -> None:
        for _ in range(3):
            self.start_worker()
        for _ in range(jobs):
            self.baton.call_at(self.chance.randrange(30 * SECOND), self._submit)
        for act in (self._cancel, self._redrive, self._redrive, self._drain):
            if self.chance.random() < 0.5:
                self._awaited += 1
                self.baton.call_at(self.chance.randrange(400 * SECOND), act)
        self.baton.call_at(0, self._sweep_soon)

    # what processes meet

    @property
    def time(self) -> datetime:
        """The time now."""
        return START + self.baton.now * MILLISECOND

    def is_away(self, part: str) -> bool:
        """Whether a part cannot be reached now."""
        return any(p == part and a <= self.baton.now < z for p, a, z in self._outages)

    def meet_trouble(self, process: Process) -> bool:
        """Perhaps crash or stop here, in the middle of whatever it is; say whether it happened."""
        if not process.is_alive:
            raise Crashed
        draw = self.chance.random()
        if draw >= self.faults.crash + self.faults.stop or self.baton.now > self.faults.until:
            return False
        if draw < self.faults.crash:
            self.crash(process)
            raise Crashed
        near = self.chance.random() < 0.4  # about a lease: where the races are
        longest = (55, 75) if near else (30, 400)
        self._hit(process, "stops")
        process.stopped_until = self.baton.now + self.chance.randrange(
            longest[0] * SECOND, longest[1] * SECOND
        )
        return True

    def step(self, process: Process) -> None:
        """Be somewhere between two moments of a process."""
        if self.baton.actor is None:
            return
        self.meet_trouble(process)
        draw = self.chance.random()
        longest = 20 if draw < 0.85 else 500 if draw < 0.97 else 5_000
        self.baton.sleep(self.chance.randrange(1, longest))

    def crash(self, process: Process) -> None:
        """End a process at once; a worker is replaced after a while."""
        self._hit(process, "crashes")
        process.is_alive = False
        for call in self.calls:
            if call.process is process and call.closed_at is None:
                call.closed_at = self.baton.now
        if isinstance(process, Worker):
            self._workers.remove(process)
            self.baton.call_at(self.baton.now + self._seconds(1, 20), self.start_worker)

    def _hit(self, process: Process, what: str) -> None:
        self.trouble.append(f"{self.baton.now}: {process.name} {what}")
        for job, (epoch, caller) in self._open_calls.items():
            if caller is process and not self._is_kept(job, epoch):
                self.excuses[job, epoch] += 1

    def _is_kept(self, job: JobId, epoch: int) -> bool:
        """Whether the answer of this call is where the next worker finds it: it pays no more."""
        return any(
            call.epoch == epoch and f"answers/{job}/{call.attempt}.json" in self.kept
            for call in self.calls
            if call.job == job
        )

    def _seconds(self, least: float, most: float) -> int:
        return self.chance.randrange(int(least * SECOND), int(most * SECOND))

    # the parts between processes: row feed, broker, watchers

    def _wrote(self, before: Job | None, after: Job) -> None:
        verb, writer, process = self.writer
        version = Version(at=self.baton.now, verb=verb, before=before, after=after, writer=writer)
        self.versions.append(version)
        if after.status is not JobStatus.RUNNING or before is None or before.epoch != after.epoch:
            self._open_calls.pop(after.id, None)
        if verb == "mark_invoked" and process is not None:
            self._open_calls[after.id] = (after.epoch, process)
        [record] = self.rows.stream.read(ShardId("shard-0000"), self._records).records
        self._records += 1
        assert isinstance(record, ChangeRecord)
        if record.after is not None and record.before is not record.after.status:
            self.baton.call_at(self.baton.now + self._seconds(0.01, 1), lambda: self._feed(record))
        if (event := terminal_event(after)) is not None:  # the row is the outbox
            self.baton.call_at(
                self.baton.now + self._seconds(0.05, 3), lambda: self.tell(event, certain=True)
            )

    def _feed(self, record: ChangeRecord) -> None:
        self.enqueue(tasks_for([record], now=self.time, by="feed@sim"))

    def enqueue(self, tasks: Sequence[Task]) -> None:
        """Carry tasks as a broker does that loses some and doubles others."""
        for task in tasks:
            copies = 1 + (self.chance.random() < self.faults.task_twice)
            for _ in range(copies):
                if self.chance.random() >= self.faults.task_lost:
                    most = 0.2 if self.chance.random() < 0.8 else 90
                    at = self.baton.now + self._seconds(0.001, most)
                    self.baton.call_at(at, functools.partial(self._deliver, task))

    def _deliver(self, task: Task) -> None:
        ready = [worker for worker in self._workers if worker.takes_tasks]
        if ready:
            worker = self.chance.choice(ready)
            self.baton.start(worker, lambda: worker.desk.run(task))

    def tell(self, event: Event, *, certain: bool = False) -> None:
        """Tell watchers, who may miss it unless it is told from the row."""
        self.published.append(event)
        if certain or self.chance.random() >= self.faults.event_lost:
            self.heard.append(event)

    def tell_fenced(self, fenced: Fenced) -> None:
        """Hint to the workers that live; each may miss it."""
        for worker in self._workers:
            if worker.is_alive and self.chance.random() >= self.faults.event_lost:
                at = self.baton.now + self._seconds(0.001, 0.2)
                look = functools.partial(worker.leases.look_at, fenced)
                self.baton.call_at(at, look, of=worker)

    # who acts

    def start_worker(self) -> None:
        """Start one more worker process."""
        self._workers.append(Worker(self, f"worker@sim:{next(self._names)}"))

    def _drain(self) -> None:
        self._awaited -= 1
        ready = [worker for worker in self._workers if worker.takes_tasks]
        if not ready:
            return
        worker = self.chance.choice(ready)
        worker.takes_tasks = False
        self.trouble.append(f"{self.baton.now}: {worker.name} drains")
        worker.desk.hand_over_parked()
        self.baton.call_at(
            self.baton.now + self._seconds(0, 5), worker.leases.hand_over_all, of=worker
        )
        self.start_worker()

    def _sweep_soon(self) -> None:
        """Sweep while anything is to be done; an idle sweep is passed over to save time."""
        if self.baton.now > self.faults.until + 4 * 3_600 * SECOND or self.has_ended():
            return
        if self.design.has_sweep and self.rows.find(self.time, limit=1):
            self._start("feed", self._sweep)
        self.baton.call_at(self.baton.now + self._seconds(1, 7), self._sweep_soon)

    def has_ended(self) -> bool:
        """Whether no row waits for anyone, and no operator will come."""
        if self._awaited or self.baton.living:
            return False
        rows = {version.after.id: version.after for version in self.versions}
        return all(row.status.is_terminal for row in rows.values())

    def _start(self, name: str, act: Callable[[Process], object]) -> None:
        process = Process(name=f"{name}@sim:{next(self._names)}")

        def work() -> None:
            try:
                act(process)
            except Unavailable:
                return  # the caller is told; a sweep comes again

        self.baton.start(process, work)

    def _sweep(self, process: Process) -> None:
        store = SimStore(self, process)
        parts = SweepParts(
            due=store,
            store=store,
            events=SimEvents(self, process),
            holders=SimHolders(self, process),
            queue=SimQueue(self, process),
            lines=LocalSlots(capacity=1, share=1),
            announcing=announce_parts(),
            clock=SimClock(self, process),
            log=SimLog(self),
            process=process.name,
            lease=LEASE,
        )
        while sweep(parts) == BATCH:
            pass

    def _submit(self) -> None:
        self._awaited -= 1
        draw = self.chance.random
        request = JobRequest(
            user=UserId("ada"),
            model=ModelId("amazon.nova-lite-v1:0"),
            prompt=Prompt(text="Say hello"),
            trace=Trace(id=TraceId("1-6922915b-0123456789abcdef01234567")),
            accepted_at=self.time,
            on_interrupted=OnInterrupted.FAIL if draw() < 0.4 else OnInterrupted.RETRY,
            start_timeout=timedelta(seconds=self._seconds(20, 300) // SECOND)
            if draw() < 0.2
            else None,
            run_timeout=timedelta(seconds=self._seconds(20, 300) // SECOND)
            if draw() < 0.2
            else None,
        )

        def submit(process: Process) -> None:
            parts = SubmitParts(
                store=SimStore(self, process),
                objects=SimObjects(self, process),
                events=SimEvents(self, process),
                feed=SimEvents(self, process),
                clock=SimClock(self, process),
                chance=SimChance(self),
                log=SimLog(self),
                process=process.name,
                max_attempts=DEFAULT_POLICY.max_calls,
                inline_prompt_bytes=1024,
            )
            self.accepted.append(submit_job(request, parts).id)

        self._start("web", submit)

    def _cancel(self) -> None:
        self._awaited -= 1
        if not self.accepted:
            return
        job_id = self.chance.choice(self.accepted)

        def cancel(process: Process) -> None:
            store = SimStore(self, process)
            parts = CancelParts(
                store=store,
                events=SimEvents(self, process),
                holders=SimHolders(self, process),
                clock=SimClock(self, process),
                log=SimLog(self),
                process=process.name,
            )
            cancel_job(store.get(job_id), parts)

        self._start("web", cancel)

    def _redrive(self) -> None:
        self._awaited -= 1
        ended = [i for i in self.accepted if self.rows.get(i).status in REDRIVABLE]
        if not ended:
            return
        job_id = self.chance.choice(ended)

        def redrive(process: Process) -> None:
            store = SimStore(self, process)
            parts = RedriveParts(
                store=store,
                events=SimEvents(self, process),
                feed=SimEvents(self, process),
                announcing=announce_parts(),
                clock=SimClock(self, process),
                log=SimLog(self),
                process=process.name,
                attempts=DEFAULT_POLICY.max_calls,
            )
            try:
                redrive_job(store.get(job_id), parts)
            except NotRedrivable:
                return

        self._start("web", redrive)


REDRIVABLE = {JobStatus.FAILED, JobStatus.EXPIRED, JobStatus.CANCELLED}
