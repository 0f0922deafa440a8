"""The peer in the pattern's own AWS form: Pipes start a state machine, which claims and completes.

Run by gunicorn (`bench.peers.pattern:app`: what API Gateway would do) and by
`python -m bench.peers.pattern` (an activity worker: what `bedrock:invokeModel` would do, which the
emulator's Step Functions has not).
"""

from __future__ import annotations

import json
import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from flask import Flask, request

from bench.peers import work

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from mypy_boto3_dynamodb.client import DynamoDBClient

SOURCE = "bench"  # of the events
_CALLERS = 16
_LONGER_THAN_A_POLL = 70  # seconds: GetActivityTask answers after 60
_UPDATE = "arn:aws:states:::dynamodb:updateItem"
_JOB = "$.dynamodb.Keys.JobId.S"

app = Flask(__name__)


@cache
def dynamodb() -> DynamoDBClient:
    """Make the client for the table, once."""
    return boto3.client("dynamodb", config=Config(max_pool_connections=work.AT_ONCE))


@app.get("/")
def ready() -> str:
    """Say that the server is up."""
    return "ready"


@app.post("/jobs")
def submit() -> tuple[dict[str, str], int]:
    """Accept a job: its row is all there is to do."""
    job_id = work.new_job_id()
    dynamodb().put_item(**work.put(job_id, request.get_json()["prompt"]))
    return {"id": job_id}, 202


def state_machine(table: str, activity: str) -> str:
    """Write the definition: each new row of a batch is claimed, asked, completed and announced.

    The emulator's pipe has no filter and no batch size: it hands over all records since its last
    look, so the machine maps over them and chooses.
    """
    each = {
        "IsNew": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.eventName", "StringEquals": "INSERT", "Next": "Claim"}],
            "Default": "Done",
        },
        "Claim": {
            **_update(table, work.claim("")),
            "ResultPath": "$.claimed",
            "Next": "Call",
        },
        "Call": {
            "Type": "Task",
            "Resource": activity,
            "Parameters": {
                "job_id.$": _JOB,
                "prompt.$": "$.claimed.Attributes.PromptContext.S",
            },
            "ResultPath": "$.answer",
            "Next": "Complete",
        },
        "Complete": {
            **_update(table, work.complete("", ""), {":text": {"S.$": "$.answer.text"}}),
            "ResultPath": None,
            "Next": "Announce",
        },
        "Announce": {
            "Type": "Task",
            "Resource": "arn:aws:states:::events:putEvents",
            "Parameters": {
                "Entries": [{"Source": SOURCE, "DetailType": "ended", "Detail": {"job_id.$": _JOB}}]
            },
            "ResultPath": None,
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
    }
    mapped = {"Type": "Map", "End": True, "Iterator": {"StartAt": "IsNew", "States": each}}
    return json.dumps({"StartAt": "Each", "States": {"Each": mapped}})


def _update(
    table: str, update: dict[str, Any], values: dict[str, Any] | None = None
) -> dict[str, Any]:
    parameters = {**update, "TableName": table, "Key": {"JobId": {"S.$": _JOB}}}
    parameters["ExpressionAttributeValues"] = {
        **update["ExpressionAttributeValues"],
        **(values or {}),
    }
    return {"Type": "Task", "Resource": _UPDATE, "Parameters": parameters}


def _serve(activity: str) -> None:
    config = Config(max_pool_connections=_CALLERS, read_timeout=_LONGER_THAN_A_POLL)
    steps, bedrock = boto3.client("stepfunctions", config=config), _bedrock()
    while True:
        task = steps.get_activity_task(activityArn=activity)
        if not task.get("taskToken"):
            continue
        asked = json.loads(task["input"])
        stream = bedrock.converse_stream(**work.call(asked["job_id"], asked["prompt"]))["stream"]
        text = "".join(map(work.text_in, stream))
        steps.send_task_success(taskToken=task["taskToken"], output=json.dumps({"text": text}))


def _bedrock() -> BedrockRuntimeClient:
    return boto3.client("bedrock-runtime", config=Config(max_pool_connections=1))


def main() -> None:
    """Call the model for the state machine, so many at a time."""
    threads = [
        threading.Thread(target=_serve, args=(os.environ["BENCH_ACTIVITY"],))
        for _ in range(_CALLERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
