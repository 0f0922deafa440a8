"""Announcements through real processes: a worker and Redis are killed, a receiver refuses."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import connect

from adapters.dynamodb_jobs import DynamoDBJobStore
from jobs.events import TERMINAL_EVENTS
from jobs.job import JobId
from tests.contracts.stories import claim, completed
from tests.stack import Clients, LocalStack, RedisServer, System, http, wait_until
from tests.webhook_receiver import SETTINGS, Receiver, receiving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

REFUSALS = 4


class Place:
    """Stand-ins with a Redis that can be killed by itself."""

    def __init__(self, folder: Path, exits: ExitStack) -> None:
        self.redis = RedisServer(folder / "redis")
        self.redis.start()
        exits.callback(self.redis.kill)
        named = {"REDIS_URL": self.redis.url}
        self.stack = exits.enter_context(LocalStack(folder / "stack", named=named))

    def run(self, *processes: str, name: str) -> System:
        return System(self.stack, processes=processes, settings=SETTINGS, name=name)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as exits:
        yield Place(tmp_path, exits)


def submit(system: System, receiver: Receiver) -> str:
    body = {"prompt": "Say it. <<stand-in: tokens=3>>", "webhook": {"url": receiver.url}}
    answer = http.post(f"{system.url}/v1/jobs", json=body)
    job_id: str = answer.raise_for_status().json()["id"]
    return job_id


def status_of(system: System, job_id: str) -> str:
    return str(http.get(f"{system.url}/v1/jobs/{job_id}").raise_for_status().json()["status"])


def delivery_of(system: System, job_id: str) -> dict[str, Any]:
    answer = http.get(f"{system.url}/v1/jobs/{job_id}/deliveries").raise_for_status()
    found = answer.json()["deliveries"]
    return dict(found[0]) if found else {"state": "none"}


def next_terminal(watcher: ClientConnection) -> dict[str, Any]:
    """Give the next terminal event; what comes before it may come from the log."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        told: dict[str, Any] = json.loads(watcher.recv(timeout=30))
        if told.get("event") in TERMINAL_EVENTS.values():
            return told
    pytest.fail("no terminal event came")


def kill(system: System) -> None:
    assert system.program is not None
    system.program.kill()


def test_a_worker_killed_right_after_its_terminal_row_is_announced_all_the_same(
    place: Place,
) -> None:
    with receiving() as receiver, place.run("web", "feed", name="front") as front:
        with place.run("worker", name="first") as first:
            job_id = submit(front, receiver)
            wait_until(lambda: status_of(front, job_id) == "COMPLETED", "the terminal row")
            kill(first)
        with place.run("worker", name="second"):
            wait_until(
                lambda: delivery_of(front, job_id)["state"] == "delivered",
                "the delivery",
                within=100,  # if the killed worker had the try in its hands: after its lease
            )

    assert len(set(receiver.ids)) == 1
    assert receiver.bodies[-1]["data"]["status"] == "COMPLETED"
    assert receiver.bodies[-1]["data"]["job_id"] == job_id


def test_a_receiver_that_refuses_and_a_redis_that_restarts_still_give_one_effective_webhook(
    place: Place,
) -> None:
    with (
        receiving(refusals=REFUSALS) as receiver,
        place.run("web", "feed", "worker", name="all") as system,
    ):
        job_id = submit(system, receiver)
        wait_until(lambda: len(receiver.statuses) >= REFUSALS // 2, "refusals")
        place.redis.kill()
        place.redis.start()
        wait_until(
            lambda: delivery_of(system, job_id)["state"] == "delivered", "the delivery", within=60
        )
        delivery = delivery_of(system, job_id)

        assert receiver.statuses == [500] * REFUSALS + [204]
        assert set(receiver.ids) == {delivery["event_id"]}
        assert [one["status"] for one in delivery["log"]] == receiver.statuses
        assert delivery["next_try_at"] is None
        timeline = http.get(f"{system.url}/v1/jobs/{job_id}/timeline").json()["steps"]
        steps = timeline[[step["step"] for step in timeline].index("announced") :]
        assert [step["step"] for step in steps] == [
            "announced",
            *["delivery_failed"] * REFUSALS,
            "delivered",
        ]
        assert [step["by"].partition("@")[0] for step in steps] == ["feed", *["worker"] * 5]
        assert all(step["until"] and step["took_ms"] >= 0 for step in steps[1:-1])

        where = f"{system.url}/v1/jobs/{job_id}/deliveries/{delivery['event_id']}/replay"
        assert http.post(where).status_code == 202
        wait_until(lambda: len(receiver.statuses) == REFUSALS + 2, "the replay")
        assert set(receiver.ids) == {delivery["event_id"]}


def test_watchers_and_receiver_are_told_of_an_end_that_its_worker_never_told(
    place: Place,
) -> None:
    """The test is the worker: it writes the terminal row by the product's own store, and dies."""
    clients = Clients.of(place.stack.environ)
    store = DynamoDBJobStore(client=clients.dynamodb, table="LLM_Jobs", retention=timedelta(days=1))
    with receiving() as receiver, place.run("web", "feed", name="front") as front:
        job_id = JobId(submit(front, receiver))
        with connect(f"{front.url.replace('http', 'ws')}/v1/ws", proxy=None) as watcher:
            watcher.send(json.dumps({"type": "subscribe", "job_id": job_id}))
            assert json.loads(watcher.recv(timeout=30))["type"] == "subscribed"
            held = claim(store, job_id, datetime.now(UTC))
            ended = store.settle(held, completed(held, datetime.now(UTC)))
            told = next_terminal(watcher)
        assert (told["event"], told["seq"]) == ("job.completed", ended.seq)
        with place.run("worker", name="late"):
            wait_until(lambda: delivery_of(front, job_id)["state"] == "delivered", "the delivery")
    clients.close()

    assert receiver.ids == [f"{job_id}.{ended.seq}"]
    assert receiver.bodies[0]["data"]["result"]["text"] == "Tea. 🍵"
