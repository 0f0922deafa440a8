"""A seeded simulation of jobs, workers, the sweep and all that breaks, on a virtual clock.

The code that runs is the product's: submit, run_job under the worker's Desk and RenewingLeases,
sweep, cancel, redrive, on MemoryJobStore. What is simulated is what lies around it: processes that
crash and stop, a broker that loses and doubles, a store that goes away or swallows answers, a model
that bills.

Every actor has a thread, but only the one that holds the baton runs. It gives the baton up at each
port call, and what goes on next is decided by virtual time and one random.Random(seed). So a seed
tells one story, always the same.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Generic, TypeVar

from adapters.kept_answers import AnswersInObjects
from adapters.memory import MemoryJobStore, MemoryObjectStore
from jobs.cancel import CancelParts, cancel_job
from jobs.claim import Claim
from jobs.dispatch import ChangeRecord, tasks_for
from jobs.errors import LonghaulError, ModelError, NoResult, NotRedrivable, Unavailable
from jobs.events import EventType, terminal_event
from jobs.job import Inline, JobStatus, ModelId, OnInterrupted, UserId, WorkerId
from jobs.prompt import Prompt
from jobs.redrive import RedriveParts, redrive_job
from jobs.retry import DEFAULT_POLICY
from jobs.running import RunParts
from jobs.seq import BLOCK
from jobs.shards import ShardId
from jobs.submit import JobRequest, SubmitParts, submit_job
from jobs.sweep import BATCH, SweepParts, sweep
from jobs.timeline import StepName
from jobs.trace import Trace, TraceId
from workers.desk import Desk
from workers.leases import RenewingLeases
from workers.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jobs.claim import ClaimRefused, ClaimTerms
    from jobs.events import Event
    from jobs.job import Job, JobId, ObjectKey
    from jobs.outcome import Change, Outcome
    from jobs.ports import Invocation
    from jobs.task import Task
    from jobs.timeline import Step

T = TypeVar("T")
START = datetime(2026, 11, 23, 4, 38, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
SECOND = 1_000  # virtual time is in whole milliseconds, as the rows' times are
LEASE = timedelta(seconds=60)


# --- the baton: one actor at a time, in virtual time ----------------------------------------------


class Crashed(BaseException):
    """The process is dead: nothing of it may run any more."""


@dataclass(eq=False, kw_only=True)
class Process:
    """What crashes and stops as one: actors, timers, and all they hold in memory."""

    name: str
    is_alive: bool = True
    stopped_until: int = 0
    takes_tasks: bool = True


class Actor:
    """One thread of a process; `ticket` makes an older wake-up void."""

    def __init__(self, process: Process, work: Callable[[], object]) -> None:
        self.process = process
        self.work = work
        self.ticket = 0
        self.runner: _Runner | None = None
        self.claim: Claim | None = None


_Wake = tuple[int, int, "Process | None", int, "Actor | Callable[[], object]"]


class Baton:
    """The virtual clock and the heap of what happens next."""

    def __init__(self) -> None:
        self.now = 0
        self.actor: Actor | None = None
        self.broke: list[str] = []
        self.living = 0  # actors that have not ended
        self._heap: list[_Wake] = []
        self._order = itertools.count()
        self._all_done = threading.Semaphore(0)

    def call_at(self, at: int, call: Callable[[], object], *, of: Process | None = None) -> None:
        """Call something that does not switch; never, if `of` has crashed by then."""
        heapq.heappush(self._heap, (max(at, self.now), next(self._order), of, 0, call))

    def start(self, process: Process, work: Callable[[], object]) -> None:
        """Let a new actor begin now."""
        self.living += 1
        self.wake(Actor(process, work))

    def wake(self, actor: Actor, at: int = 0) -> None:
        """Let an actor go on at `at`, and at no other time that was said before."""
        actor.ticket += 1
        entry = (max(at, self.now), next(self._order), actor.process, actor.ticket, actor)
        heapq.heappush(self._heap, entry)

    def sleep(self, duration: int) -> None:
        """Give the baton up for a while. Raises Crashed if the process died meanwhile."""
        actor = self.actor
        assert actor is not None
        self.wake(actor, self.now + duration)
        following = self._next()
        if following is not actor:
            assert actor.runner is not None
            self._hand_to(following)
            actor.runner.gate.acquire()
        self.actor = actor
        if not actor.process.is_alive:
            raise Crashed

    def run(self) -> None:
        """Let everything happen."""
        self._hand_to(self._next())
        self._all_done.acquire()

    def perform(self, actor: Actor) -> Actor | None:
        """Be the actor to its end and give who is next."""
        self.actor = actor
        try:
            if actor.process.is_alive:
                actor.work()
        except Crashed:
            pass
        except BaseException as error:  # noqa: BLE001 - told at the end of the story
            self.broke.append(f"{actor.process.name} broke: {error!r}")
        self.living -= 1
        return self._next()

    def _next(self) -> Actor | None:
        while self._heap:
            at, _, process, ticket, what = heapq.heappop(self._heap)
            if process is not None and process.is_alive and process.stopped_until > at:
                entry = (process.stopped_until, next(self._order), process, ticket, what)
                heapq.heappush(self._heap, entry)
            elif isinstance(what, Actor):
                if ticket == what.ticket:
                    self.now = at
                    return what
            elif process is None or process.is_alive:
                self.now, self.actor = at, None
                self._call(what)
        return None

    def _call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - told at the end of the story
            self.broke.append(f"a callback broke: {error!r}")

    def _hand_to(self, actor: Actor | None) -> None:
        if actor is None:
            self._all_done.release()
            return
        if actor.runner is None:
            actor.runner = _idle.pop() if _idle else _Runner()
            actor.runner.todo = (self, actor)
        actor.runner.gate.release()

    def pass_on(self, runner: _Runner, actor: Actor) -> None:
        """Perform the actor, and whoever begins right after it, in the runner's thread."""
        following: Actor | None = actor
        while following is not None and following.runner in (None, runner):
            following.runner = runner
            following = self.perform(following)
        _idle.append(runner)
        self._hand_to(following)


class _Runner:
    """A thread that is used again and again: starting one for each actor costs more."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.todo: tuple[Baton, Actor] | None = None
        threading.Thread(target=self._run, name="simulated", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.gate.acquire()
            assert self.todo is not None
            baton, actor = self.todo
            baton.pass_on(self, actor)


_idle: list[_Runner] = []


# --- what breaks, and how often -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Chances are per step of an actor (a port call has two), per message, or per store call."""

    crash: float = 0.002
    stop: float = 0.003
    task_twice: float = 0.20
    task_lost: float = 0.05
    store_refuses: float = 0.01
    answer_lost: float = 0.01
    event_lost: float = 0.05
    outages: int = 1  # at most, of the store; as many of the broker
    longest_outage: int = 35 * SECOND  # below the least that is left of a lease
    until: int = 600 * SECOND


@dataclass(frozen=True, kw_only=True)
class Version:
    """One write of a row: by the holder of `writer`, if it says it is one."""

    at: int
    verb: str
    before: Job | None
    after: Job
    writer: Claim | None


class RecordedStore(MemoryJobStore):
    """The real store in memory; `wrote` hears of each write while nobody else can run."""

    def __init__(self, wrote: Callable[[Job | None, Job], object]) -> None:
        super().__init__()
        self._wrote = wrote

    def _write(self, job: Job) -> None:
        before = self._jobs.get(job.id)
        super()._write(job)
        self._wrote(before, job)


@dataclass(frozen=True, kw_only=True)
class Design:
    """The parts that a test swaps for broken ones, to see that the simulation notices."""

    store: type[RecordedStore] = RecordedStore
    has_sweep: bool = True
    has_renewals: bool = True
    has_mark: bool = True
    has_recovery: bool = True


@dataclass(eq=False, kw_only=True)
class Call:
    """One line of the model's ledger; it was answered in full if nobody broke it off before."""

    job: JobId
    epoch: int
    attempt: int
    process: Process
    ends_at: int
    text: str | None
    closed_at: int | None = None

    @property
    def is_completed(self) -> bool:
        """Whether the whole answer was given, and paid."""
        return self.text is not None and (self.closed_at is None or self.closed_at >= self.ends_at)


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
            queue=SimQueue(self, process),
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


# --- the ports, each with a place to crash or stop ------------------------------------------------


@dataclass(frozen=True)
class _Port:
    world: World
    process: Process


class SimClock(_Port):
    """jobs.ports.Clock: between reading it and acting on it a process may stop."""

    def now(self) -> datetime:
        """Give the time, and perhaps stop right after."""
        now = self.world.time
        if self.world.baton.actor is not None and self.world.meet_trouble(self.process):
            self.world.baton.sleep(0)
        return now

    def elapsed(self) -> timedelta:
        """Give the time since the story's beginning, and perhaps stop right after."""
        return self.now() - START

    def sleep(self, duration: timedelta) -> None:
        """Wait."""
        self.world.baton.sleep(duration // MILLISECOND)


@dataclass(frozen=True)
class SimChance:
    """jobs.ports.Chance of the seed."""

    world: World

    def entropy(self, size: int) -> bytes:
        """Give bytes."""
        return self.world.chance.randbytes(size)

    def jitter(self) -> float:
        """Give a number in [0, 1)."""
        return self.world.chance.random()


@dataclass(frozen=True)
class SimLog:
    """jobs.ports.Log that takes note when something of ours broke."""

    world: World

    def info(self, event: str, /, **keys: object) -> None:
        """Forget it."""

    def warning(self, event: str, /, **keys: object) -> None:
        """Take note of what must never happen."""
        if event.endswith("_broke"):
            self.world.broken.append(f"{event}: {keys.get('error')}")


class SimStore(_Port):
    """jobs.ports.JobStore and DueJobs over a network."""

    def add(self, job: Job) -> None:
        """Write a new row."""
        self._ask("add", lambda: self.world.rows.add(job))

    def get(self, job_id: JobId) -> Job:
        """Read a row."""
        return self._ask("get", lambda: self.world.rows.get(job_id))

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        """Claim."""
        claim = self._ask("claim", lambda: self.world.rows.claim(job_id, terms))
        if isinstance(claim, Claim) and (actor := self.world.baton.actor) is not None:
            actor.claim = claim
        return claim

    def mark_invoked(self, claim: Claim, invoked: Step) -> None:
        """Mark, unless the design has no mark."""
        if self.world.design.has_mark:
            self._ask("mark_invoked", lambda: self.world.rows.mark_invoked(claim, invoked), claim)

    def renew(self, claim: Claim, until: datetime) -> None:
        """Renew, unless the design has no renewals."""
        if self.world.design.has_renewals:
            self._ask("renew", lambda: self.world.rows.renew(claim, until), claim)

    def settle(self, claim: Claim, outcome: Outcome) -> Job:
        """Settle."""
        return self._ask("settle", lambda: self.world.rows.settle(claim, outcome), claim)

    def change(self, job: Job, change: Change) -> Job:
        """Change."""
        return self._ask("change", lambda: self.world.rows.change(job, change))

    def find(self, now: datetime, *, limit: int) -> Sequence[Job]:
        """Find what is due."""
        return self._ask("find", lambda: self.world.rows.find(now, limit=limit))

    def put_off(self, job: Job, until: datetime, swept: Step | None) -> bool:
        """Put off."""
        return self._ask("put_off", lambda: self.world.rows.put_off(job, until, swept))

    def _ask(self, verb: str, act: Callable[[], T], writer: Claim | None = None) -> T:
        """Send it, perhaps in vain; or do it, and perhaps lose the answer on the way back."""
        world = self.world
        world.step(self.process)
        fate = world.chance.random()
        if world.is_away("store") or fate < world.faults.store_refuses:
            raise Unavailable("store", "cannot be reached (simulated)")
        world.writer = (verb, writer, self.process)
        try:
            answer = act()
        except LonghaulError:
            world.step(self.process)
            raise
        world.step(self.process)
        if fate > 1 - world.faults.answer_lost:
            raise Unavailable("store", "the answer was lost (simulated)")
        return answer


class SimObjects(_Port):
    """jobs.ports.ObjectStore over a network."""

    def put(self, key: ObjectKey, text: str, *, content_type: str) -> None:
        """Store."""
        self.world.step(self.process)
        if self.world.chance.random() < self.world.faults.store_refuses:
            raise Unavailable("objects", "cannot be reached (simulated)")
        self.world.objects.put(key, text, content_type=content_type)
        if key.startswith("answers/"):
            self.world.kept.add(key)
        self.world.step(self.process)

    def get(self, key: ObjectKey) -> str:
        """Read."""
        self.world.step(self.process)
        if key.startswith("answers/") and not self.world.design.has_recovery:
            raise NoResult(key)
        return self.world.objects.get(key)

    def delete(self, key: ObjectKey) -> None:
        """Remove."""
        self.world.step(self.process)
        self.world.objects.delete(key)

    def sign(self, key: ObjectKey, *, lifetime: timedelta) -> str:
        """Sign."""
        return self.world.objects.sign(key, lifetime=lifetime)


class SimEvents(_Port):
    """jobs.ports.EventBus and Nudge."""

    def publish(self, event: Event) -> None:
        """Publish."""
        self.world.step(self.process)
        self.world.tell(event)

    def nudge(self) -> None:
        """Nudge nobody: the simulated feed reads every record within a second."""
        self.world.step(self.process)


class SimQueue(_Port):
    """jobs.ports.TaskQueue."""

    def enqueue(self, tasks: Sequence[Task]) -> None:
        """Hand tasks to the broker."""
        self.world.step(self.process)
        if tasks and self.world.is_away("broker"):
            raise Unavailable("broker", "cannot be reached (simulated)")
        self.world.enqueue(tasks)


class SimModel(_Port):
    """jobs.ports.Model with a ledger."""

    @contextmanager
    def invoke(self, invocation: Invocation) -> Iterator[SimAnswering]:
        """Call it once: it may refuse, break off, say nothing for too long, or answer."""
        world = self.world
        world.step(self.process)
        kind = world.chance.choices(
            ["answer", "throttled", "stream", "rejected", "timeout"], [74, 12, 6, 4, 4]
        )[0]
        seconds = world.chance.choices([2, 20, 150], [4, 4, 2])[0] * world.chance.random()
        actor = world.baton.actor
        assert actor is not None
        assert actor.claim is not None
        epoch = actor.claim.epoch
        pieces = [f"{epoch}.{n} " for n in range(world.chance.randrange(1, 4))]
        refuses = kind in {"throttled", "rejected", "timeout"}
        call = Call(
            job=invocation.job,
            epoch=epoch,
            attempt=invocation.attempt,
            process=self.process,
            ends_at=world.baton.now + (0 if refuses else int(seconds * SECOND)),
            text="".join(pieces) if kind == "answer" else None,
        )
        world.calls.append(call)
        if refuses:
            world.step(self.process)
            call.closed_at = world.baton.now
            raise _error(kind)
        answering = SimAnswering(world, actor, call, pieces, kind)
        try:
            yield answering
        finally:
            answering.close()


class SimAnswering:
    """jobs.ports.Answering: pieces of text, evenly over the call's time."""

    usage = (7, 3)
    stop_reason = "end_turn"

    def __init__(
        self, world: World, actor: Actor, call: Call, pieces: Sequence[str], kind: str
    ) -> None:
        self._world = world
        self._actor = actor
        self._call = call
        self._pieces = pieces
        self._kind = kind
        self._begun_at = world.baton.now

    def __iter__(self) -> Iterator[str]:
        """Give the pieces."""
        span = (self._call.ends_at - self._begun_at) // len(self._pieces)
        for index, piece in enumerate(self._pieces, start=1):
            last = index == len(self._pieces)
            self._wait_until(self._call.ends_at if last else self._begun_at + index * span)
            if last and self._kind == "stream":
                raise _error("stream")
            yield piece

    def _wait_until(self, at: int) -> None:
        world = self._world
        world.meet_trouble(self._actor.process)
        world.baton.sleep(max(0, at - world.baton.now))
        if self._call.closed_at is not None:
            raise _error("stream")

    def close(self) -> None:
        """Break off: whoever waits for the next piece is woken."""
        if self._call.closed_at is None:
            self._call.closed_at = self._world.baton.now
            if self._world.baton.actor is not self._actor:
                self._world.baton.wake(self._actor)


ERRORS = {
    "throttled": ("Bedrock.ThrottlingException", False),
    "stream": ("Bedrock.ModelStreamErrorException", True),
    "rejected": ("Bedrock.ValidationException", False),
    "timeout": ("States.Timeout", True),
}


def _error(kind: str) -> ModelError:
    name, may_be_paid = ERRORS[kind]
    return ModelError(
        f"{kind} (simulated)", name=name, error_code=kind, retryable=True, may_be_paid=may_be_paid
    )


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
        )
        self.desk = SimDesk(parts=parts, queue=SimQueue(world, self), timers=timers)


# --- the judge ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Story:
    """What came of a seed: `violations` is empty where everything that must hold held."""

    seed: int
    violations: tuple[str, ...]
    lines: tuple[str, ...] = field(repr=False)


def simulate(
    seed: int, *, jobs: int = 4, faults: Faults | None = None, design: Design | None = None
) -> Story:
    """Tell the story of a seed and judge it."""
    world = World(seed, jobs=jobs, faults=faults or Faults(), design=design or Design())
    world.baton.run()
    rows = {version.after.id: version.after for version in world.versions}
    violations = [*world.baton.broke, *world.broken]
    violations += [problem for version in world.versions for problem in _wrong_write(version)]
    for number, job in enumerate(rows.values(), start=1):
        history = [version for version in world.versions if version.after.id == job.id]
        violations += [f"job {number}: {problem}" for problem in _judge(world, job, history)]
    return Story(seed=seed, violations=tuple(violations), lines=tuple(_lines(world, rows)))


def _lines(world: World, rows: dict[JobId, Job]) -> Iterator[str]:
    """Tell the story for people, and for comparing two runs of a seed."""
    numbers = {job_id: number for number, job_id in enumerate(rows, start=1)}
    told = [(v.at, _line(numbers[v.after.id], v)) for v in world.versions]
    told += [
        (c.ends_at, f"job {numbers[c.job]} call of epoch {c.epoch} ends, closed at {c.closed_at}")
        for c in world.calls
    ]
    told += [(int(line.split(":")[0]), line.split(": ")[1]) for line in world.trouble]
    for at, line in sorted(told):
        yield f"{at / SECOND:9.3f} {line}"


def _line(number: int, version: Version) -> str:
    row = version.after
    return (
        f"job {number} {version.verb} -> {row.status} epoch {row.epoch} attempt {row.attempt}"
        f" seq {row.seq} due {row.due_at}"
    )


ALLOWED = {
    JobStatus.PENDING: {JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.EXPIRED},
    JobStatus.PENDING_RETRY: {JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.EXPIRED},
    JobStatus.RUNNING: set(JobStatus) - {JobStatus.PENDING},
    JobStatus.COMPLETED: set(),
    JobStatus.FAILED: {JobStatus.PENDING},
    JobStatus.CANCELLED: {JobStatus.PENDING},
    JobStatus.EXPIRED: {JobStatus.PENDING},
}


def _wrong_write(version: Version) -> Iterator[str]:
    """Say what is wrong with one write of a row, knowing only the row before it."""
    before, after, verb = version.before, version.after, version.verb
    if before is None:
        return
    where = f"{version.at}: {verb} of epoch {before.epoch}"
    if version.writer is not None and (version.writer.epoch, JobStatus.RUNNING) != (
        before.epoch,
        before.status,
    ):
        yield f"{where}: written by a fenced worker of epoch {version.writer.epoch}"
    moves = verb in {"claim", "settle", "change"}
    if moves and after.status not in ALLOWED[before.status]:
        yield f"{where}: {before.status} became {after.status}"
    if moves and after.seq <= before.seq:
        yield f"{where}: seq went from {before.seq} to {after.seq}"
    if not moves and (before.status, before.seq) != (after.status, after.seq):
        yield f"{where}: it is no change of state"
    if after.epoch != before.epoch + (verb in {"claim", "change"}):
        yield f"{where}: epoch became {after.epoch}"
    if verb == "claim" and before.lease_until and before.lease_until >= _claimed_at(version):
        yield f"{where}: claimed under a lease until {before.lease_until}"


def _claimed_at(version: Version) -> datetime:
    """When the claimant thought it claimed."""
    assert version.after.lease_until is not None
    return version.after.lease_until - LEASE


def _judge(world: World, job: Job, history: list[Version]) -> Iterator[str]:
    """Say what is wrong with a job's whole life."""
    if not job.status.is_terminal:
        yield f"never ended: {job.status}"
        return
    yield from _wrong_calls(world, job, history)
    yield from _wrong_result(world, job, history)
    yield from _wrong_events(world, job, history)


def _wrong_calls(world: World, job: Job, history: list[Version]) -> Iterator[str]:
    calls = [call for call in world.calls if call.job == job.id]
    if len({call.attempt for call in calls}) != len(calls):
        yield f"an attempt called twice: {[call.attempt for call in calls]}"
    if len(calls) > job.max_attempts:
        yield f"{len(calls)} calls, and {job.max_attempts} are the bound"
    redrives = [
        v.after.epoch for v in history if v.verb == "change" and v.after.status is JobStatus.PENDING
    ]
    for begin, end in itertools.pairwise([0, *redrives, 1_000_000]):
        retries = sum(
            begin <= v.after.epoch < end and v.after.status is JobStatus.PENDING_RETRY
            for v in history
            if v.verb == "settle"
        )
        hits = sum(
            n for (i, epoch), n in world.excuses.items() if i == job.id and begin <= epoch < end
        )
        made = [call for call in calls if begin <= call.epoch < end]
        done = sum(call.is_completed for call in made)
        if len(made) > 1 + retries + hits:
            yield f"{len(made)} calls for 1 + {retries} retries + {hits} hit in mid-call"
        handed_on = sum(
            begin <= v.after.epoch < end
            and v.after.error is not None
            and v.after.error.code == "interrupted"
            for v in history
            if v.verb == "settle"
        )
        if done > 1 + hits + handed_on:
            yield f"{done} completed calls, {hits} hit in mid-call, {handed_on} handed on"
        if job.on_interrupted is OnInterrupted.FAIL and len(made) > 1 + retries:
            yield f"{len(made)} calls with {retries} retries, though on_interrupted=fail"


def _wrong_result(world: World, job: Job, history: list[Version]) -> Iterator[str]:
    if job.status is not JobStatus.COMPLETED:
        return
    assert job.result is not None
    payload = job.result.payload
    text = payload.text if isinstance(payload, Inline) else world.objects.get(payload.key)
    round_began = max(v.after.epoch for v in history if v.after.status is JobStatus.PENDING)
    steps = {step.name for step in job.timeline if step.attempt == job.attempt}
    calls = [c for c in world.calls if c.job == job.id and c.epoch >= round_began]
    if StepName.RECOVERED not in steps:
        calls = [c for c in calls if c.epoch == job.epoch]
    if text not in [c.text for c in calls]:
        yield f"the result {text!r} is not what a call of its own answered"
    deltas = {
        event.seq: event.text or ""
        for event in world.published
        if (event.job, event.type) == (job.id, EventType.DELTA) and event.seq // BLOCK == job.epoch
    }
    if "".join(deltas[number] for number in sorted(deltas)) != text:
        yield "the deltas of its last attempt are not its result"
    if sorted(deltas) != list(range(job.epoch * BLOCK + 2, job.seq)):
        yield f"the numbers of its last attempt have holes: {sorted(deltas)}, {job.seq}"


def _wrong_events(world: World, job: Job, history: list[Version]) -> Iterator[str]:
    """Judge what was published, and what a watcher keeps who passes over `seq` <= its last."""
    meanings: dict[int, tuple[EventType, str | None]] = {}
    for event in (event for event in world.published if event.job == job.id):
        meaning = (event.type, event.text)
        if meanings.setdefault(event.seq, meaning) != meaning:
            yield f"seq {event.seq} was given twice: {meanings[event.seq]}, {meaning}"
    redrives = [v.after.seq for v in history if v.after.status is JobStatus.PENDING]
    last: Event | None = None
    for event in (event for event in world.heard if event.job == job.id):
        if last is not None and event.seq <= last.seq:
            continue
        ended_at = last.seq if last is not None and last.type.is_terminal else event.seq
        if ended_at < event.seq and not any(ended_at < seq <= event.seq for seq in redrives):
            yield f"{event.type} {event.seq} came after the end, {ended_at}"
        last = event
    final = terminal_event(job)
    assert final is not None
    if last is None or (last.seq, last.type) != (final.seq, final.type):
        yield f"a watcher's last event is {last}, and the row's is {final.type} {final.seq}"
