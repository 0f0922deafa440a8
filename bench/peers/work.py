"""What every peer does with a job, beside moving it: the same writes, the same call, the same word.

Three writes a job: it is put, claimed under a condition, and its result is put in. The end is
published on Redis. No leases, no retries, no numbered events: what the work itself takes.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = os.environ.get("BENCH_TABLE", "bench")
ENDS = os.environ.get("BENCH_ENDS", "bench:ends")  # where the end of each job is published
MODEL = "amazon.nova-lite-v1:0"
AT_ONCE = 100  # jobs under way in one worker, and connections to each part


def new_job_id() -> str:
    """Name a job."""
    return f"job_{uuid.uuid4().hex}"


def put(job_id: str, prompt: str) -> dict[str, Any]:
    """Write the job's row."""
    item = {"JobId": job_id, "JobStatus": "PENDING", "PromptContext": prompt}
    return {"TableName": TABLE, "Item": {name: {"S": value} for name, value in item.items()}}


def claim(job_id: str) -> dict[str, Any]:
    """Take the job where nobody has, and read its prompt from the row."""
    return {
        "TableName": TABLE,
        "Key": {"JobId": {"S": job_id}},
        "ConditionExpression": "JobStatus = :pending",
        "UpdateExpression": "SET JobStatus = :running",
        "ExpressionAttributeValues": {":pending": {"S": "PENDING"}, ":running": {"S": "RUNNING"}},
        "ReturnValues": "ALL_NEW",
    }


def prompt_of(claimed: Mapping[str, Any]) -> str:
    """Read the prompt from the claim's answer."""
    prompt: str = claimed["Attributes"]["PromptContext"]["S"]
    return prompt


def call(job_id: str, prompt: str) -> dict[str, Any]:
    """Ask the model, in the words of Longhaul's own call."""
    return {
        "modelId": MODEL,
        "messages": [{"role": "user", "content": [{"text": prompt}]}],
        "inferenceConfig": {"maxTokens": 4096},
        "requestMetadata": {"longhaul-job-id": job_id},
    }


def text_in(event: Mapping[str, Any]) -> str:
    """Read the text that one event of the stream has, if any."""
    text: str = event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
    return text


def complete(job_id: str, text: str) -> dict[str, Any]:
    """Write the result."""
    return {
        "TableName": TABLE,
        "Key": {"JobId": {"S": job_id}},
        "ConditionExpression": "JobStatus = :running",
        "UpdateExpression": "SET JobStatus = :completed, ResultData = :text",
        "ExpressionAttributeValues": {
            ":running": {"S": "RUNNING"},
            ":completed": {"S": "COMPLETED"},
            ":text": {"S": text},
        },
    }


def word(job_id: str) -> str:
    """Write what watchers are told."""
    return json.dumps({"job_id": job_id, "event": "job.completed"})
