"""What a job and a piece of its answer cost Redis: processor time, commands and memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import redis

from tests.rehearsal.load import stream_jobs
from workers.late_word import GRACE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

_LOGS: Final = "longhaul:log:*"


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What Redis did in a while."""

    cpu_seconds: float
    commands: Mapping[str, int]
    seconds: float

    def less(self, idle: Spent) -> Spent:
        """Take away what it does when nothing is asked, in as much time."""
        part = self.seconds / idle.seconds
        return Spent(
            cpu_seconds=self.cpu_seconds - idle.cpu_seconds * part,
            commands={
                name: round(count - idle.commands.get(name, 0) * part)
                for name, count in self.commands.items()
            },
            seconds=self.seconds,
        )


@dataclass(frozen=True, kw_only=True)
class RedisCost:
    """Of a job whose answer comes in few pieces, of each further piece, and of what is kept."""

    few: int
    many: int
    job_cpu_seconds: float
    piece_cpu_seconds: float
    event_bytes: float
    commands: Mapping[str, float]  # a job of few pieces


async def measure_redis(url: str, redis_url: str, *, jobs: int, few: int, many: int) -> RedisCost:
    """Let jobs stream, some with few pieces and some with many, each with one watcher."""
    client = redis.Redis.from_url(redis_url)
    try:
        seconds = max(2.0, many / 25)  # slow enough that no two pieces become one event
        await stream_jobs(url, jobs=1, prompt=_prompt(few, 1))  # what loads late
        idle = await _spent(client, asyncio.sleep(seconds))
        spent = {}
        logs: dict[int, float] = {}
        for pieces in (few, many):
            before = set(client.scan_iter(_LOGS))
            work = _stream(url, jobs=jobs, prompt=_prompt(pieces, seconds))
            spent[pieces] = (await _spent(client, work)).less(idle)
            kept = set(client.scan_iter(_LOGS)) - before
            logs[pieces] = sum(client.memory_usage(key, samples=0) or 0 for key in kept) / jobs
    finally:
        client.close()
    cpu = {pieces: one.cpu_seconds / jobs for pieces, one in spent.items()}
    piece = max(0.0, (cpu[many] - cpu[few]) / (many - few))
    return RedisCost(
        few=few,
        many=many,
        job_cpu_seconds=max(0.0, cpu[few] - piece * few),
        piece_cpu_seconds=piece,
        event_bytes=logs[many] / many,
        commands={name: count / jobs for name, count in spent[few].commands.items() if count > 0},
    )


async def _stream(url: str, *, jobs: int, prompt: str) -> None:
    """Let jobs stream, and wait for what the feed tells of their ends."""
    await stream_jobs(url, jobs=jobs, prompt=prompt)
    await asyncio.sleep(GRACE.total_seconds() + 1)


def _prompt(pieces: int, seconds: float) -> str:
    pace = f"tokens={pieces}; duration_s={seconds:g}; first_token_s=0"
    return f"Say it. <<stand-in: {pace}>>"


async def _spent(client: redis.Redis, work: Awaitable[object]) -> Spent:
    began, before, counts = time.monotonic(), _cpu(client), _counts(client)
    await work
    after = _counts(client)
    return Spent(
        cpu_seconds=_cpu(client) - before,
        commands={name: count - counts.get(name, 0) for name, count in after.items()},
        seconds=time.monotonic() - began,
    )


def _cpu(client: redis.Redis) -> float:
    used: dict[str, Any] = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def _counts(client: redis.Redis) -> dict[str, int]:
    """Count commands by their names, those of scripts included."""
    stats: dict[str, Any] = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}
