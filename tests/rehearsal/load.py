"""Load: many jobs at once, each with somebody who reads it as it is made."""

from __future__ import annotations

import asyncio

import httpx

from longhaul_client import AsyncLonghaul


async def stream_jobs(url: str, *, jobs: int, prompt: str) -> None:
    """Submit the jobs and read each to its end, coming back as the Python client does.

    Raises RuntimeError for one that does not complete.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with (
        httpx.AsyncClient(trust_env=False, limits=limits, timeout=60) as http,
        AsyncLonghaul(url, http=http) as client,
        asyncio.TaskGroup() as watchers,
    ):
        for _ in range(jobs):
            watchers.create_task(_follow(client, prompt))


async def _follow(client: AsyncLonghaul, prompt: str) -> None:
    job = await client.jobs.create(prompt=prompt)
    async for _ in client.jobs.text_stream(job.id):
        pass
    ended = await client.jobs.wait(job.id)
    if ended.status != "COMPLETED":
        raise RuntimeError(f"job {job.id} is {ended.status}")
