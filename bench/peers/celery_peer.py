"""The peer in bare Celery: a Flask view that puts the row and delays a task, and the task.

Run by gunicorn's gevent worker (`bench.peers.celery_peer:app`) and by `celery worker -P gevent`.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import boto3
import redis
from botocore.config import Config
from celery import Celery
from flask import Flask, request

from bench.peers import work

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from mypy_boto3_dynamodb.client import DynamoDBClient

app = Flask(__name__)
celery = Celery("peer", broker=os.environ.get("REDIS_URL"))
celery.conf.update(task_ignore_result=True, task_default_queue="bench.celery")


@cache
def dynamodb() -> DynamoDBClient:
    """Make the client for the table, once."""
    return boto3.client("dynamodb", config=Config(max_pool_connections=work.AT_ONCE))


@cache
def bedrock() -> BedrockRuntimeClient:
    """Make the client for the model, once."""
    return boto3.client("bedrock-runtime", config=Config(max_pool_connections=work.AT_ONCE))


@cache
def events() -> redis.Redis:
    """Make the client for the channel, once."""
    return redis.Redis.from_url(os.environ["REDIS_URL"])


@app.get("/")
def ready() -> str:
    """Say that the server is up."""
    return "ready"


@app.post("/jobs")
def submit() -> tuple[dict[str, str], int]:
    """Accept a job."""
    job_id = work.new_job_id()
    dynamodb().put_item(**work.put(job_id, request.get_json()["prompt"]))
    celery.send_task("run", args=[job_id])
    return {"id": job_id}, 202


@celery.task(name="run")
def run(job_id: str) -> None:
    """Run a job."""
    prompt = work.prompt_of(dynamodb().update_item(**work.claim(job_id)))
    stream = bedrock().converse_stream(**work.call(job_id, prompt))["stream"]
    text = "".join(map(work.text_in, stream))
    dynamodb().update_item(**work.complete(job_id, text))
    events().publish(work.ENDS, work.word(job_id))
