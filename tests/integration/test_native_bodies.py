"""Native bodies: each family's own shape, from POST to push, through the real processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.test_cancel import cancel, closed_call, watch, with_what_had_come
from tests.integration.test_main_path import ended, show, submit, text_of, watching
from tests.stack import http

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.stack import LocalStack, System

CLOSED_WITHIN_SECONDS = 2.0
TURN = "Say it. <<stand-in: {}>>"


def anthropic(faults: str) -> dict[str, Any]:
    return {
        "model": "anthropic.claude-sonnet-4-20250514-v1:0",
        "body": {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 2_000,
            "temperature": 1.0,
            "messages": [{"role": "user", "content": TURN.format(faults)}],
        },
    }


def nova(faults: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": [{"text": TURN.format(faults)}]}]
    body = {"schemaVersion": "messages-v1", "messages": messages}
    return {"model": "amazon.nova-lite-v1:0", "body": body}


def titan(faults: str) -> dict[str, Any]:
    return {
        "model": "amazon.titan-text-express-v1",
        "body": {"inputText": TURN.format(faults), "textGenerationConfig": {"topP": 1}},
    }


def meta(faults: str) -> dict[str, Any]:
    body = {"prompt": TURN.format(faults), "max_gen_len": 500}
    return {"model": "meta.llama3-70b-instruct-v1:0", "body": body}


def mistral(faults: str) -> dict[str, Any]:
    return {
        "model": "mistral.mistral-7b-instruct-v0:2",
        "body": {"prompt": f"<s>[INST] {TURN.format(faults)} [/INST]"},
    }


def command(faults: str) -> dict[str, Any]:
    return {"model": "cohere.command-text-v14", "body": {"prompt": TURN.format(faults)}}


def command_r(faults: str) -> dict[str, Any]:
    return {"model": "cohere.command-r-plus-v1:0", "body": {"message": TURN.format(faults)}}


# How each family says its text in what InvokeModel answers, and why it ended.
FAMILIES = [
    (anthropic, lambda raw: raw["content"][0]["text"], "end_turn"),
    (nova, lambda raw: raw["output"]["message"]["content"][0]["text"], "end_turn"),
    (titan, lambda raw: raw["results"][0]["outputText"], "FINISH"),
    (meta, lambda raw: raw["generation"], "stop"),
    (mistral, lambda raw: raw["outputs"][0]["text"], "stop"),
    (command, lambda raw: raw["generations"][0]["text"], "COMPLETE"),
    (command_r, lambda raw: raw["text"], "COMPLETE"),
]


def result_in(system: System, job_id: str, form: str | None = None) -> httpx.Response:
    params = {} if form is None else {"form": form}
    url = f"{system.url}/v1/jobs/{job_id}/result"
    return http.get(url, params=params, follow_redirects=True).raise_for_status()


@pytest.mark.parametrize(("asking", "text_in", "stop_reason"), FAMILIES)
def test_each_familys_text_usage_and_json_come_through(
    system: System,
    stand_ins: LocalStack,
    asking: Callable[[str], dict[str, Any]],
    text_in: Callable[[Any], str],
    stop_reason: str,
) -> None:
    with watching(system) as watcher:
        job_id = submit(system, asking("tokens=40; duration_s=1"))["id"]
        watcher.subscribe(job_id)
        events = watcher.events_until_the_end()

    job = ended(system, job_id)
    raw = result_in(system, job_id)
    [call] = stand_ins.model_calls(job_id)
    assert (call["operation"], call["attempt"]) == ("InvokeModelWithResponseStream", 1)
    assert (job["status"], job["stop_reason"]) == ("COMPLETED", stop_reason)
    assert job["usage"] == {"input_tokens": call["input_tokens"], "output_tokens": 40}
    assert len([event for event in events if event["event"] == "job.delta"]) > 1
    assert text_of(events) == job["result"]["text"] == result_in(system, job_id, "text").text
    assert raw.headers["Content-Type"] == "application/json"
    assert text_in(raw.json()) == job["result"]["text"]
    assert job["result"]["raw"]["bytes"] == len(raw.content)


def test_a_cancel_closes_a_native_stream_and_keeps_what_had_come(
    system: System, stand_ins: LocalStack
) -> None:
    with watching(system) as watcher:
        job_id = submit(system, anthropic("duration_s=30; tokens=300; first_token_s=0"))["id"]
        watcher.subscribe(job_id)
        events = watch(watcher, job_id, deltas=10)

        asked_at = cancel(system, job_id)
        call = closed_call(stand_ins, job_id)

    job = with_what_had_come(system, job_id)
    assert call["outcome"] == "client_gone"
    assert call["ended_at"] - asked_at < CLOSED_WITHIN_SECONDS
    assert job["result"]["text"].startswith(text_of(events))
    assert (job["usage"], "raw" in job["result"]) == (None, False)
    assert result_in(system, job_id).text == job["result"]["text"]


def test_a_throttled_native_call_is_made_again(system: System, stand_ins: LocalStack) -> None:
    # A model of its own: throttles slow its pace down, for whoever calls it next.
    body = {**anthropic("throttle_first=1; tokens=5"), "model": "test.throttled-native-model"}

    job = ended(system, submit(system, body)["id"])

    assert (job["status"], job["attempt"]) == ("COMPLETED", 2)
    outcomes = [call["outcome"] for call in stand_ins.model_calls(job["id"])]
    assert outcomes == ["throttled", "completed"]


def test_a_long_native_answer_and_a_long_body_go_by_the_object_store(system: System) -> None:
    body = anthropic("tokens=20000; duration_s=1")
    body["body"] |= {"system": "y" * 100_000, "max_tokens": 100_000}

    job = ended(system, submit(system, body)["id"])

    raw = result_in(system, job["id"])
    assert job["status"] == "COMPLETED"
    assert "url" in job["result"]
    assert raw.json()["content"][0]["text"] == result_in(system, job["id"], "text").text


def test_a_model_that_does_not_stream_is_invoked_whole(
    system: System, stand_ins: LocalStack
) -> None:
    body = {**titan("tokens=5; duration_s=1"), "model": "amazon.titan-embed-text-v2:0"}

    job = ended(system, submit(system, body)["id"])

    [call] = stand_ins.model_calls(job["id"])
    assert (call["operation"], call["outcome"]) == ("InvokeModel", "completed")
    assert (job["status"], job["usage"]["output_tokens"]) == ("COMPLETED", 5)
    text = result_in(system, job["id"]).json()["results"][0]["outputText"]
    assert text == job["result"]["text"]


def test_what_bedrock_refuses_in_a_native_body_fails_the_job_in_its_words(system: System) -> None:
    body = anthropic("tokens=5")
    del body["body"]["max_tokens"]

    job = ended(system, submit(system, body)["id"])

    assert (job["status"], job["error"]["code"]) == ("FAILED", "model_rejected_request")
    assert "max_tokens" in job["error"]["message"]


def test_an_event_stream_that_comes_late_tells_a_native_jobs_text(system: System) -> None:
    job = ended(system, submit(system, meta("tokens=30; duration_s=0"))["id"])

    told = http.get(f"{system.url}/v1/jobs/{job['id']}/events").text

    events = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]
    assert text_of(events) == show(system, job["id"])["result"]["text"]
