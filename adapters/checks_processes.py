"""The doctor's look at the processes: who feeds, sweeps and answers, and what waits."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import urllib3
import urllib3.exceptions

from jobs.census import MOST_COUNTED
from jobs.checkup import Finding, fail, ok, warn
from jobs.job import JobStatus
from jobs.times import written_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.census import CensusTaker
    from jobs.feed_ports import ChangeStream, ShardLeases
    from jobs.ports import Clock
    from jobs.shard_leases import FeedId, ShardLease
    from jobs.shards import StreamName

WITHIN_SECONDS = 8.0  # a feed renews every 2.5 s
WEB_SECONDS = 4.0
LONG_SECONDS = 120.0  # a job that waits so long is worth a look
_LOOK_SECONDS = 0.1
_START_A_FEED = "start one: python -m workers.feed_entry"
_LOOK_AGAIN = f"{_START_A_FEED}; where one has just died, another goes on within 13 s: look again"


@dataclass(frozen=True, kw_only=True)
class ProcessChecks:
    """`sweep` is the name under which the sweep's lease stands beside the stream's."""

    leases: ShardLeases
    stream: ChangeStream
    sweep: StreamName
    census: CensusTaker
    clock: Clock
    within: float = WITHIN_SECONDS

    def feeds(self) -> Iterator[Finding]:
        """Look whether every shard that goes on is being read."""
        yield self._fresh("feeds", self.stream.name(), "shard")

    def sweeper(self) -> Iterator[Finding]:
        """Look whether somebody sweeps."""
        yield self._fresh("sweep", self.sweep, "lease")

    def waiting(self) -> Iterator[Finding]:
        """Say how many jobs have not ended, and whether the oldest waits for too long."""
        now = self.clock.now()
        census = self.census.count(now, most=MOST_COUNTED)
        counts = ", ".join(f"{count} {status}" for status, count in census.counts.items())
        told = counts if census.is_whole else f"more than {counts}"
        oldest = census.oldest.get(JobStatus.PENDING)
        if oldest is not None and (now - oldest).total_seconds() > LONG_SECONDS:
            told = f"{told}; the oldest has waited since {written_time(oldest)}"
            yield warn("open jobs", told, "see why: longhaul jobs --stuck")
        else:
            yield ok("open jobs", told)

    def _fresh(self, name: str, stream: StreamName, what: str) -> Finding:
        """See each lease's counter move: so no two machines' clocks are compared."""
        first = {one.shard: one for one in self.leases.load(stream) if not one.checkpoint.ended}
        if not first:
            return fail(name, f"no {what} has ever been held", _START_A_FEED)
        still, owners = set(first), {one.owner for one in first.values() if one.owner}
        deadline = time.monotonic() + self.within
        while still and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            now = {one.shard: one for one in self.leases.load(stream)}
            owners = {one.owner for one in now.values() if one.owner}
            still = {
                shard
                for shard in still
                if shard in now and (now[shard].counter, now[shard].owner) == _seen(first[shard])
            }
        if still:
            told = f"nobody has renewed the {what} of {', '.join(sorted(still))}"
            return fail(name, f"{told} in {self.within:g} s", _LOOK_AGAIN)
        return ok(name, f"{len(first)} held by {', '.join(sorted(owners)) or 'nobody'}")


def look_at_web(url: str, *, is_named: bool) -> Callable[[], Iterator[Finding]]:
    """Ask a web process whether it is ready; one that nobody named may be elsewhere."""

    def look() -> Iterator[Finding]:
        try:
            answer = urllib3.request("GET", f"{url}/readyz", timeout=WEB_SECONDS, retries=False)
        except (urllib3.exceptions.HTTPError, urllib3.exceptions.LocationValueError) as error:
            told = f"{url} does not answer ({type(error).__name__})"
            if is_named:
                yield fail("web", told, "start one: python -m web.serve")
            else:
                yield warn("web", told, "say where it is: --url, or LONGHAUL_URL")
            return
        if answer.status == 200:  # noqa: PLR2004 - HTTP's OK
            yield ok("web", f"{url} is ready")
        else:
            advice = "mend what is away from it; what it rests on is looked at from here, too"
            yield fail("web", f"{url}/readyz answers {answer.status}{_away(answer.data)}", advice)

    return look


def _away(body: bytes) -> str:
    """Name the parts that a web process says it waits for."""
    try:
        parts = json.loads(body)["parts"]
        away = [f"{name} is {state}" for name, state in parts.items() if state != "ready"]
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""
    return f": {', '.join(away)}" if away else ""


def _seen(lease: ShardLease) -> tuple[int, FeedId | None]:
    return lease.counter, lease.owner
