"""The least that calls a model behind a queue: a Celery task and `delay().get()`.

No row, no claim, no retries of its own, no watchers: what is lost here is lost. A user's defaults,
but for the pool, which is Longhaul's. `python -m bench.peers.bare_celery` is the worker.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from celery import Celery

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient

TASK = "bench.call"
_QUEUE = "bench.bare"
_THREADS = 8


def make_app(redis_url: str) -> Celery:
    """Make the application, whose results are in the same Redis as its messages."""
    app = Celery("bare", broker=redis_url, backend=redis_url, set_as_current=False)
    app.conf.task_default_queue = _QUEUE
    app.task(name=TASK)(call)
    return app


def call(job_id: str, model: str, prompt: str) -> str:
    """Call the model and give its text; the job's id is for the model's ledger."""
    answer = _bedrock().converse_stream(
        modelId=model,
        messages=[{"role": "user", "content": [{"text": prompt}]}],
        inferenceConfig={"maxTokens": 4096},
        requestMetadata={"longhaul-job-id": job_id},
    )
    return "".join(
        event["contentBlockDelta"]["delta"].get("text", "")
        for event in answer["stream"]
        if "contentBlockDelta" in event
    )


@functools.cache
def _bedrock() -> BedrockRuntimeClient:
    config = Config(max_pool_connections=_THREADS)
    return boto3.client("bedrock-runtime", region_name=os.environ["AWS_REGION"], config=config)


if __name__ == "__main__":
    make_app(os.environ["REDIS_URL"]).worker_main(
        ["worker", "--pool=threads", f"--concurrency={_THREADS}", "--loglevel=INFO"]
    )
