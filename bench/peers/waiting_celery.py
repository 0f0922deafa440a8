"""The usual way: a Celery task that makes the call with boto3 and puts the text together.

No row, no lease, no numbers, no watcher: what it costs to hold the call alone, on Celery's gevent
pool or its prefork pool.
"""

from __future__ import annotations

import os

import boto3
import redis
from botocore.config import Config
from celery import Celery

from bench.peers.waiting_words import CALL, ENDED, MODEL, READ_SECONDS

app = Celery("waiting", broker=os.environ["REDIS_URL"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
bedrock = boto3.client(
    "bedrock-runtime",
    config=Config(
        max_pool_connections=int(os.environ["BENCH_CONNECTIONS"]),
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
    ),
)
broker = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.task(name=CALL)
def call(prompt: str) -> None:
    """Make one call and say that it has ended."""
    answer = bedrock.converse_stream(
        modelId=MODEL,
        messages=[{"role": "user", "content": [{"text": prompt}]}],
        inferenceConfig={"maxTokens": 4096},
    )
    came = [
        text
        for event in answer["stream"]
        if (text := event.get("contentBlockDelta", {}).get("delta", {}).get("text"))
    ]
    broker.rpush(ENDED, len("".join(came)))
