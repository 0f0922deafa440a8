"""Several feeds on one stream in memory, each with a keeper of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapters.memory import (
    ManualClock,
    MemoryChangeStream,
    MemoryRejectedRecords,
    MemoryShardLeases,
    MemoryTaskQueue,
)
from jobs.job import Job, JobId
from jobs.shard_leases import FeedId
from jobs.shards import Shard, Start, StreamName
from tests.builders import RecordingLog, a_job, announce_parts, gatherer, late_word
from workers.feed import Feed, FeedParts
from workers.shard_keeper import KEEP_EVERY, ShardKeeper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from adapters.memory import MemoryShardReader
    from jobs.feed_ports import ChangeStream, ShardLeases
    from jobs.shards import Position, ShardId


class QuietNudges:
    """Nudges that never come; keeps how long the feed would have waited."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        """Come back at once, without a nudge."""
        self.waits.append(seconds)
        return False


class NamedStreams:
    """Change streams of which one is current: one that is switched off and on has another name."""

    def __init__(self, **streams: MemoryChangeStream) -> None:
        self.streams = streams
        self.current = next(iter(streams))

    def name(self) -> StreamName:
        """Name the current stream."""
        return StreamName(self.current)

    def shards(self, stream: StreamName) -> list[Shard]:
        """List a stream's shards."""
        return self.streams[stream].shards(stream)

    def open(
        self, stream: StreamName, shard: ShardId, *, after: Position | None
    ) -> MemoryShardReader:
        """Read one shard."""
        return self.streams[stream].open(stream, shard, after=after)


class WideStream:
    """A change stream of many shards that are nobody's parents, each with a stream of its own."""

    def __init__(self, width: int) -> None:
        self.parts = {f"wide-{n:04d}": MemoryChangeStream() for n in range(width)}

    def name(self) -> StreamName:
        """Name the stream."""
        return StreamName("wide")

    def shards(self, stream: StreamName) -> list[Shard]:  # noqa: ARG002 - there is one stream
        """List the shards."""
        return [Shard(id=shard) for shard in self.parts]  # type: ignore[arg-type] # ShardIds

    def open(
        self,
        stream: StreamName,
        shard: ShardId,
        *,
        after: Position | None,
    ) -> MemoryShardReader:
        """Read one shard."""
        part = self.parts[shard]
        return part.open(stream, part.shards(stream)[0].id, after=after)


class Feeds:
    """Feeds that share a stream, its leases, a clock and a broker; the test turns them."""

    def __init__(
        self,
        *names: str,
        stream: ChangeStream | None = None,
        leases: ShardLeases | None = None,
        start: Start = Start.TRIM_HORIZON,
    ) -> None:
        self.clock = ManualClock()
        self.stream = stream or MemoryChangeStream()
        self.leases = leases or MemoryShardLeases()
        self.queue = MemoryTaskQueue()
        self.rejected = MemoryRejectedRecords()
        self.begin_at = start
        self.keepers: dict[str, ShardKeeper] = {}
        self.feeds: dict[str, Feed] = {}
        self.logs: dict[str, RecordingLog] = {}
        for name in names:
            self.start(name)

    def start(self, name: str) -> None:
        """Let one more feed begin."""
        log = self.logs[name] = RecordingLog()
        keeper = self.keepers[name] = ShardKeeper(
            stream=self.stream,
            leases=self.leases,
            me=FeedId(name),
            clock=self.clock,
            log=log,
            start=self.begin_at,
        )
        self.feeds[name] = Feed(
            FeedParts(
                stream=self.stream,
                keeper=keeper,
                queue=self.queue,
                announcing=announce_parts(),
                late_word=late_word(),
                gatherer=gatherer(),
                rejected=self.rejected,
                nudges=QuietNudges(),
                clock=self.clock,
                log=log,
                process=name,
                poll=1.0,
                reads_per_second=5,
            )
        )

    def kill(self, name: str) -> None:
        """Let a feed be gone, with all that it held."""
        del self.feeds[name], self.keepers[name]

    def keep(self, rounds: int = 1) -> None:
        """Let every keeper keep, `rounds` times."""
        for _ in range(rounds):
            for keeper in self.keepers.values():
                keeper.keep()
            self.clock.advance(KEEP_EVERY)

    def turn(self, rounds: int = 1, *, every: timedelta = KEEP_EVERY) -> None:
        """Let every feed turn, `rounds` times."""
        for _ in range(rounds):
            for feed in list(self.feeds.values()):
                feed.turn()
            self.clock.advance(every)

    def held(self, name: str) -> list[ShardId]:
        """Say which shards a feed believes to hold."""
        return [shard for shard, _ in self.keepers[name].held()]

    @property
    def counts(self) -> list[int]:
        """Say how many shards each feed holds, the fewest first."""
        return sorted(len(keeper.held()) for keeper in self.keepers.values())

    @property
    def tasked(self) -> list[JobId]:
        """Say which jobs have become tasks."""
        return [task.job_id for task in self.queue.tasks]


def some_jobs(count: int, *, start: int = 0) -> list[Job]:
    """Make jobs with ids of their own."""
    return [a_job(id=JobId(f"job_{n:026d}")) for n in range(start, start + count)]


def insert(stream: MemoryChangeStream, jobs: Sequence[Job]) -> list[JobId]:
    """Let jobs be new in a stream."""
    for job in jobs:
        stream.record(None, job)
    return [job.id for job in jobs]
