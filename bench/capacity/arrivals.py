"""The same jobs at the same times, to the real processes: what the simulation is held against."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from bench.capacity.flow import Trip

if TYPE_CHECKING:
    from collections.abc import Sequence

_TOKENS: Final = 10  # of each answer: it is the waiting that is looked at
_ENDS_WITHIN: Final = 120.0
_LOOK_SECONDS: Final = 0.2
_OPEN: Final = ("PENDING", "PENDING_RETRY", "RUNNING")


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A job that is to come `at` so many seconds, and whose answer takes so long."""

    at: float
    answer: float


async def arrive(url: str, arrivals: Sequence[Arrival]) -> list[Trip]:
    """Submit each job at its time, wait for all, and read from the rows how each went.

    Raises RuntimeError for one that does not complete.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, trust_env=False, limits=limits, timeout=60) as http:
        began = time.monotonic()
        jobs = await asyncio.gather(*(_submit(http, one, began) for one in arrivals))
        async with asyncio.timeout(_ENDS_WITHIN):
            for job in jobs:
                await _end(http, job)
        return [await _trip(http, job) for job in jobs]


async def _submit(http: httpx.AsyncClient, arrival: Arrival, began: float) -> str:
    await asyncio.sleep(began + arrival.at - time.monotonic())
    pace = f"tokens={_TOKENS}; duration_s={arrival.answer:.3f}; first_token_s=0"
    answer = await http.post("/v1/jobs", json={"prompt": f"Say it. <<stand-in: {pace}>>"})
    path: str = answer.raise_for_status().headers["Location"]
    return path


async def _end(http: httpx.AsyncClient, job: str) -> None:
    while (status := (await _read(http, job))["status"]) != "COMPLETED":
        if status not in _OPEN:
            raise RuntimeError(f"{job} is {status}")
        await asyncio.sleep(_LOOK_SECONDS)


async def _trip(http: httpx.AsyncClient, job: str) -> Trip:
    steps = (await _read(http, f"{job}/timeline"))["steps"]
    at = {step["step"]: datetime.fromisoformat(step["at"]).timestamp() for step in steps}
    return Trip(
        arrived=at["accepted"],
        accepted=at["written"],
        enqueued=at["enqueued"],
        started=at["claimed"],
        called=at["invoked"],
        ended=at["completed"],
    )


async def _read(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(path)).raise_for_status().json()
    return found
