"""The doctor's look at Redis. `INFO` says it all: hosted ones refuse `CONFIG`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import redis

from adapters.redis_drain import RedisWorkers
from jobs.checkup import Finding, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_VERSION = (6, 2)
MOST_SKEW = timedelta(seconds=5)
_NEWER = f"run Redis {'.'.join(map(str, LEAST_VERSION))} or newer, or Valkey"
_NTP = "set the clocks right by NTP (docs/operations.md, Clocks)"


@dataclass(frozen=True, kw_only=True)
class RedisChecks:
    """What Redis has to be, and which workers it knows."""

    client: redis.Redis

    def look(self) -> Iterator[Finding]:
        """Look at the server itself."""
        began = datetime.now(UTC)
        try:
            info: dict[str, Any] = self.client.info()
            seconds, microseconds = self.client.time()
        except redis.RedisError as error:
            yield self._silence_of(error)
            return
        yield ok("redis", f"{self._where} answers")
        yield _version_of(info)
        yield _eviction_of(info)
        yield _durability_of(info)
        at = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
        yield clock_finding("redis clock", at, began)

    @property
    def _where(self) -> str:
        """Name the server, without its password."""
        named = self.client.connection_pool.connection_kwargs
        return str(named.get("path") or f"{named.get('host')}:{named.get('port', 6379)}")

    def _silence_of(self, error: redis.RedisError) -> Finding:
        """Say why there is no answer, as far as the error tells."""
        where, kind = self._where, type(error).__name__
        if isinstance(error, redis.AuthenticationError | redis.exceptions.NoPermissionError):
            told = f"{where} refuses these credentials ({kind})"
            return fail("redis", told, "see user and password in REDIS_URL, and their rights")
        if isinstance(error, redis.TimeoutError):
            if "connecting" in str(error):
                told = f"{where} does not take connections"
                return fail("redis", told, "see REDIS_URL, and the way out of this network")
            told = f"{where} takes connections and does not answer"
            return fail("redis", told, "see whether it hangs, or wants rediss:// in REDIS_URL")
        if isinstance(error, redis.ResponseError):
            if "HELLO" in str(error):  # redis-py's first word, which no Redis before 6 knows
                return fail("redis", f"{where} is older than Redis 6", _NEWER)
            return fail("redis", f"{where} refuses INFO or TIME ({kind})", "grant both commands")
        told = f"{where} cannot be reached ({kind})"
        return fail("redis", told, "see that REDIS_URL is right and Redis runs")

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
        return fail("redis version", version, _NEWER)
    return ok("redis version", version)


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
