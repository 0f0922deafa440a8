"""Values that the documents show; tests hold each against its schema."""

from __future__ import annotations

from typing import Any

JOB_ID = "job_01m83eqz8fefzapqk4c5qx0fgg"
TRACE_ID = "1-6922b213-0c35a0f1d2e34f5a6b7c8d9e"
_HERE = f"/v1/jobs/{JOB_ID}"
_MODEL = "amazon.nova-lite-v1:0"
_TIMES = {"created_at": "2026-11-23T04:38:50.104Z", "started_at": "2026-11-23T04:38:50.391Z"}

_PENDING: dict[str, Any] = {
    "id": JOB_ID,
    "status": "PENDING",
    "model": _MODEL,
    "attempt": 0,
    "max_attempts": 5,
    "created_at": _TIMES["created_at"],
    "started_at": None,
    "ended_at": None,
    "error": None,
    "usage": None,
    "stop_reason": None,
    "metadata": {"order": "4711"},
    "trace_id": TRACE_ID,
    "links": {
        "self": _HERE,
        "events": f"{_HERE}/events",
        "result": f"{_HERE}/result",
        "cancel": f"{_HERE}/cancel",
    },
}
_COMPLETED = _PENDING | {
    "status": "COMPLETED",
    "attempt": 1,
    "started_at": _TIMES["started_at"],
    "ended_at": "2026-11-23T04:38:59.120Z",
    "usage": {"input_tokens": 7, "output_tokens": 12},
    "stop_reason": "end_turn",
}
TEXT = "Because air scatters blue light more than red."
PENDING_JOB = _PENDING | {"result": None}
COMPLETED_JOB = _COMPLETED | {"result": {"text": TEXT, "bytes": 46}}
CANCELLED_JOB = COMPLETED_JOB | {"status": "CANCELLED", "usage": None, "stop_reason": None}
JOB_PAGE = {"jobs": [_COMPLETED], "next_cursor": "MjAyNi0xMS0yM1QwNDozODo1MC4xMDRaIGpvYl8wMQ"}
TIMELINE = {
    "id": JOB_ID,
    "trace_id": TRACE_ID,
    "status": "PENDING",
    "steps": [
        {
            "step": "accepted",
            "at": _TIMES["created_at"],
            "after_ms": 0,
            "took_ms": None,
            "until": None,
            "by": "web@web-1:19227",
            "attempt": None,
            "error": None,
            "detail": None,
            "delivery": None,
        }
    ],
}
DELIVERY_ID = f"{JOB_ID}.1000007"
DELIVERY: dict[str, Any] = {
    "id": DELIVERY_ID,
    "event_id": DELIVERY_ID,
    "event": "job.completed",
    "kind": "webhook",
    "url": "https://example.com/hook",
    "connection_id": None,
    "state": "delivered",
    "tries": 1,
    "next_try_at": None,
    "log": [
        {
            "number": 1,
            "at": "2026-11-23T04:38:59.301Z",
            "took_s": 0.048,
            "status": 204,
            "error": None,
        }
    ],
}
DUE_DELIVERY = DELIVERY | {"state": "due", "next_try_at": "2026-11-23T05:00:00.000Z"}
TICKET = {"ticket": "r0yC5JmbhS1LZyqv3fVhA9mC0b7q4o1x", "expires_at": "2026-11-23T04:39:50.104Z"}
STREAM = (
    "id: 1000002\n"
    f'data: {{"type":"event","job_id":"{JOB_ID}","seq":1000002,"event":"job.delta",'
    f'"at":"2026-11-23T04:38:51.020Z","trace_id":"{TRACE_ID}","attempt":1,"text":"Because"}}\n\n'
)
PROMPT = {"prompt": "Why is the sky blue?", "metadata": {"order": "4711"}}
MESSAGES = {
    "messages": [{"role": "user", "content": [{"text": "Why is the sky blue?"}]}],
    "system": "Answer in one sentence.",
    "inference_config": {"max_tokens": 200, "temperature": 0.2},
    "webhook": {"url": "https://example.com/hook"},
}
NATIVE_BODY = {
    "model": "anthropic.claude-sonnet-4-20250514-v1:0",
    "body": {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
    },
}

UPLOAD: dict[str, Any] = {
    "content_type": "application/pdf",
    "bytes": 48_213,
    "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "name": "report.pdf",
}
UPLOAD_OFFER: dict[str, Any] = {
    "upload_id": "upl_01m83eqz8fefzapqk4c5qx0fgg",
    "method": "PUT",
    "url": "https://bucket.example/uploads/...",
    "headers": {"Content-Type": "application/pdf", "x-amz-checksum-sha256": UPLOAD["sha256"]},
    "expires_at": "2026-11-23T05:38:50.104Z",
}
