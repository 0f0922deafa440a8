"""The ports in memory, for tests and for trying the verbs without a server.

They ship with the product and pass the same contract suites as the real adapters.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from adapters.told_trace import told_trace
from jobs.claim import Claim, ClaimRefused
from jobs.dispatch import Change as ChangeWord
from jobs.dispatch import ChangeRecord, Image
from jobs.errors import (
    ClaimLost,
    JobExists,
    JobMoved,
    JobNotFound,
    LeaseLost,
    NoResult,
    PositionLost,
)
from jobs.event_log import PAGE
from jobs.events import message_of, terminal_event
from jobs.job import JobStatus
from jobs.ports import Heard, topic_of_job, topic_of_user
from jobs.shard_leases import ShardLease
from jobs.shards import LATEST, Batch, Position, Shard, ShardId, StreamName
from jobs.tickets import LIFETIME
from jobs.timeline import MOST_SWEEPS_NOTED
from jobs.transitions import (
    begun_to_divide,
    changed,
    claimed,
    is_claimable,
    settled,
    was_cancelled_under,
    with_part_done,
    with_partial,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jobs.caller import Caller
    from jobs.claim import ClaimTerms
    from jobs.division import Division
    from jobs.errors import RecordUnreadable
    from jobs.events import Event
    from jobs.fenced import Fenced
    from jobs.job import ClaimToken, Job, JobId, ObjectKey, UserId
    from jobs.outcome import Change, Outcome, Partial
    from jobs.ports import Clock, Lease, Listener, Topic
    from jobs.rejected import RejectedId, RejectedRecord
    from jobs.shard_leases import FeedId
    from jobs.shards import Checkpoint
    from jobs.task import Task
    from jobs.tickets import Ticket
    from jobs.timeline import Step


class ManualClock:
    """A clock that moves when it is told to, or when someone sleeps."""

    def __init__(self, at: datetime = datetime(2026, 11, 23, 4, 38, tzinfo=UTC)) -> None:
        self._now = at
        self._elapsed = timedelta(0)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Give the time."""
        with self._lock:
            return self._now

    def elapsed(self) -> timedelta:
        """Give the time that has passed."""
        with self._lock:
            return self._elapsed

    def sleep(self, duration: timedelta) -> None:
        """Let the time pass at once."""
        self.advance(duration)

    def advance(self, duration: timedelta) -> None:
        """Move on."""
        with self._lock:
            self._now += duration
            self._elapsed += duration

    def step(self, by: timedelta) -> None:
        """Be set forward or back; no time passes."""
        with self._lock:
            self._now += by


class MemoryJobStore:
    """jobs.ports.JobStore under one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[JobId, Job] = {}
        self._tokens: dict[JobId, ClaimToken] = {}
        self._invoked: dict[JobId, datetime] = {}
        self._interrupted: dict[JobId, datetime | None] = {}
        self.kept_until: dict[JobId, datetime | None] = {}
        self._leaving: set[JobId] = set()
        self.stream = MemoryChangeStream()

    def add(self, job: Job) -> None:
        """Write a new job's row."""
        with self._lock:
            if (old := self._jobs.get(job.id)) is not None:
                if (old.trace, old.created_at, old.user) == (job.trace, job.created_at, job.user):
                    return
                raise JobExists(f"there is a job {job.id} already")
            self._write(job)

    def get(self, job_id: JobId) -> Job:
        """Read a row."""
        with self._lock:
            if job_id not in self._jobs or job_id in self._leaving:
                raise JobNotFound(f"there is no job {job_id}")
            return self._jobs[job_id]

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        """Take the job for one claimant."""
        with self._lock:
            job = self._jobs.get(job_id)
            if job is None:
                return ClaimRefused(job_id=job_id, status=None)
            is_held = job.status is JobStatus.RUNNING and job.lease_until is not None
            is_same = self._tokens.get(job_id) == terms.token and is_held
            if not is_claimable(job, terms.at) and not is_same:
                return ClaimRefused(job_id=job_id, status=job.status, not_before=job.not_before)
            if is_claimable(job, terms.at):
                job = claimed(job, terms)
                self._tokens[job_id] = terms.token
                # Kept until a claim is settled: a claimer may die before it says so.
                before = self._interrupted.get(job_id)
                self._interrupted[job_id] = self._invoked.pop(job_id, before)
                self._write(job)
            return Claim(
                job=job,
                token=terms.token,
                worker=terms.worker,
                lease=terms.lease,
                interrupted_at=self._interrupted.get(job_id),
            )

    def mark_invoked(self, claim: Claim, invoked: Step) -> None:
        """Note that the call begins, under this claim alone."""
        with self._lock:
            job = self._held(claim)
            if (at := self._invoked.get(job.id)) is not None:
                if at != invoked.at:
                    raise _lost(claim, job)
                return
            self._invoked[job.id] = invoked.at
            steps = (*job.timeline, invoked)
            self._write(replace(job, updated_at=invoked.at, timeline=steps))

    def mark_divided(self, claim: Claim, division: Division) -> None:
        """Note how the job is about to be divided, under this claim alone."""
        with self._lock:
            self._write(begun_to_divide(self._held(claim), division))

    def note_part(self, job: Job, number: int, at: datetime) -> Job:
        """Note that a part of a divided job is done, once."""
        with self._lock:
            row = self._jobs.get(job.id)
            if row is None or row.epoch != job.epoch or not row.is_divided or row.division is None:
                raise JobMoved(f"job {job.id} is no longer divided")
            if number not in row.division.ended:
                row = with_part_done(row, number, at)
                self._write(row)
            return row

    def renew(self, claim: Claim, until: datetime) -> None:
        """Move the lease's end, under this claim alone."""
        with self._lock:
            self._write(replace(self._held(claim), lease_until=until, due_at=until))

    def settle(self, claim: Claim, outcome: Outcome) -> Job:
        """Write how the attempt ended, under this claim alone."""
        with self._lock:
            row = self._jobs.get(claim.job_id)
            ours = self._tokens.get(claim.job_id) == claim.token
            if row is None or not ours or row.epoch != claim.epoch:
                raise _lost(claim, row)
            if row.lease_until is None:
                if row.status is not settled(claim.job, outcome).status:
                    raise _lost(claim, row)
                return row
            row = settled(row, outcome)
            self._invoked.pop(row.id, None)
            self._interrupted.pop(row.id, None)
            self._write(row)
            return row

    def change(self, job: Job, change: Change) -> Job:
        """Write a change by someone who holds no claim, if the row is still as `job` says."""
        with self._lock:
            row = self._jobs.get(job.id)
            if row is None or (row.epoch, row.status) != (job.epoch, job.status):
                raise JobMoved(f"job {job.id} is no longer {job.status}")
            row = changed(row, change)
            self._tokens.pop(job.id, None)
            self._invoked.pop(job.id, None)
            self._interrupted.pop(job.id, None)
            self._write(row)
            return row

    def read(self, job_id: JobId) -> Job:
        """Read a row, also one whose removal has begun."""
        with self._lock:
            if job_id not in self._jobs:
                raise JobNotFound(f"there is no job {job_id}")
            return self._jobs[job_id]

    def begin_removal(self, job: Job) -> Job:
        """Let nobody else find the row any more."""
        with self._lock:
            row = self._jobs.get(job.id)
            has_begun = job.id in self._leaving
            epochs = {job.epoch, job.epoch + 1} if has_begun else {job.epoch}
            if row is None or row.epoch not in epochs or row.status is not job.status:
                raise JobMoved(f"job {job.id} is no longer {job.status}")
            if not has_begun:
                self._leaving.add(job.id)
                row = replace(row, epoch=row.epoch + 1)
                self._write(row)
            return row

    def remove(self, job: Job) -> None:
        """Remove an ended job's row."""
        with self._lock:
            row = self._jobs.get(job.id)
            if row is None:
                return
            if (row.epoch, row.status) != (job.epoch, job.status):
                raise JobMoved(f"job {job.id} is no longer {job.status}")
            del self._jobs[job.id]

    def jobs_of(self, user: UserId) -> list[Job]:
        """Give a user's jobs, the newest first; for MemoryJobList."""
        with self._lock:
            found = [
                job
                for job in self._jobs.values()
                if job.user == user and job.id not in self._leaving
            ]
        return sorted(found, key=lambda job: (job.created_at, job.id), reverse=True)

    def all_jobs(self) -> list[Job]:
        """Give every job; for MemoryCensusTaker."""
        with self._lock:
            return list(self._jobs.values())

    def keep_partial(self, claim: Claim, partial: Partial) -> None:
        """Add what had come of the call to a job that was cancelled under this claim."""
        with self._lock:
            row = self._jobs.get(claim.job_id)
            if row is None or not was_cancelled_under(row, claim):
                raise _lost(claim, row)
            if row.result is None:
                self._write(with_partial(row, partial))

    def keep_until(self, job_id: JobId, until: datetime | None) -> None:
        """Note when a row may go; it stays, here."""
        with self._lock:
            if job_id in self._jobs:
                self.kept_until[job_id] = until

    def find(self, now: datetime, *, limit: int) -> list[Job]:
        """Find due jobs: this store is its own jobs.ports.DueJobs."""
        with self._lock:
            due = [job for job in self._jobs.values() if job.due_at and job.due_at <= now]
            return due[:limit]

    def put_off(self, job: Job, until: datetime, swept: Step | None) -> bool:
        """Move the due time, if it is still as in `job`."""
        with self._lock:
            row = self._jobs.get(job.id)
            if row is None or row.due_at is None or row.due_at != job.due_at:
                return False
            if swept is not None:
                noted = (swept,) if row.sweeps < MOST_SWEEPS_NOTED else ()
                row = replace(row, sweeps=row.sweeps + 1, timeline=(*row.timeline, *noted))
            self._write(replace(row, due_at=until))
            return True

    def let_go(self, job: Job) -> None:
        """Never look again at an ended job, if its due time is still as in `job`."""
        with self._lock:
            row = self._jobs.get(job.id)
            if row is not None and (row.due_at, row.status) == (job.due_at, job.status):
                self._write(replace(row, due_at=None))

    def _held(self, claim: Claim) -> Job:
        job = self._jobs.get(claim.job_id)
        if (
            job is None
            or self._tokens.get(claim.job_id) != claim.token
            or job.epoch != claim.epoch
            or job.status is not JobStatus.RUNNING
            or job.lease_until is None
        ):
            raise _lost(claim, job)
        return job

    def _write(self, job: Job) -> None:
        before = self._jobs.get(job.id)
        self._jobs[job.id] = job
        self.stream.record(before, job)


def _lost(claim: Claim, row: Job | None) -> ClaimLost:
    return ClaimLost(
        f"job {claim.job_id} has left epoch {claim.epoch}",
        status=None if row is None else row.status,
    )


class MemoryObjectStore:
    """jobs.ports.ObjectStore in a dict; its URLs are names, nobody serves them."""

    def __init__(self) -> None:
        self._texts: dict[ObjectKey, str] = {}

    def put(self, key: ObjectKey, text: str, *, content_type: str) -> None:  # noqa: ARG002 - the port's
        """Store a text whole."""
        self._texts[key] = text

    def get(self, key: ObjectKey) -> str:
        """Read a text back."""
        if key not in self._texts:
            raise NoResult(f"the object store has no {key}")
        return self._texts[key]

    def delete(self, key: ObjectKey) -> None:
        """Remove a text."""
        self._texts.pop(key, None)

    def delete_all_of(self, job_id: JobId) -> None:
        """Remove a job's texts."""
        for key in [key for key in self._texts if f"/{job_id}" in key]:
            self.delete(key)

    def sign(self, key: ObjectKey, *, lifetime: timedelta) -> str:
        """Make a URL."""
        return f"https://objects.invalid/{key}?lifetime={lifetime.total_seconds():g}"


class MemoryEvents:
    """jobs.ports.EventBus, EventSource and Nudge and jobs.event_log.EventLog in one process.

    `told` keeps what was said.
    """

    def __init__(self) -> None:
        self.told: list[Event] = []
        self.nudges = 0
        self._logs: defaultdict[JobId, list[Heard]] = defaultdict(list)
        self.topics: set[Topic] = set()
        self._listener: Listener | None = None
        self._closed = threading.Event()

    def publish(self, event: Event) -> None:
        """Tell the listener, in the publisher's own thread."""
        self.told.append(event)
        heard = Heard(
            topic=topic_of_job(event.job),
            job=event.job,
            seq=event.seq,
            kind=event.type,
            message=_dumps(message_of(event)),
        )
        trace = told_trace(event)
        log = self._logs[event.job]
        if not log or log[-1].seq < event.seq:
            log.append(heard)
        topics = [heard.topic]
        if event.type.is_state:
            topics.append(topic_of_user(event.user))
        for topic in topics:
            if self._listener is not None and topic in self.topics:
                self._listener.hear(replace(heard, topic=topic, trace=trace))

    def flush(self) -> None:
        """Return: everything is told at once."""

    def read(self, job_id: JobId, *, start: int) -> list[Heard]:
        """Read a page of the log."""
        return [heard for heard in self._logs[job_id] if heard.seq >= start][:PAGE]

    def forget(self, job_id: JobId) -> None:
        """Lose a job's log."""
        self._logs.pop(job_id, None)

    def nudge(self) -> None:
        """Count the nudge."""
        self.nudges += 1

    def listen(self, listener: Listener) -> None:
        """Pass events on until `close`."""
        self._listener = listener
        self._closed.wait()

    def add(self, topic: Topic) -> None:
        """Subscribe."""
        self.topics.add(topic)

    def remove(self, topic: Topic) -> None:
        """Unsubscribe."""
        self.topics.discard(topic)

    def close(self) -> None:
        """End `listen`."""
        self._closed.set()

    def lose_touch(self) -> None:
        """Act as if the bus had been away."""
        if self._listener is not None:
            self._listener.lose_touch()


class MemoryTickets:
    """jobs.tickets.Tickets in a dict, under one lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._given: dict[Ticket, tuple[Caller, timedelta]] = {}

    def give(self, ticket: Ticket, caller: Caller) -> None:
        """Keep a ticket for its lifetime."""
        with self._lock:
            self._given[ticket] = (caller, self._clock.elapsed() + LIFETIME)

    def take(self, ticket: Ticket) -> Caller | None:
        """Use a ticket up."""
        with self._lock:
            caller, until = self._given.pop(ticket, (None, timedelta(0)))
            return caller if self._clock.elapsed() < until else None


class MemoryFenced:
    """jobs.fenced.Holders and FencedSource in one process; `told` keeps what was said."""

    def __init__(self) -> None:
        self.told: list[Fenced] = []
        self._listeners: list[Callable[[Fenced], object]] = []
        self._closed = threading.Event()

    def tell_fenced(self, fenced: Fenced) -> None:
        """Tell all who listen, in the teller's own thread."""
        self.told.append(fenced)
        for hear in list(self._listeners):
            hear(fenced)

    def listen(self, hear: Callable[[Fenced], object]) -> None:
        """Pass hints on until `close`."""
        self._listeners.append(hear)
        self._closed.wait()
        self._listeners.remove(hear)

    def close(self) -> None:
        """End `listen`."""
        self._closed.set()


class MemoryChangeStream:
    """jobs.feed_ports.ChangeStream of a MemoryJobStore, with shards that can be split by hand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[ShardId, list[ChangeRecord | RecordUnreadable]] = {}
        self._parents: dict[ShardId, ShardId | None] = {}
        self._closed: set[ShardId] = set()
        self._written = 0
        self._open = self._add_shard(None)

    def record(self, before: Job | None, after: Job) -> None:
        """Append a change of a row to the open shard."""
        with self._lock:
            self._written += 1
            self._records[self._open].append(
                ChangeRecord(
                    sequence_number=f"{self._written:021d}",
                    change=ChangeWord.INSERT if before is None else ChangeWord.MODIFY,
                    at=after.updated_at or after.created_at,
                    job_id=after.id,
                    before=None if before is None else before.status,
                    after=Image(
                        status=after.status,
                        user=after.user,
                        model=after.model,
                        trace=after.trace,
                        not_before=after.not_before,
                        end=terminal_event(after),
                        receivers=after.receivers,
                        part=after.part,
                        division=after.division,
                    ),
                )
            )

    def spoil(self, error: RecordUnreadable) -> None:
        """Append a record that nobody can read."""
        with self._lock:
            self._written += 1
            self._records[self._open].append(error)

    def split(self) -> None:
        """Close the open shard and go on in a child of it."""
        with self._lock:
            self._closed.add(self._open)
            self._open = self._add_shard(self._open)

    def name(self) -> StreamName:
        """Name the stream."""
        return StreamName("memory")

    def shards(self, stream: StreamName) -> list[Shard]:  # noqa: ARG002 - there is one stream
        """List the shards."""
        with self._lock:
            return [Shard(id=shard, parent=parent) for shard, parent in self._parents.items()]

    def open(
        self,
        stream: StreamName,  # noqa: ARG002 - there is one stream
        shard: ShardId,
        *,
        after: Position | None,
    ) -> MemoryShardReader:
        """Start right after a position, at LATEST, or at the oldest record."""
        return MemoryShardReader(self, shard, after)

    def read(self, shard: ShardId, start: int) -> Batch:
        """Give all that stands in a shard from index `start` on; positions are indexes."""
        with self._lock:
            if start > len(self._records[shard]):
                raise PositionLost(f"{shard} has no record {start}")
            records = self._records[shard][start:]
            return Batch(
                records=tuple(records),
                position=Position(str(start + len(records))) if records else None,
                ended=shard in self._closed,
            )

    def end(self, shard: ShardId) -> Position:
        """Give the position of a shard's last record."""
        with self._lock:
            return Position(str(len(self._records[shard])))

    def _add_shard(self, parent: ShardId | None) -> ShardId:
        shard = ShardId(f"shard-{len(self._parents):04d}")
        self._records[shard] = []
        self._parents[shard] = parent
        return shard


class MemoryShardReader:
    """jobs.feed_ports.ShardReader of a MemoryChangeStream."""

    def __init__(self, stream: MemoryChangeStream, shard: ShardId, after: Position | None) -> None:
        self._stream = stream
        self._shard = shard
        self._after = after

    def read(self) -> Batch:
        """Read what comes next."""
        if self._after == LATEST:
            self._after = self._stream.end(self._shard)
        if self._after is not None and not self._after.isdigit():
            raise PositionLost(f"{self._shard}: {self._after}")
        batch = self._stream.read(self._shard, int(self._after or 0))
        self._after = batch.position or self._after
        return batch


class MemoryShardLeases:
    """jobs.feed_ports.ShardLeases in a dict, under one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leases: dict[StreamName, dict[ShardId, ShardLease]] = defaultdict(dict)

    def load(self, stream: StreamName) -> list[ShardLease]:
        """Read all of a stream's leases."""
        with self._lock:
            return list(self._leases[stream].values())

    def add(self, stream: StreamName, shard: ShardId, checkpoint: Checkpoint) -> None:
        """Make a shard's lease; one that is there stays."""
        with self._lock:
            fresh = ShardLease(shard=shard, checkpoint=checkpoint)
            self._leases[stream].setdefault(shard, fresh)

    def hold(self, stream: StreamName, lease: ShardLease, owner: FeedId | None) -> ShardLease:
        """Take, renew or release a lease that is still as `lease` says."""
        with self._lock:
            found = self._leases[stream].get(lease.shard)
            if found is None or (found.owner, found.counter) != (lease.owner, lease.counter):
                raise LeaseLost(f"{lease.shard} has another owner")
            self._leases[stream][lease.shard] = found.owned_by(owner)
            return lease.owned_by(owner)

    def save(self, stream: StreamName, lease: ShardLease, checkpoint: Checkpoint) -> ShardLease:
        """Write how far the shard has been read, if its owner is the same."""
        with self._lock:
            found = self._leases[stream].get(lease.shard)
            if found is None or found.owner != lease.owner:
                raise LeaseLost(f"{lease.shard} has another owner")
            self._leases[stream][lease.shard] = replace(found, checkpoint=checkpoint)
            return replace(lease, checkpoint=checkpoint)

    def drop(self, stream: StreamName, shard: ShardId) -> None:
        """Forget a shard that the stream no longer has."""
        with self._lock:
            self._leases[stream].pop(shard, None)


class MemoryRejectedRecords:
    """jobs.feed_ports.RejectedRecords in a dict."""

    def __init__(self) -> None:
        self._records: dict[RejectedId, RejectedRecord] = {}

    def put(self, record: RejectedRecord) -> None:
        """Keep a record; one that is there stays as it is."""
        self._records.setdefault(record.id, record)

    def find(self, *, limit: int) -> list[RejectedRecord]:
        """Give up to `limit` records, the newest changes first."""
        return [self._records[record_id] for record_id in sorted(self._records)[::-1][:limit]]

    def get(self, record_id: RejectedId) -> RejectedRecord | None:
        """Give one record, or None where there is none."""
        return self._records.get(record_id)

    def remove(self, record_id: RejectedId) -> None:
        """Forget a record."""
        self._records.pop(record_id, None)


class MemoryTaskQueue:
    """jobs.ports.TaskQueue that keeps what it is handed."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def enqueue(self, tasks: Sequence[Task]) -> None:
        """Keep the tasks."""
        self.tasks.extend(tasks)


class SteadyLeases:
    """jobs.ports.Leases for runs shorter than a lease: nothing is renewed, nothing is lost."""

    @contextmanager
    def keep(self, claim: Claim) -> Iterator[Lease]:  # noqa: ARG002 - the port's
        """Do nothing for the claim."""
        yield _SteadyLease()


class _SteadyLease:
    def check(self) -> None:
        """Find nothing wrong."""

    def on_end(self, break_off: object) -> None:
        """Never call it."""


def _dumps(message: dict[str, object]) -> str:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
