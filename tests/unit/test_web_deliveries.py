"""The REST calls about webhooks and deliveries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs.announce import announcement_of
from jobs.delivery import Delivery
from jobs.job import JobId
from tests.builders import NOW
from tests.web_world import ADA, BOB, World
from web.parts import WebhookTerms

HOOK = {"url": "https://receiver.example/hook"}
SIGNED = WebhookTerms(are_signed=True)


def told(world: World) -> Delivery:
    """Submit a job with a webhook, end it and announce its end."""
    job_id = JobId(world.submit(webhook=HOOK)["id"])
    announcement = announcement_of(world.complete(job_id))
    assert announcement is not None
    delivery = Delivery.of(announcement.event, announcement.url, now=NOW)
    world.deliveries.add(delivery)
    return delivery


def refusal(world: World, webhook: object) -> dict[str, Any]:
    answer = world.client.post("/v1/jobs", json={"prompt": "x", "webhook": webhook}, headers=ADA)
    assert answer.status_code == 422, answer.text
    problem: dict[str, Any] = answer.get_json()["errors"][0]
    return problem


def test_a_webhook_stands_in_the_row() -> None:
    world = World(webhooks=SIGNED)

    job_id = world.submit(webhook=HOOK)["id"]

    assert world.store.get(job_id).webhook == HOOK["url"]


def test_without_a_secret_a_webhook_is_refused_in_plain_words() -> None:
    problem = refusal(World(), HOOK)

    assert problem["field"] == "webhook"
    assert "no secret" in problem["detail"]


@pytest.mark.parametrize(
    "url", ["http://receiver.example/", "https://127.0.0.1/", "https://u:p@receiver.example/", "x"]
)
def test_a_url_that_must_not_be_called_is_refused(url: str) -> None:
    assert refusal(World(webhooks=SIGNED), {"url": url})["field"] == "webhook.url"


def test_loopback_is_taken_where_it_is_opened() -> None:
    world = World(webhooks=WebhookTerms(are_signed=True, allow_loopback=True))

    world.submit(webhook={"url": "http://127.0.0.1:9000/hook"})


def test_a_jobs_deliveries_are_shown_to_its_owner_only() -> None:
    world = World(webhooks=SIGNED)
    delivery = told(world)
    where = f"/v1/jobs/{delivery.event.job}/deliveries"

    shown = world.client.get(where, headers=ADA)

    assert shown.get_json() == {
        "deliveries": [
            {
                "event_id": delivery.id,
                "event": "job.completed",
                "kind": "webhook",
                "url": HOOK["url"],
                "state": "due",
                "tries": 0,
                "next_try_at": "2026-11-23T04:38:00.000Z",
                "log": [],
            }
        ]
    }
    assert world.client.get(where, headers=BOB).status_code == 404
    assert world.client.get("/v1/jobs/nonsense/deliveries", headers=ADA).status_code == 404


def test_a_replay_makes_a_delivery_due_now() -> None:
    world = World(webhooks=SIGNED)
    delivery = told(world)
    world.clock.advance(timedelta(hours=1))
    where = f"/v1/jobs/{delivery.event.job}/deliveries/{delivery.id}/replay"

    answer = world.client.post(where, headers=ADA)

    assert answer.status_code == 202
    assert answer.get_json()["next_try_at"] == "2026-11-23T05:38:00.000Z"
    assert [one.id for one in world.deliveries.find(world.clock.now(), limit=9)] == [delivery.id]
    assert world.client.post(where, headers=BOB).status_code == 404


def test_a_replay_of_no_announcement_is_not_found() -> None:
    world = World(webhooks=SIGNED)
    job_id = world.submit()["id"]

    answer = world.client.post(f"/v1/jobs/{job_id}/deliveries/{job_id}.7/replay", headers=ADA)

    assert (answer.status_code, answer.get_json()["code"]) == (404, "delivery_not_found")
