"""The REST calls about webhooks and deliveries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobs.announce import announcement_of
from jobs.delivery import Delivery
from jobs.job import JobId
from jobs.receiver import DeliveryKind, PushTerms, Receiver
from tests.builders import NOW
from tests.web_world import ADA, BOB, World
from web.parts import WebhookTerms

HOOK = {"url": "https://receiver.example/hook"}
SIGNED = WebhookTerms(are_signed=True)


PUSHED = PushTerms(always=(DeliveryKind.EVENTBRIDGE, DeliveryKind.IOT), connection_key="connection")
CONNECTION = "L0SM9cOFvHcCIhw="


def told(world: World) -> Delivery:
    """Submit a job with a webhook, end it and announce its end."""
    job_id = JobId(world.submit(webhook=HOOK)["id"])
    announcement = announcement_of(world.complete(job_id))
    assert announcement is not None
    delivery = Delivery.of(announcement.event, announcement.receivers[0], now=NOW, by="feed@test:1")
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
                "id": delivery.id,
                "event_id": delivery.event_id,
                "event": "job.completed",
                "kind": "webhook",
                "url": HOOK["url"],
                "connection_id": None,
                "state": "due",
                "tries": 0,
                "next_try_at": "2026-11-23T04:38:00.000Z",
                "log": [],
            }
        ]
    }
    assert world.client.get(where, headers=BOB).status_code == 404
    assert world.client.get("/v1/jobs/nonsense/deliveries", headers=ADA).status_code == 404


def test_a_jobs_timeline_goes_on_with_its_deliveries() -> None:
    world = World(webhooks=SIGNED)
    delivery = told(world)

    answer = world.client.get(f"/v1/jobs/{delivery.event.job}/timeline", headers=ADA)

    last = answer.get_json()["steps"][-1]
    assert (last["step"], last["by"]) == ("announced", "feed@test:1")
    assert last["delivery"] == {
        "id": delivery.id,
        "kind": "webhook",
        "try": None,
        "status": None,
    }


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


def test_a_job_is_told_to_whom_the_deployment_names_though_it_names_nobody() -> None:
    world = World(push=PUSHED)

    job_id = world.submit()["id"]

    assert world.store.get(job_id).receivers == (
        Receiver(kind=DeliveryKind.EVENTBRIDGE),
        Receiver(kind=DeliveryKind.IOT),
    )


def test_a_connection_is_taken_from_the_metadata_and_stays_there() -> None:
    world = World(push=PUSHED)

    job = world.submit(metadata={"connection": CONNECTION, "tenant": "x"})

    assert job["metadata"]["connection"] == CONNECTION
    assert world.store.get(job["id"]).receivers[-1] == Receiver(
        kind=DeliveryKind.APIGATEWAY, address=CONNECTION
    )


@pytest.mark.parametrize("connection", ["", "a b", "a?b", "../../x", "é", "x" * 129])
def test_what_cannot_be_a_connection_is_refused_by_its_field(connection: str) -> None:
    world = World(push=PUSHED)

    answer = world.client.post(
        "/v1/jobs", json={"prompt": "x", "metadata": {"connection": connection}}, headers=ADA
    )

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["field"] == "metadata.connection"


def test_metadata_is_the_callers_own_where_no_key_of_it_names_a_connection() -> None:
    world = World()

    job_id = world.submit(metadata={"connection": "a b"})["id"]

    assert world.store.get(job_id).receivers == ()


def test_each_kind_is_shown_and_replayed_by_its_own_id() -> None:
    world = World(webhooks=SIGNED, push=PUSHED)
    job_id = JobId(world.submit(webhook=HOOK, metadata={"connection": CONNECTION})["id"])
    announcement = announcement_of(world.complete(job_id))
    assert announcement is not None
    for receiver in announcement.receivers:
        world.deliveries.add(Delivery.of(announcement.event, receiver, now=NOW, by="feed@test:1"))
    world.clock.advance(timedelta(hours=1))
    where = f"/v1/jobs/{job_id}/deliveries"

    shown = world.client.get(where, headers=ADA).get_json()["deliveries"]
    answers = [world.client.post(f"{where}/{one['id']}/replay", headers=ADA) for one in shown]

    assert [(one["kind"], one["url"], one["connection_id"]) for one in shown] == [
        ("webhook", HOOK["url"], None),
        ("apigateway", None, CONNECTION),
        ("eventbridge", None, None),
        ("iot", None, None),
    ]
    assert len({one["event_id"] for one in shown}) == 1
    assert [one["id"] for one in shown] == [
        shown[0]["event_id"],
        *(f"{one['event_id']}.{one['kind']}" for one in shown[1:]),
    ]
    assert [answer.get_json()["kind"] for answer in answers] == [one["kind"] for one in shown]
    assert len(world.deliveries.find(world.clock.now(), limit=9)) == len(shown)


def test_an_id_that_no_announcement_can_have_is_not_looked_for() -> None:
    world = World()
    job_id = world.submit()["id"]

    answer = world.client.post(f"/v1/jobs/{job_id}/deliveries/{'x' * 2000}/replay", headers=ADA)

    assert (answer.status_code, answer.get_json()["code"]) == (404, "delivery_not_found")
