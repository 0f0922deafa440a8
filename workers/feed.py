"""The feed: turns change records into tasks, and remembers how far it got.

A checkpoint is written after the tasks are with the broker, the deliveries of ended jobs are made,
ended parts are noted with their jobs and what nobody could read is set aside, never before: a feed
that dies in between tells some tasks twice, which costs nothing, and loses none. So while records
keep coming a checkpoint may wait for the next.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from jobs.announce import announce
from jobs.dispatch import ChangeRecord, announcements_for, ends_in, is_too_old, tasks_for
from jobs.errors import LeaseLost, LonghaulError, PositionLost, RecordUnreadable, Unavailable
from jobs.shards import Checkpoint
from jobs.sketch import sketch
from workers.patient_reader import PatientReader
from workers.rejections import Rejections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.announce import AnnounceParts
    from jobs.dispatch import Image
    from jobs.feed_ports import ChangeStream, RejectedRecords
    from jobs.in_flight import OpenJobs
    from jobs.ports import Clock, Log, TaskQueue
    from jobs.shards import Batch, ShardId, StreamName
    from workers.gatherer import Gatherer
    from workers.late_word import LateWord
    from workers.shard_keeper import ShardKeeper

_HOT = timedelta(seconds=1)  # how long a nudge is believed while the stream shows nothing yet
_CHECKPOINT_EVERY = timedelta(seconds=0.2)  # of a shard, at most: AWS's own pace of reads
_PAUSE_SECONDS = 1.0  # after a part could not be reached


class Nudges(Protocol):
    """The receiving end of jobs.ports.Nudge."""

    def wait(self, seconds: float) -> bool:
        """Wait for a nudge and say whether one came; never raises."""


@dataclass(frozen=True, kw_only=True)
class FeedParts:
    """What the feed needs.

    `poll` is the wait between reads when all is quiet, in seconds; work in records older than
    `max_record_age` is left to the sweep.
    """

    stream: ChangeStream
    keeper: ShardKeeper
    queue: TaskQueue
    announcing: AnnounceParts
    late_word: LateWord
    gatherer: Gatherer
    rejected: RejectedRecords
    nudges: Nudges
    clock: Clock
    log: Log
    process: str
    poll: float
    reads_per_second: float
    max_record_age: timedelta | None = None
    open_jobs: OpenJobs | None = None


@dataclass(kw_only=True)
class FeedProgress:
    """How far a feed is, for whoever watches it from another thread.

    `record_ages` says of each shard that is held how old the last record of its last batch was
    when its effect was safe; none of a shard whose last read gave nothing.
    """

    turned_at: datetime | None = None
    checkpointed_at: datetime | None = None
    record_ages: dict[ShardId, timedelta] = field(default_factory=dict)

    @property
    def record_age(self) -> timedelta:
        """The age in the shard that is furthest behind."""
        return max(self.record_ages.copy().values(), default=timedelta(0))


class Feed:
    """Reads the shards that it holds in turn; one thread."""

    def __init__(self, parts: FeedParts) -> None:
        self._parts = parts
        self._stop = threading.Event()
        self._readers: dict[ShardId, PatientReader] = {}
        self._stream: StreamName | None = None
        self._safe: dict[ShardId, Checkpoint] = {}  # not written down yet
        self._written_at: dict[ShardId, timedelta] = {}
        self._rejections = Rejections(rejected=parts.rejected, clock=parts.clock, log=parts.log)
        self.left_to_sweep = 0  # records that were too old
        self.progress = FeedProgress()

    def run(self) -> None:
        """Feed until `stop`; outlives any part that goes away, and whatever else a turn raises."""
        hot_until = self._parts.clock.elapsed()
        while not self._stop.is_set():
            try:
                came = self.turn()
            except LonghaulError as error:
                self._parts.log.warning("feed_waits", reason=str(error))
                self._stop.wait(_PAUSE_SECONDS)
                continue
            except Exception as error:  # noqa: BLE001 - one surprise must not end all feeding
                self._parts.log.warning("feed_broke", error=sketch(error))
                self._stop.wait(_PAUSE_SECONDS)
                continue
            # AWS allows so many reads of a shard a second, nudged or not.
            self._parts.clock.sleep(timedelta(seconds=1 / self._parts.reads_per_second))
            if came or self._parts.clock.elapsed() < hot_until:
                continue
            if self._parts.nudges.wait(self._parts.poll):
                hot_until = self._parts.clock.elapsed() + _HOT
        self._parts.late_word.tell_all_now()
        try:
            self._write_down(every=timedelta(0))
        except LonghaulError as error:
            self._parts.log.warning("checkpoint_not_written", reason=str(error))
        self._parts.keeper.release_all()

    def stop(self) -> None:
        """End `run` after the turn that is under way."""
        self._stop.set()

    def turn(self) -> bool:
        """Read each shard that is held once and say whether anything came. Raises Unavailable."""
        keeper = self._parts.keeper
        keeper.keep()
        if keeper.stream != self._stream:  # a shard of the same name is not the same shard
            self._readers.clear()
            self._safe.clear()
            self._stream = keeper.stream
        self._readers = {
            shard: self._readers.get(shard)
            or PatientReader(
                self._parts.stream.open(keeper.stream, shard, after=checkpoint.position)
            )
            for shard, checkpoint in keeper.held()
        }
        self._forget_safe_but(set(self._readers))
        counts = [self._pump(shard) for shard in list(self._readers)]
        self._write_down(every=_CHECKPOINT_EVERY if any(counts) else timedelta(0))
        ages = self.progress.record_ages
        for shard in set(ages) - set(self._readers):
            del ages[shard]
        self.progress.turned_at = self._parts.clock.now()
        return any(counts)

    @property
    def shard_count(self) -> int:
        """How many shards it reads."""
        return len(self._readers)

    def _pump(self, shard: ShardId) -> int:
        """Move one batch from a shard to the broker and give its size."""
        reader = self._readers[shard]
        try:
            batch = reader.read()
        except PositionLost as error:
            self._start_over(shard, error)
            return 0
        try:
            self._enqueue(shard, batch)
        except Exception:
            reader.give_back(batch)  # nothing is skipped
            raise
        if left := self._set_aside(shard, batch):
            reader.give_back(replace(batch, records=tuple(left)))  # what is safe is not done again
            return 0
        if batch.position is not None or batch.ended:
            self._safe[shard] = Checkpoint(position=batch.position, ended=batch.ended)
        self._note_age(shard, batch)
        return len(batch.records)

    def _note_age(self, shard: ShardId, batch: Batch) -> None:
        times = [record.at for record in batch.records if isinstance(record, ChangeRecord)]
        if times:
            self.progress.record_ages[shard] = self._parts.clock.now() - times[-1]
        elif not batch.records:
            self.progress.record_ages.pop(shard, None)

    def _enqueue(self, shard: ShardId, batch: Batch) -> None:
        now = self._parts.clock.now()
        records = [record for record in batch.records if isinstance(record, ChangeRecord)]
        young = [
            record
            for record in records
            if not is_too_old(record, now, most=self._parts.max_record_age)
        ]
        tasks = tasks_for(young, now=now, by=self._parts.process)
        self._parts.queue.enqueue(tasks)
        if tasks:
            self._parts.log.info("tasks_enqueued", shard=shard, tasks=len(tasks))
        ended = ends_in(records)
        announce(announcements_for(ended), self._parts.announcing)
        self._parts.gatherer.take(records)
        self._parts.late_word.tell(ended)
        self._close(ended)
        self._note_too_old(shard, len(records) - len(young))

    def _close(self, ended: Sequence[Image]) -> None:
        """Say that these jobs are in flight no more; a word that is lost is made good by a look."""
        if self._parts.open_jobs is None or not ended:
            return
        try:
            self._parts.open_jobs.remove(
                (image.user, image.end.job) for image in ended if image.end is not None
            )
        except Unavailable as error:
            self._parts.log.warning("open_jobs_not_told", reason=str(error))

    def _set_aside(self, shard: ShardId, batch: Batch) -> list[RecordUnreadable]:
        """Set aside what nobody can read, and give what is not safe yet."""
        unread = [record for record in batch.records if isinstance(record, RecordUnreadable)]
        return self._rejections.set_aside(unread, stream=self._parts.keeper.stream, shard=shard)

    def _note_too_old(self, shard: ShardId, count: int) -> None:
        if count:
            self.left_to_sweep += count
            self._parts.log.warning(
                "records_too_old", shard=shard, records=count, left_to_sweep=self.left_to_sweep
            )

    def _write_down(self, *, every: timedelta) -> None:
        """Write down how far each shard is safe, of which nothing was written for `every`."""
        now = self._parts.clock.elapsed()
        for shard, checkpoint in list(self._safe.items()):
            written_at = self._written_at.get(shard)
            if checkpoint.ended or written_at is None or now - written_at >= every:
                self._checkpoint(shard, checkpoint)
                self._safe.pop(shard, None)
                self._written_at[shard] = now

    def _forget_safe_but(self, held: set[ShardId]) -> None:
        """Forget what is known of shards that are another's, or of another stream."""
        for known in (self._safe, self._written_at):
            for shard in set(known) - held:
                del known[shard]

    def _checkpoint(self, shard: ShardId, checkpoint: Checkpoint) -> None:
        try:
            self._parts.keeper.save(shard, checkpoint)
            self.progress.checkpointed_at = self._parts.clock.now()
        except LeaseLost:
            self._parts.log.info("shard_taken_by_another", shard=shard)
            self._readers.pop(shard, None)

    def _start_over(self, shard: ShardId, error: PositionLost) -> None:
        """Read the shard from its oldest record: what comes twice is claimed once."""
        self._parts.log.warning("feed_started_over", shard=shard, reason=str(error))
        self._safe.pop(shard, None)
        self._checkpoint(shard, Checkpoint())
        self._readers.pop(shard, None)
