"""From POST to push: jobs submitted over HTTP to the real processes on the real stand-ins."""

from __future__ import annotations

import itertools
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import redis
from websockets.sync.client import connect

from adapters.clock import SystemClock
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryRejectedRecords, MemoryShardLeases
from adapters.streams import DynamoDBChangeStream
from jobs import seq
from jobs.job import JobId
from jobs.shard_leases import FeedId
from jobs.task import Task
from tests.builders import announce_parts, gatherer, late_word
from tests.contracts.test_events import Silent
from tests.stack import http, wait_until
from workers.broker import RUN_QUEUE, CeleryTaskQueue, make_celery
from workers.feed import Feed, FeedParts
from workers.shard_keeper import ShardKeeper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

    from jobs.job import Job
    from tests.stack import Clients, LocalStack, System

ENDS_WITHIN = 60.0
SECRET_WORD = "Rumpelstiltskin"
JOBS_AT_ONCE = 200
JOB_SECONDS = 25  # a busy machine takes that long to submit them, and no longer


class Watcher:
    """A client that watches over a WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    def subscribe(self, job_id: str, *, after: int | None = None) -> dict[str, Any]:
        message = {"type": "subscribe", "job_id": job_id}
        self._connection.send(json.dumps(message if after is None else {**message, "after": after}))
        return next(one for one in self if one["type"] == "subscribed")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            yield json.loads(self._connection.recv(timeout=ENDS_WITHIN))

    def events_until_the_end(self) -> list[dict[str, Any]]:
        events = []
        for message in self:
            if message["type"] == "event":
                events.append(message)
                if message["event"] in {"job.completed", "job.failed"}:
                    return events
        raise AssertionError("unreachable: a watcher's messages have no end")


@contextmanager
def watching(system: System) -> Iterator[Watcher]:
    url = system.url.replace("http://", "ws://")
    with connect(f"{url}/v1/ws", compression=None, proxy=None) as connection:
        yield Watcher(connection)


def directive(faults: str, text: str = "Say it.") -> dict[str, Any]:
    return {"prompt": f"{text} <<stand-in: {faults}>>"}


def submit(
    system: System, body: dict[str, Any], *, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    answer = http.post(f"{system.url}/v1/jobs", json=body, headers=headers)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    job: dict[str, Any] = answer.json()
    return job


def show(system: System, job_id: str) -> dict[str, Any]:
    answer = http.get(f"{system.url}/v1/jobs/{job_id}")
    job: dict[str, Any] = answer.raise_for_status().json()
    return job


def ended(system: System, job_id: str, *, within: float = ENDS_WITHIN) -> dict[str, Any]:
    """Wait for a job's end and give it."""
    job: dict[str, Any] = {}

    def has_ended() -> bool:
        job.update(show(system, job_id))
        return job["status"] in {"COMPLETED", "FAILED"}

    wait_until(has_ended, f"the end of {job_id}", within=within)
    return job


def result_of(system: System, job_id: str) -> str:
    answer = http.get(f"{system.url}/v1/jobs/{job_id}/result", follow_redirects=True)
    return answer.raise_for_status().content.decode()


def text_of(events: list[dict[str, Any]]) -> str:
    """Put the streamed text together; a retry voids what came before it."""
    text = ""
    for event in events:
        if event["event"] == "job.retrying":
            text = ""
        text += event.get("text", "")
    return text


def row_of(stand_ins: LocalStack, clients: Clients, job_id: str) -> dict[str, Any]:
    table = stand_ins.environ.get("LONGHAUL_TABLE", "LLM_Jobs")
    row: dict[str, Any] = clients.dynamodb.get_item(
        TableName=table, Key={"JobId": {"S": job_id}}, ConsistentRead=True
    )["Item"]
    return row


def stored_job(clients: Clients, job_id: str) -> Job:
    store = DynamoDBJobStore(client=clients.dynamodb, table="LLM_Jobs", retention=timedelta(days=1))
    return store.get(JobId(job_id))


@contextmanager
def task_queue(stand_ins: LocalStack) -> Iterator[CeleryTaskQueue]:
    celery = make_celery(stand_ins.redis_url, connections=10)
    yield CeleryTaskQueue(celery)
    celery.close()


def test_a_job_runs_from_post_to_push(system: System) -> None:
    with watching(system) as watcher:
        job = submit(system, directive("tokens=40; duration_s=1"))
        watcher.subscribe(job["id"])
        events = watcher.events_until_the_end()

    told = ended(system, job["id"])
    assert (told["status"], told["attempt"]) == ("COMPLETED", 1)
    assert text_of(events) == result_of(system, job["id"]) == told["result"]["text"]
    assert told["usage"]["output_tokens"] == 40
    assert told["stop_reason"] == "end_turn"


def test_jobs_wait_together_and_not_in_turn(system: System, stand_ins: LocalStack) -> None:
    stand_ins.clear_ledger()
    body = directive(f"duration_s={JOB_SECONDS}; tokens=20; first_token_s=0")

    with ThreadPoolExecutor(20) as pool:
        job_ids = [
            job["id"] for job in pool.map(lambda _: submit(system, body), range(JOBS_AT_ONCE))
        ]
    wait_until(
        lambda: stand_ins.ledger_summary()["outcomes"].get("completed") == JOBS_AT_ONCE,
        f"{JOBS_AT_ONCE} answers",
        within=ENDS_WITHIN + JOB_SECONDS,
    )
    jobs = [ended(system, job_id) for job_id in job_ids]

    calls = [stand_ins.model_calls(job_id) for job_id in job_ids]
    assert {len(one) for one in calls} == {1}
    assert {job["status"] for job in jobs} == {"COMPLETED"}
    assert stand_ins.ledger_summary()["max_in_flight"] > JOBS_AT_ONCE / 2


@pytest.mark.timeout(300)
def test_duplicate_records_and_tasks_lead_to_one_call(
    system: System, stand_ins: LocalStack, clients: Clients
) -> None:
    job_id = submit(system, directive("duration_s=2; tokens=10"))["id"]
    wait_until(lambda: stand_ins.model_calls(job_id), "the call")
    job = stored_job(clients, job_id)
    now = SystemClock().now()
    task = Task.of(job, now=now, by="feed@twice:1")

    with task_queue(stand_ins) as queue:
        queue.enqueue([task] * 10)
        read_the_stream_again(clients, queue)
        ended(system, job_id)
        queue.enqueue([task] * 10)
        read_the_stream_again(clients, queue)
        # The stream has the jobs of all tests before this one, and each is triggered again.
        refused = "the duplicates to be refused"
        wait_until(lambda: len(refusals_of(system, job_id)) >= 20, refused, within=180)

    assert {line["status"] for line in refusals_of(system, job_id)} <= {"RUNNING", "COMPLETED"}
    assert [call["n"] for call in stand_ins.model_calls(job_id)] == [1]
    assert show(system, job_id)["attempt"] == 1


def test_garbage_in_the_queue_does_not_end_the_worker(
    system: System, stand_ins: LocalStack
) -> None:
    with redis.Redis.from_url(stand_ins.redis_url) as client:
        for garbage in (b"\xff\xfe", b"not json", b'"text"', b"7", b"[]", b"{}", b'{"body": 1}'):
            client.lpush(RUN_QUEUE, garbage)
        wait_until(lambda: client.llen(RUN_QUEUE) == 0, "the garbage to be gone")

    job_id = submit(system, directive("tokens=5"))["id"]

    assert ended(system, job_id)["status"] == "COMPLETED"
    assert len(system.log_lines(event="worker_started")) == 1


def test_two_throttles_and_then_success(system: System, stand_ins: LocalStack) -> None:
    with watching(system) as watcher:
        # A model of its own: throttles slow its pace down, for whoever calls it next.
        body = {**directive("throttle_first=2; tokens=20"), "model": "test.throttled-model"}
        job_id = submit(system, body)["id"]
        watcher.subscribe(job_id)
        events = watcher.events_until_the_end()

    job = ended(system, job_id)
    calls = stand_ins.model_calls(job_id)
    began = [call["started_at"] for call in calls]
    assert [call["outcome"] for call in calls] == ["throttled", "throttled", "completed"]
    assert 3 <= began[1] - began[0] < 5.5
    assert 6 <= began[2] - began[1] < 8.5
    assert (job["status"], job["attempt"], job["error"]) == ("COMPLETED", 3, None)
    retrying = [event for event in events if event["event"] == "job.retrying"]
    assert [event["delay_s"] for event in retrying] == [3, 6]
    assert text_of(events) == result_of(system, job_id)


def test_what_the_model_rejects_fails_after_one_call(system: System, stand_ins: LocalStack) -> None:
    job_id = submit(system, directive("validation_error=The model dislikes teapots"))["id"]

    job = ended(system, job_id)

    assert len(stand_ins.model_calls(job_id)) == 1
    assert (job["status"], job["attempt"], job["result"]) == ("FAILED", 1, None)
    assert job["error"]["code"] == "model_rejected_request"
    assert "The model dislikes teapots" in job["error"]["message"]
    assert not job["error"]["retryable"]
    answer = http.get(f"{system.url}/v1/jobs/{job_id}/result")
    assert answer.status_code == httpx.codes.CONFLICT


def test_ids_and_numbers_are_the_same_everywhere(
    system: System, stand_ins: LocalStack, clients: Clients
) -> None:
    trace_id = f"1-6743a0f3-{os.urandom(12).hex()}"
    with watching(system) as watcher:
        accepted = submit(
            system,
            directive("tokens=30; duration_s=1"),
            headers={"X-Amzn-Trace-Id": f"Root={trace_id};Parent=53995c3f42cd8ad8;Sampled=1"},
        )
        job_id = accepted["id"]
        watcher.subscribe(job_id)
        events = watcher.events_until_the_end()
    told = ended(system, job_id)

    row = row_of(stand_ins, clients, job_id)
    assert accepted["trace_id"] == told["trace_id"] == row["TraceId"]["S"] == trace_id
    assert accepted["id"] == told["id"] == row["JobId"]["S"]
    assert {(event["job_id"], event["trace_id"]) for event in events} == {(job_id, trace_id)}
    [call] = stand_ins.model_calls(job_id)
    assert (call["job"], call["attempt"]) == (job_id, 1)
    lines = [line for line in system.log_lines(job_id=job_id) if line.get("method") != "GET"]
    assert {"job_submitted", "job_claimed", "job_settled"} <= {line["event"] for line in lines}
    assert {line["trace_id"] for line in lines} == {trace_id}
    assert int(row["Seq"]["N"]) == events[-1]["seq"]


def test_numbers_rise_without_a_hole_and_deltas_are_in_order(system: System) -> None:
    with watching(system) as watcher:
        job_id = submit(system, directive("tokens=60; duration_s=2; first_token_s=0.5"))["id"]
        subscribed = watcher.subscribe(job_id)
        events = watcher.events_until_the_end()

    numbers = [event["seq"] for event in events]
    assert (numbers[0], subscribed["recovered"]) == (seq.QUEUED, True)
    running = [number for number in numbers if number > seq.QUEUED]
    assert running == list(range(running[0], running[0] + len(running)))
    assert running[-1] < seq.first_in(2)


def test_a_prompt_beyond_dynamodbs_limit_runs(
    system: System, stand_ins: LocalStack, clients: Clients
) -> None:
    prompt = f"The {SECRET_WORD} report. " * math.ceil(500_000 / 24)

    job_id = submit(system, {"prompt": prompt, "inference_config": {"max_tokens": 30}})["id"]

    job = ended(system, job_id)
    row = row_of(stand_ins, clients, job_id)
    assert job["status"] == "COMPLETED", job
    assert "PromptContext" not in row
    assert int(row["PromptBytes"]["N"]) > 400_000
    assert job["usage"]["input_tokens"] > 100_000


def test_a_result_beyond_64_kib_comes_from_the_object_store(system: System) -> None:
    with watching(system) as watcher:
        body = directive("tokens=20000; duration_s=2; first_token_s=1")
        job_id = submit(system, {**body, "inference_config": {"max_tokens": 30_000}})["id"]
        watcher.subscribe(job_id)
        events = watcher.events_until_the_end()

    job = ended(system, job_id)
    answer = http.get(f"{system.url}/v1/jobs/{job_id}/result")
    stored = http.get(answer.headers["location"])
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert len(stored.content) == job["result"]["bytes"] > 64 * 1024
    assert stored.content.decode() == text_of(events)
    assert http.get(job["result"]["url"]).content == stored.content


def test_a_job_that_ended_before_the_subscription_is_told(system: System) -> None:
    job_id = submit(system, directive("tokens=5; first_token_s=0"))["id"]
    job = ended(system, job_id)

    with watching(system) as watcher:
        subscribed = watcher.subscribe(job_id)

    assert subscribed["job"]["status"] == "COMPLETED"
    assert subscribed["job"]["result"] == job["result"]


@pytest.mark.parametrize("delay_s", [0, 0.02, 0.04, 0.06, 0.1])
def test_a_job_that_ends_around_the_subscription_is_told(system: System, delay_s: float) -> None:
    """However the end falls between subscribing and reading, the watcher learns of it."""
    with watching(system) as watcher:
        job_id = submit(system, directive(f"tokens=1; first_token_s={delay_s}"))["id"]
        subscribed = watcher.subscribe(job_id)
        if subscribed["job"]["status"] == "COMPLETED":
            return
        events = watcher.events_until_the_end()

    assert events[-1]["event"] == "job.completed"
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})


def test_the_log_has_ids_and_never_the_prompt_or_the_result(system: System) -> None:
    body = directive("echo=Moonraker was the answer", text=f"Who is {SECRET_WORD}?")
    job_id = submit(system, body)["id"]

    ended(system, job_id)
    lines = wait_until(
        lambda: system.log_lines(event="job_settled", job_id=job_id), "the log's last line"
    )

    assert all(line["trace_id"] for line in lines)
    assert system.program is not None
    assert SECRET_WORD not in system.program.output
    assert "Moonraker" not in system.program.output


def refusals_of(system: System, job_id: str) -> list[dict[str, Any]]:
    return system.log_lines(event="claim_refused", job_id=job_id)


def read_the_stream_again(clients: Clients, queue: CeleryTaskQueue) -> None:
    """Turn every record of the table's stream into tasks once more, as a feed that forgot all."""
    stream = DynamoDBChangeStream(
        tables=clients.dynamodb, streams=clients.streams, table="LLM_Jobs"
    )
    feed = Feed(
        FeedParts(
            stream=stream,
            keeper=ShardKeeper(
                stream=stream,
                leases=MemoryShardLeases(),
                me=FeedId("feed@again:1"),
                clock=SystemClock(),
                log=Silent(),
            ),
            queue=queue,
            announcing=announce_parts(),
            late_word=late_word(),
            gatherer=gatherer(),
            rejected=MemoryRejectedRecords(),
            nudges=NoNudges(),
            clock=SystemClock(),
            log=Silent(),
            process="feed@again:1",
            poll=0.05,
            reads_per_second=100,
        )
    )
    assert any(feed.turn() for _ in itertools.repeat(None, 5))


class NoNudges:
    """Nudges that never come."""

    def wait(self, seconds: float) -> bool:  # noqa: ARG002 - the port's
        return False
