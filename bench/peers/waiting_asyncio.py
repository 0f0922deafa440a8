"""The physical limit: a plain asyncio program over aiobotocore, all its streams in one loop.

It makes the calls, puts the text together and says that a call has ended. With `--tell` it
publishes each token as well, so that somebody could watch; nothing is durable or numbered.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any, TypeAlias

import redis.asyncio
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from bench.peers.waiting_words import BEGIN, ENDED, MODEL, READ_SECONDS, TEXT

Client: TypeAlias = Any  # aiobotocore ships no types

CONNECTIONS_TO_REDIS = 50


async def main(connections: int, *, tells: bool) -> None:
    """Wait for a word, make as many calls as it asks for, and wait again."""
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        os.environ["REDIS_URL"], max_connections=CONNECTIONS_TO_REDIS
    )
    broker = redis.asyncio.Redis(connection_pool=pool)
    config = AioConfig(
        max_pool_connections=connections,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
    )
    async with get_session().create_client("bedrock-runtime", config=config) as bedrock:
        while True:
            asked = json.loads((await broker.blpop([BEGIN]) or ("", "{}"))[1])
            teller = broker if tells else None
            calls = (
                _call(bedrock, asked["prompt"], number, broker=broker, teller=teller)
                for number in range(asked["calls"])
            )
            await asyncio.gather(*calls)


async def _call(
    bedrock: Client,
    prompt: str,
    number: int,
    *,
    broker: redis.asyncio.Redis,
    teller: redis.asyncio.Redis | None,
) -> None:
    answer = await bedrock.converse_stream(
        modelId=MODEL,
        messages=[{"role": "user", "content": [{"text": prompt}]}],
        inferenceConfig={"maxTokens": 4096},
    )
    came: list[str] = []
    async for event in answer["stream"]:
        if text := event.get("contentBlockDelta", {}).get("delta", {}).get("text"):
            came.append(text)
            if teller is not None:
                await teller.publish(f"{TEXT}{number}", text)
    await broker.rpush(ENDED, len("".join(came)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), tells="--tell" in sys.argv))
