"""The shard keeper: takes, renews and gives up this feed's share of the shards."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.errors import LeaseLost, LonghaulError
from jobs.shard_leases import Sightings, leases_to_take
from jobs.shards import Checkpoint, Start, StreamName, begun_at_the_end, readable

if TYPE_CHECKING:
    from jobs.feed_ports import ChangeStream, ShardLeases
    from jobs.ports import Clock, Log
    from jobs.shard_leases import FeedId, ShardLease
    from jobs.shards import Shard, ShardId

FAILOVER = timedelta(seconds=10)  # the Kinesis Client Library's own
KEEP_EVERY = FAILOVER / 4
LIST_SHARDS_EVERY = timedelta(seconds=15)  # DescribeStream allows ten calls a second in all


class ShardKeeper:
    """Used by the feed's one thread."""

    def __init__(  # noqa: PLR0913 - what it stands on, each by name
        self,
        *,
        stream: ChangeStream,
        leases: ShardLeases,
        me: FeedId,
        clock: Clock,
        log: Log,
        start: Start = Start.TRIM_HORIZON,
    ) -> None:
        self._source = stream
        self._leases = leases
        self._me = me
        self._clock = clock
        self._log = log
        self._start = start
        self._sightings = Sightings(failover=FAILOVER)
        self._mine: dict[ShardId, ShardLease] = {}
        self._shards: list[Shard] = []
        self._listed_at: timedelta | None = None
        self._kept_at: timedelta | None = None
        self.stream = StreamName("")

    def held(self) -> list[tuple[ShardId, Checkpoint]]:
        """Give the shards that are ours to read, and where each goes on."""
        return [
            (shard, lease.checkpoint)
            for shard, lease in self._mine.items()
            if not lease.checkpoint.ended
        ]

    def keep(self) -> None:
        """Renew what is ours and take our share, if it is time to. Raises Unavailable."""
        now = self._clock.elapsed()
        if self._kept_at is not None and now - self._kept_at < KEEP_EVERY:
            return
        self._list_shards(now)
        leases = self._readable_leases()
        self._sightings.note(leases, now)
        free = [lease for lease in leases if self._sightings.is_free(lease, now)]
        wanted = leases_to_take(leases, free, me=self._me)
        ours = [lease for lease in leases if lease.owner == self._me]
        held = [self._hold(lease) for lease in [*ours, *wanted]]
        self._mine = {lease.shard: lease for lease in held if lease is not None}
        self._kept_at = now

    def save(self, shard: ShardId, checkpoint: Checkpoint) -> None:
        """Write how far a shard of ours has been read. Raises LeaseLost, Unavailable."""
        try:
            lease = self._leases.save(self.stream, self._mine[shard], checkpoint)
        except LeaseLost:
            self._mine.pop(shard)
            raise
        self._mine[shard] = lease
        if checkpoint.ended:
            self._log.info("shard_ended", shard=shard)
            self._listed_at = self._kept_at = None  # its children may be read now

    def release_all(self) -> None:
        """Give up what is ours, so that the other feeds need not wait to be sure of it."""
        for lease in self._mine.values():
            try:
                self._leases.hold(self.stream, lease, None)
            except LonghaulError as error:
                self._log.warning("shard_not_released", shard=lease.shard, reason=str(error))
        self._mine.clear()

    def _list_shards(self, now: timedelta) -> None:
        """Learn of new shards, of those that are gone, and of a stream switched off and on."""
        if self._listed_at is not None and now - self._listed_at < LIST_SHARDS_EVERY:
            return
        stream = self._source.name()
        if stream != self.stream:
            self._log.info("feed_started", stream=stream, feed=self._me)
            self.stream = stream
            self._mine.clear()
        # Read before the listing, so that all of these shards were in the stream at some time.
        known = [lease.shard for lease in self._leases.load(stream)]
        self._shards = list(self._source.shards(stream))
        for shard in set(known) - {shard.id for shard in self._shards}:
            self._leases.drop(stream, shard)
        if self._start is Start.LATEST and not known:  # nobody has read this stream yet
            self._begin_at_the_end(stream)
        self._listed_at = now

    def _begin_at_the_end(self, stream: StreamName) -> None:
        """Leave what was written until now to the sweep."""
        self._log.info("feed_begun_at_the_end", stream=stream, shards=len(self._shards))
        for shard, checkpoint in begun_at_the_end(self._shards):
            self._leases.add(stream, shard, checkpoint)

    def _readable_leases(self) -> list[ShardLease]:
        """Read the leases of all shards that may be read now; make those that are missing."""
        known = {lease.shard: lease for lease in self._leases.load(self.stream)}
        checkpoints = {shard: lease.checkpoint for shard, lease in known.items()}
        shards = [shard.id for shard, _ in readable(self._shards, checkpoints)]
        new = [shard for shard in shards if shard not in known]
        for shard in new:
            self._leases.add(self.stream, shard, Checkpoint())
        if new:
            known = {lease.shard: lease for lease in self._leases.load(self.stream)}
        return [known[shard] for shard in shards if shard in known]

    def _hold(self, lease: ShardLease) -> ShardLease | None:
        try:
            held = self._leases.hold(self.stream, lease, self._me)
        except LeaseLost:
            return None
        if lease.owner != self._me:
            self._log.info("shard_taken", shard=lease.shard, before=lease.owner)
        return held
