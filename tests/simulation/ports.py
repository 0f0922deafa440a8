"""The ports of jobs/, each with a place to crash or stop."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from jobs.claim import Claim
from jobs.errors import LonghaulError, ModelError, NoResult, Unavailable
from tests.simulation.baton import MILLISECOND, SECOND, START, Actor, Process
from tests.simulation.records import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime, timedelta

    from jobs.claim import ClaimRefused, ClaimTerms
    from jobs.division import Division
    from jobs.events import Event
    from jobs.fenced import Fenced
    from jobs.job import Job, JobId, ObjectKey
    from jobs.model_ports import Invocation
    from jobs.outcome import Change, Outcome, Partial
    from jobs.task import Task
    from jobs.timeline import Step
    from tests.simulation.world import World

T = TypeVar("T")


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

    def mark_divided(self, claim: Claim, division: Division) -> None:
        """Mark as divided."""
        self._ask("mark_divided", lambda: self.world.rows.mark_divided(claim, division), claim)

    def note_part(self, job: Job, number: int, at: datetime) -> Job:
        """Note a part."""
        return self._ask("note_part", lambda: self.world.rows.note_part(job, number, at))

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

    def keep_partial(self, claim: Claim, partial: Partial) -> None:
        """Keep what had come."""
        self._ask("keep_partial", lambda: self.world.rows.keep_partial(claim, partial), claim)

    def keep_until(self, job_id: JobId, until: datetime | None) -> None:
        """Keep."""
        self._ask("keep_until", lambda: self.world.rows.keep_until(job_id, until))

    def find(self, now: datetime, *, limit: int) -> Sequence[Job]:
        """Find what is due."""
        return self._ask("find", lambda: self.world.rows.find(now, limit=limit))

    def put_off(self, job: Job, until: datetime, swept: Step | None) -> bool:
        """Put off."""
        return self._ask("put_off", lambda: self.world.rows.put_off(job, until, swept))

    def let_go(self, job: Job) -> None:
        """Let go, unless the store is away."""
        self._ask("let_go", lambda: self.world.rows.let_go(job))

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

    def flush(self) -> None:
        """Go on: what was published is on its way."""
        self.world.step(self.process)

    def nudge(self) -> None:
        """Nudge nobody: the simulated feed reads every record within a second."""
        self.world.step(self.process)


class SimHolders(_Port):
    """jobs.fenced.Holders: most hints come, and some do not."""

    def tell_fenced(self, fenced: Fenced) -> None:
        """Hint."""
        self.world.step(self.process)
        self.world.tell_fenced(fenced)


class SimQueue(_Port):
    """jobs.ports.TaskQueue."""

    def enqueue(self, tasks: Sequence[Task]) -> None:
        """Hand tasks to the broker."""
        self.world.step(self.process)
        if tasks and self.world.is_away("broker"):
            raise Unavailable("broker", "cannot be reached (simulated)")
        self.world.enqueue(tasks)


class SimModel(_Port):
    """jobs.model_ports.Model with a ledger."""

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
    """jobs.model_ports.Answering: pieces of text, evenly over the call's time."""

    usage = (7, 3)
    stop_reason = "end_turn"
    raw = None

    def __init__(
        self, world: World, actor: Actor, call: Call, pieces: Sequence[str], kind: str
    ) -> None:
        self._world = world
        self._actor = actor
        self._call = call
        self._pieces = pieces
        self._kind = kind
        self._begun_at = world.baton.now

    def read(self, take: Callable[[str], object]) -> None:
        """Give the pieces."""
        span = (self._call.ends_at - self._begun_at) // len(self._pieces)
        for index, piece in enumerate(self._pieces, start=1):
            last = index == len(self._pieces)
            self._wait_until(self._call.ends_at if last else self._begun_at + index * span)
            if last and self._kind == "stream":
                raise _error("stream")
            take(piece)

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
