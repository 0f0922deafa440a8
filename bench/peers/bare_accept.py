"""The floor of accepting: a Flask view that writes one row with boto3, and nothing else.

No users, no checks, no trace, no events, no line in a log: the least that makes a job durable
before 202. It runs from Longhaul's own environment, on the same gunicorn and gevent.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from flask import Flask, request

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

_CONNECTIONS = 200  # as many as Longhaul's

app = Flask(__name__)
_table = os.environ["BENCH_TABLE"]
_dynamodb = boto3.client(
    "dynamodb",
    region_name=os.environ["AWS_REGION"],
    config=Config(max_pool_connections=_CONNECTIONS),
)


@app.get("/")
def tell_health() -> ResponseReturnValue:
    """Say that it is up."""
    return {}


@app.post("/v1/jobs")
def accept() -> ResponseReturnValue:
    """Write the job and answer 202."""
    job_id = uuid.uuid4().hex
    _dynamodb.put_item(
        TableName=_table,
        Item={
            "JobId": {"S": job_id},
            "UserId": {"S": "bench"},
            "JobStatus": {"S": "PENDING"},
            "PromptContext": {"S": request.get_json()["prompt"]},
            "CreatedAt": {"S": datetime.now(UTC).isoformat()},
        },
    )
    return {"id": job_id, "status": "PENDING"}, 202
