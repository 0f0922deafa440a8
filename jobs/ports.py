"""What the verbs need from outside, in their own words.

Each method's promises are one sentence each; tests/contracts/ runs one suite a port on every
implementation, the in-memory one and the real one alike. Any method may raise `Unavailable`.
Ports of paid answers are in jobs/answer.py, of the limiter in jobs/slots.py, of the model in
jobs/model_ports.py, of announcements in jobs/delivery_ports.py, and what only the feed needs is in
jobs/feed_ports.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta

    from jobs.caller import Caller
    from jobs.claim import Claim, ClaimRefused, ClaimTerms
    from jobs.division import Division
    from jobs.events import Event, EventType
    from jobs.job import Job, JobId, ObjectKey, UserId
    from jobs.outcome import Change, Outcome, Partial
    from jobs.task import Task
    from jobs.timeline import Step
    from jobs.trace import Trace


Topic = NewType("Topic", str)


def topic_of_job(job_id: JobId) -> Topic:
    """Name where all events of one job are told."""
    return Topic(f"longhaul:job:{job_id}")


def topic_of_user(user: UserId) -> Topic:
    """Name where the state events of all of one user's jobs are told."""
    return Topic(f"longhaul:user:{user}")


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> datetime:
        """Give the time, aware, in UTC. It jumps where someone sets the clock."""

    def elapsed(self) -> timedelta:
        """Give the time since some moment of this process; it never jumps, whoever sets clocks."""

    def sleep(self, duration: timedelta) -> None:
        """Wait."""


class Chance(Protocol):
    """Randomness, as an argument."""

    def entropy(self, size: int) -> bytes:
        """Give `size` random bytes that nobody can guess."""

    def jitter(self) -> float:
        """Give a number in [0, 1)."""


class Log(Protocol):
    """Past-tense events with keys; never a prompt or a result."""

    def info(self, event: str, /, **keys: object) -> object:
        """Note what happened."""

    def warning(self, event: str, /, **keys: object) -> object:
        """Note what someone may want to look at."""


class JobStore(Protocol):
    """The table of jobs; the truth. ClaimLost says with it what has become of the job."""

    def add(self, job: Job) -> None:
        """Write a new job's row; when it returns, the row is durable. Raises JobExists."""

    def get(self, job_id: JobId) -> Job:
        """Read a row, with every write that returned before. Raises JobNotFound."""

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        """Take a waiting job, or a running one whose lease is over, for one claimant only.

        Of claimants that race, one gets it. The epoch rises, the attempt is counted, and the row
        says RUNNING, in one write. A retry of the same terms gets the same claim again.
        """

    def mark_invoked(self, claim: Claim, invoked: Step) -> None:
        """Note that the call begins now, under this claim alone. Raises ClaimLost."""

    def mark_divided(self, claim: Claim, division: Division) -> None:
        """Note how the job is about to be divided, under this claim alone. Raises ClaimLost.

        Repeatable.
        """

    def note_part(self, job: Job, number: int, at: datetime) -> Job:
        """Note that a part of a divided job is done, and give the row. Raises JobMoved.

        It is written only if the job is still divided under the epoch of `job`, and once: the
        number of the job's last event rises with each part.
        """

    def renew(self, claim: Claim, until: datetime) -> None:
        """Move the lease's end, under this claim alone. Raises ClaimLost."""

    def settle(self, claim: Claim, outcome: Outcome) -> Job:
        """Write how the attempt ended, under this claim alone, and give the row. Raises ClaimLost.

        Settling twice with the same claim and outcome writes once.
        """

    def change(self, job: Job, change: Change) -> Job:
        """Write a change by someone who holds no claim, and give the row. Raises JobMoved.

        It is written only if the row's epoch and status are still those of `job`. The epoch
        rises, so whoever held the job is fenced out.
        """

    def keep_partial(self, claim: Claim, partial: Partial) -> None:
        """Add what had come of the call to a job that was cancelled under this claim.

        Raises ClaimLost where the job is not cancelled, or was redriven since. Its state, epoch
        and number stay. Keeping twice writes once.
        """

    def keep_until(self, job_id: JobId, until: datetime | None) -> None:
        """Let a row go at a time, or (None) not before it ends anew; one that is gone stays gone.

        Every end sets that time by the row's own retention.
        """


class DueJobs(Protocol):
    """The jobs that nobody has moved in time; the sweep's view of the table."""

    def find(self, now: datetime, *, limit: int) -> Sequence[Job]:
        """Find up to `limit` jobs whose time to look again has come.

        They are not ended, or their end is still to be announced.
        """

    def put_off(self, job: Job, until: datetime, swept: Step | None) -> bool:
        """Move the time to look again, and say whether it was still as in `job`.

        Of sweepers that race with the same job in hand, one is told yes. Without `swept` it is a
        look that leads to nothing: it is neither counted nor told in the timeline.
        """

    def let_go(self, job: Job) -> None:
        """Never look again at an ended job, if its time to is still as in `job`."""


class ObjectStore(Protocol):
    """Payloads too large for a row."""

    def put(self, key: ObjectKey, text: str, *, content_type: str) -> None:
        """Store a text whole, or not at all; the same key is overwritten."""

    def get(self, key: ObjectKey) -> str:
        """Read a text back, equal to what was put. Raises NoResult where there is none."""

    def delete(self, key: ObjectKey) -> None:
        """Remove a text; one that is not there is removed already."""

    def sign(self, key: ObjectKey, *, lifetime: timedelta) -> str:
        """Make a URL that anyone may GET within `lifetime`, and nobody after."""


class Lease(Protocol):
    """A claim that is being kept."""

    def check(self) -> None:
        """Return only while the run may go on.

        Raises ClaimLost where the claim is not ours any more, DeadlinePassed where the job's time
        is over, HandedOver where another worker is to go on.
        """

    def on_end(self, break_off: _BreakOff) -> None:
        """Call `break_off` from another thread as soon as `check` would raise."""


class _BreakOff(Protocol):
    def __call__(self) -> object: ...


class Leases(Protocol):
    """Keeps claims alive while their jobs run."""

    def keep(self, claim: Claim) -> AbstractContextManager[Lease]:
        """Renew the claim every third of its lease until the block ends, or its job's time does."""


class EventBus(Protocol):
    """The fast path to watchers. Losing it loses no fact: the row tells the same."""

    def publish(self, event: Event) -> None:
        """Tell whoever listens, and log it; never raises, never blocks for long."""

    def flush(self) -> None:
        """Wait until what was published before is out, for a moment at most; never raises."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """An event as it came over the bus: `message` is the JSON that clients get, byte for byte.

    `trace` is what told it, of a job's end that somebody traces.
    """

    topic: Topic
    job: JobId
    seq: int
    kind: EventType
    message: str
    trace: Trace | None = None


class Listener(Protocol):
    """Who wants to hear."""

    def hear(self, heard: Heard) -> None:
        """Take one event; must not block."""

    def lose_touch(self) -> None:
        """Learn that events may have been missed: the bus was away and is back."""


class EventSource(Protocol):
    """The bus's other end: one subscription a process, shared by all its watchers."""

    def listen(self, listener: Listener) -> None:
        """Pass events on until `close`; call it from a thread of its own. Outlives the bus."""

    def add(self, topic: Topic) -> None:
        """Subscribe; when it returns, whatever is published from now on is heard.

        Repeatable: of a topic that is subscribed to it waits until that is confirmed again.
        """

    def remove(self, topic: Topic) -> None:
        """Unsubscribe; never raises."""

    def close(self) -> None:
        """End `listen`."""


class TaskQueue(Protocol):
    """Celery; a task is a trigger and may come twice or never."""

    def enqueue(self, tasks: Sequence[Task]) -> None:
        """Hand tasks to the broker; when it returns, the broker has them all."""


class Nudge(Protocol):
    """A hint to the feed that there is something to read."""

    def nudge(self) -> None:
        """Hint; never raises. Losing it costs only latency."""


class Authenticator(Protocol):
    """Who is calling."""

    def identify(self, token: str | None) -> Caller:
        """Say who is behind a bearer token, or behind none.

        Raises Unauthenticated, and Unavailable where nobody can tell now.
        """

    def still_knows(self, caller: Caller) -> bool:
        """Tell whether a caller's credential still holds; True where nobody can tell now."""
