"""What the peers on asyncio have in common: their clients, the task, and the server in front.

`python -m bench.peers.asyncio_work arq|taskiq` serves the front: aiohttp, aiobotocore.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis.asyncio
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import web

from bench.peers import work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Clients:
    """The clients of one process."""

    dynamodb: Any
    bedrock: Any
    events: redis.asyncio.Redis

    @classmethod
    async def open(cls, stack: AsyncExitStack) -> Clients:
        """Make them; `stack` closes them."""
        session, config = get_session(), AioConfig(max_pool_connections=work.AT_ONCE)
        return cls(
            dynamodb=await stack.enter_async_context(
                session.create_client("dynamodb", config=config)
            ),
            bedrock=await stack.enter_async_context(
                session.create_client("bedrock-runtime", config=config)
            ),
            events=redis.asyncio.Redis.from_url(os.environ["REDIS_URL"]),
        )


async def run(clients: Clients, job_id: str) -> None:
    """Run a job."""
    prompt = work.prompt_of(await clients.dynamodb.update_item(**work.claim(job_id)))
    answer = await clients.bedrock.converse_stream(**work.call(job_id, prompt))
    text = "".join([work.text_in(event) async for event in answer["stream"]])
    await clients.dynamodb.update_item(**work.complete(job_id, text))
    await clients.events.publish(work.ENDS, work.word(job_id))


async def serve(enqueue: Callable[[str], Awaitable[object]], port: int) -> None:
    """Accept jobs until SIGTERM."""
    async with AsyncExitStack() as stack:
        clients = await Clients.open(stack)

        async def submit(request: web.Request) -> web.Response:
            job_id = work.new_job_id()
            prompt = (await request.json())["prompt"]
            await clients.dynamodb.put_item(**work.put(job_id, prompt))
            await enqueue(job_id)
            return web.json_response({"id": job_id}, status=202)

        async def ready(_: web.Request) -> web.Response:
            return web.Response(text="ready")

        app = web.Application()
        app.add_routes([web.get("/", ready), web.post("/jobs", submit)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, _HOST, port).start()
        await asyncio.Event().wait()


async def _main(queue: str) -> None:
    if queue == "arq":
        from bench.peers.arq_peer import open_queue  # noqa: PLC0415 - one queue's, not both
    else:
        from bench.peers.taskiq_peer import open_queue  # noqa: PLC0415 - the same
    await serve(await open_queue(), int(os.environ["PORT"]))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
