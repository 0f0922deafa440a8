"""The doctor's look at Redis. `INFO` says it all: hosted ones refuse `CONFIG`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from adapters.redis_drain import RedisWorkers
from adapters.redis_errors import translating_redis
from jobs.checkup import Finding, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

LEAST_VERSION = (6, 2)
MOST_SKEW = timedelta(seconds=5)
_NTP = "set the clocks right by NTP (docs/operations.md, Clocks)"


@dataclass(frozen=True, kw_only=True)
class RedisChecks:
    """What Redis has to be, and which workers it knows."""

    client: redis.Redis

    def look(self) -> Iterator[Finding]:
        """Look at the server itself."""
        began = datetime.now(UTC)
        with translating_redis("redis", told="does not answer"):
            info: dict[str, Any] = self.client.info()
            seconds, microseconds = self.client.time()
        yield _version_of(info)
        yield _eviction_of(info)
        yield _durability_of(info)
        at = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
        yield clock_finding("redis clock", at, began)

    def workers(self) -> Iterator[Finding]:
        """Look at the workers that listen, and have said how much room they have."""
        alive = RedisWorkers(self.client).rooms()
        if not alive:
            yield fail("workers", "none is there", "start one: python -m workers.worker_entry")
            return
        names = ", ".join(sorted(alive))
        yield ok("workers", f"{len(alive)} with room for {sum(alive.values())} jobs: {names}")


def clock_finding(name: str, theirs: datetime, ours: datetime) -> Finding:
    """Compare a clock with this machine's."""
    skew = theirs - ours
    told = f"{skew.total_seconds():+.1f} s from this machine's"
    return ok(name, told) if abs(skew) <= MOST_SKEW else warn(name, told, _NTP)


def _version_of(info: dict[str, Any]) -> Finding:
    version = str(info.get("valkey_version") or info.get("redis_version", "0"))
    found = tuple(map(int, re.findall(r"\d+", str(info.get("redis_version", "0")))[:2]))
    if found < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        return fail("redis", f"version {version}", f"run Redis {least} or newer, or Valkey")
    return ok("redis", f"version {version}")


def _eviction_of(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return ok("redis eviction", policy)
    return fail(
        "redis eviction",
        f"maxmemory-policy is {policy}: what Celery needs may be evicted, and tasks then vanish",
        "set maxmemory-policy to noeviction",
    )


def _durability_of(info: dict[str, Any]) -> Finding:
    if info.get("aof_enabled"):
        return ok("redis durability", "append-only file is on")
    return warn(
        "redis durability",
        "no append-only file: a restart loses tasks and events, and jobs wait for the sweep",
        "set appendonly to yes",
    )
