"""Cancel reaches the model: the real processes, a stream that is broken off, what is left of it."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.integration.test_main_path import (
    Watcher,
    directive,
    ended,
    result_of,
    row_of,
    show,
    submit,
    text_of,
    watching,
)
from tests.stack import http, wait_until

if TYPE_CHECKING:
    from tests.stack import Clients, LocalStack, System

CLOSED_WITHIN_SECONDS = 2.0  # the issue's own bound
LONG = directive("duration_s=30; tokens=300; first_token_s=0")


def cancel(system: System, job_id: str) -> float:
    """Cancel, and give the time at which it was asked."""
    asked_at = time.time()
    answer = http.post(f"{system.url}/v1/jobs/{job_id}/cancel")
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    return asked_at


def closed_call(stand_ins: LocalStack, job_id: str) -> dict[str, Any]:
    """Wait until the model's only call has ended, and give it."""
    wait_until(
        lambda: [c["outcome"] for c in stand_ins.model_calls(job_id)] not in ([], ["running"]),
        "the end of the call",
    )
    [call] = stand_ins.model_calls(job_id)
    return call


def with_what_had_come(system: System, job_id: str) -> dict[str, Any]:
    wait_until(lambda: show(system, job_id)["result"] is not None, "what had come")
    return show(system, job_id)


def watch(watcher: Watcher, job_id: str, *, deltas: int) -> list[dict[str, Any]]:
    """Watch until so many deltas have come."""
    events: list[dict[str, Any]] = []
    for message in watcher:
        if message.get("job_id") == job_id and message["type"] == "event":
            events.append(message)
        if sum(event["event"] == "job.delta" for event in events) >= deltas:
            return events
    raise AssertionError("unreachable: a watcher's messages have no end")


def test_cancelling_closes_the_models_stream_and_keeps_what_had_come(
    system: System, stand_ins: LocalStack, clients: Clients
) -> None:
    whole = submit(system, directive("tokens=300; duration_s=0"))["id"]
    with watching(system) as watcher:
        job_id = submit(system, LONG)["id"]
        watcher.subscribe(job_id)
        events = watch(watcher, job_id, deltas=10)

        asked_at = cancel(system, job_id)
        for message in watcher:
            events.append(message)
            if message["event"] == "job.cancelled":
                break

    call = closed_call(stand_ins, job_id)
    job = with_what_had_come(system, job_id)

    assert call["outcome"] == "client_gone"
    assert call["ended_at"] - asked_at < CLOSED_WITHIN_SECONDS
    text = job["result"]["text"]
    ended(system, whole)
    assert (job["status"], job["usage"], job["stop_reason"]) == ("CANCELLED", None, None)
    assert result_of(system, job_id) == text
    assert result_of(system, whole).startswith(text)
    # What came between the row's write and the break-off is told to nobody, but paid for.
    told = text_of(events)
    assert text.startswith(told)
    assert len(text) - len(told) < 40
    assert row_of(stand_ins, clients, job_id)["Seq"]["N"] == str(events[-1]["seq"])
    steps = http.get(f"{system.url}/v1/jobs/{job_id}/timeline").json()["steps"]
    assert [step["step"] for step in steps[-3:]] == ["first_token", "cancelled", "partial_kept"]
    assert f"after {len(text)} characters" in steps[-1]["detail"]


def test_cancelling_before_the_first_word_closes_the_stream_too(
    system: System, stand_ins: LocalStack
) -> None:
    job_id = submit(system, directive("first_token_s=30; tokens=5"))["id"]
    wait_until(lambda: stand_ins.model_calls(job_id), "the call")

    asked_at = cancel(system, job_id)

    call = closed_call(stand_ins, job_id)
    assert call["outcome"] == "client_gone"
    assert call["ended_at"] - asked_at < CLOSED_WITHIN_SECONDS
    assert with_what_had_come(system, job_id)["result"] == {"text": "", "bytes": 0}


def test_a_cancelled_job_that_is_redriven_runs_anew(system: System, stand_ins: LocalStack) -> None:
    job_id = submit(system, directive("first_token_s=3; tokens=5"))["id"]
    wait_until(lambda: stand_ins.model_calls(job_id), "the call")
    cancel(system, job_id)
    with_what_had_come(system, job_id)

    waiting = http.post(f"{system.url}/v1/jobs/{job_id}/redrive").json()

    job = ended(system, job_id)
    assert (waiting["status"], waiting["result"]) == ("PENDING", None)
    assert (job["status"], job["usage"]["output_tokens"]) == ("COMPLETED", 5)
    assert [c["outcome"] for c in stand_ins.model_calls(job_id)] == ["client_gone", "completed"]


@pytest.mark.parametrize("how", ["politely", "by breaking off"])
def test_leaving_a_socket_never_cancels_a_job(
    system: System, stand_ins: LocalStack, how: str
) -> None:
    url = system.url.replace("http://", "ws://")
    with connect(f"{url}/v1/ws", compression=None, proxy=None) as connection:
        job_id = submit(system, directive("duration_s=3; tokens=30; first_token_s=0"))["id"]
        watcher = Watcher(connection)
        watcher.subscribe(job_id)
        watch(watcher, job_id, deltas=1)
        if how == "by breaking off":
            connection.socket.shutdown(socket.SHUT_RDWR)

    assert ended(system, job_id)["status"] == "COMPLETED"
    assert [c["outcome"] for c in stand_ins.model_calls(job_id)] == ["completed"]
