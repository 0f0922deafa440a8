"""Prefer and Idempotency-Key, as headers and at POST /v1/jobs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.datastructures import Headers

from jobs.errors import InvalidRequest, Unavailable
from jobs.events import EventType
from jobs.job import JobStatus
from tests.stack import wait_until
from tests.web_world import ADA, BOB, World, event_of
from web.app import create_app
from web.preferences import LONGEST_WAIT, Preferences, read_idempotency_key, read_preferences

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

    from jobs.idempotency import KeyedJobs, RequestKey
    from jobs.job import Job, JobId
    from jobs.ports import Topic

FIVE = timedelta(seconds=5)
BODY = {"prompt": "Say hello"}


def post(world: World, body: Any = BODY, headers: Any = ADA, **more: str) -> TestResponse:  # noqa: ANN401 - JSON
    sent = {name.replace("_", "-"): value for name, value in more.items()}
    return world.client.post("/v1/jobs", json=body, headers=headers | sent)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([], Preferences()),
        (["respond-async"], Preferences(responds_async=True)),
        (["Respond-Async, wait=5"], Preferences(responds_async=True, wait=FIVE)),
        (
            ["respond-async", 'wait="5"'],
            Preferences(responds_async=True, wait=timedelta(seconds=5)),
        ),
        (["wait=5; x=y, wait=9"], Preferences(wait=timedelta(seconds=5))),
        (["wait = 0"], Preferences(wait=timedelta(0))),
        (["wait=999999"], Preferences(wait=LONGEST_WAIT)),
        (["wait=-1, wait=1.5, wait=x, wait, return=minimal, ,"], Preferences()),
        (["wait=9999999999"], Preferences()),
    ],
)
def test_what_is_understood_is_kept_and_the_rest_is_left(
    sent: list[str], kept: Preferences
) -> None:
    assert read_preferences(Headers([("Prefer", one) for one in sent])) == kept


@pytest.mark.parametrize("key", ["a", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "x" * 255])
def test_a_key_is_taken_as_it_is_sent(key: str) -> None:
    assert read_idempotency_key(Headers([("Idempotency-Key", f" {key} ")])) == key


@pytest.mark.parametrize(
    "sent", [[""], ["  "], ["x" * 256], ["é"], ["a\tb"], ["a", "b"], ["a,b"], ["a, a"]]
)
def test_a_key_that_is_none_is_named(sent: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_idempotency_key(Headers([("Idempotency-Key", one) for one in sent]))

    assert [problem.field for problem in refusal.value.problems] == ["Idempotency-Key"]


def test_the_same_request_again_gives_the_same_job() -> None:
    world = World()
    first = post(world, Idempotency_Key="one")
    second = post(world, {"prompt": "Say hello"}, Idempotency_Key="one")

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.get_json()["id"] == second.get_json()["id"]
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert [event.type for event in world.events.told] == [EventType.QUEUED]


def test_a_replay_shows_the_job_as_it_stands() -> None:
    world = World()
    job_id = post(world, Idempotency_Key="one").get_json()["id"]
    world.complete(job_id)

    assert post(world, Idempotency_Key="one").get_json()["status"] == "COMPLETED"


def test_another_body_under_the_key_is_refused() -> None:
    world = World()
    post(world, Idempotency_Key="one")

    answer = post(world, {"prompt": "Something else"}, Idempotency_Key="one")

    assert answer.status_code == 422
    assert answer.get_json()["code"] == "idempotency_key_reused"


def test_a_body_that_cannot_become_a_job_uses_no_key_up() -> None:
    world = World()

    assert post(world, {"prompt": ""}, Idempotency_Key="one").status_code == 422
    assert post(world, Idempotency_Key="one").status_code == 202


def test_two_users_may_have_the_same_key() -> None:
    world = World()

    ids = {post(world, headers=who, Idempotency_Key="k").get_json()["id"] for who in (ADA, BOB)}

    assert len(ids) == 2


def test_a_large_prompt_that_comes_twice_is_kept_once() -> None:
    world = World()
    body = {"prompt": "long " * 1000}

    first = post(world, body, Idempotency_Key="one").get_json()["id"]
    post(world, body, Idempotency_Key="one")

    assert [key for key in world.objects._texts if "prompts" in key] == [  # noqa: SLF001 - no port lists
        f"prompts/{first}.json"
    ]


def test_what_is_refused_under_a_key_leaves_no_prompt_behind() -> None:
    world = World()
    post(world, Idempotency_Key="one")
    long = {"prompt": "long " * 1000}
    keyed = replace(world.parts, keyed=BlindKeys(world.parts.keyed))
    client = create_app(keyed).test_client()

    answer = client.post("/v1/jobs", json=long, headers=ADA | {"Idempotency-Key": "one"})

    assert answer.status_code == 422
    assert not [key for key in world.objects._texts if "prompts" in key]  # noqa: SLF001 - no port lists


@dataclass(frozen=True)
class BlindKeys:
    """jobs.idempotency.KeyedJobs that finds nothing: another was faster since it looked."""

    keyed: KeyedJobs

    def find(self, key: RequestKey) -> None:
        assert key.id

    def add(self, job: Job, key: RequestKey) -> JobId:
        return self.keyed.add(job, key)


def test_who_waits_is_given_the_ended_job() -> None:
    world = World()
    answers: list[TestResponse] = []
    threading.Thread(target=lambda: world.events.listen(world.hub), daemon=True).start()
    wait_until(lambda: world.events._listener is not None, "the hub listens")  # noqa: SLF001 - the fake's
    waiting = threading.Thread(target=lambda: answers.append(post(world, Prefer="wait=60")))
    waiting.start()
    wait_until(lambda: world.events.topics, "the request waits")

    [queued] = [event for event in world.events.told if event.type is EventType.QUEUED]
    job = world.complete(queued.job)
    world.events.publish(event_of(job, job.seq, EventType.COMPLETED))
    waiting.join(30)

    [answer] = answers
    assert answer.status_code == 200
    assert answer.get_json()["result"]["text"] == "Hello"
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert "Retry-After" not in answer.headers
    assert world.events.topics == set()


def test_a_wait_that_is_over_is_answered_as_ever() -> None:
    answer = post(World(), Prefer="respond-async, wait=0")

    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async, wait=0"


def test_nobody_waits_for_a_process_that_goes_away() -> None:
    world = World()
    world.hub.drain()

    assert post(world, Prefer="wait=60").status_code == 202


def test_without_the_bus_a_wait_is_over_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()

    def refuse(topic: Topic) -> None:
        raise Unavailable("events", f"no {topic}")

    monkeypatch.setattr(world.events, "add", refuse)

    assert post(world, Prefer="wait=60").status_code == 202


def test_who_waits_for_a_job_that_is_deleted_is_given_it_as_it_was() -> None:
    world = World()
    answers: list[TestResponse] = []
    waiting = threading.Thread(target=lambda: answers.append(post(world, Prefer="wait=60")))
    waiting.start()
    wait_until(lambda: world.events.topics, "the request waits")

    [queued] = [event for event in world.events.told if event.type is EventType.QUEUED]
    world.complete(queued.job)
    assert world.client.delete(f"/v1/jobs/{queued.job}", headers=ADA).status_code == 204
    world.hub.lose_touch()
    waiting.join(30)

    [answer] = answers
    assert (answer.status_code, answer.get_json()["id"]) == (202, queued.job)


def test_a_replay_of_an_ended_job_waits_for_nothing() -> None:
    world = World()
    job_id = post(world, Idempotency_Key="one").get_json()["id"]
    world.complete(job_id)

    answer = post(world, Idempotency_Key="one", Prefer="wait=60")

    assert (answer.status_code, answer.get_json()["status"]) == (200, JobStatus.COMPLETED)
