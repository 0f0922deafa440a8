"""Limits as callers meet them: fields, refusals, and what goes on without the counts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.memory import ManualClock
from adapters.memory_limits import MemoryRates
from jobs.errors import Unavailable
from jobs.outage import Outage
from jobs.rate import Allowance, Quota
from tests.builders import RecordingLog
from tests.unit.test_web_sockets import talk
from tests.web_world import ADA, BOB, World
from web.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.job import UserId

MINUTE = timedelta(minutes=1)
CALLS = Quota(name="default", calls=4, window=MINUTE)
SUBMITS = Quota(name="submit", calls=2, window=MINUTE)


class ShakyRates(MemoryRates):
    """jobs.rate.Rates that can be away."""

    is_away = False
    asked = 0

    def take(self, user: UserId, quotas: Sequence[Quota]) -> list[Allowance]:
        self.asked += 1
        if self.is_away:
            raise Unavailable("events", "away (test)")
        return super().take(user, quotas)


class Limited(World):
    """A World whose users may make four calls a minute, and two that set a job going."""

    def __init__(
        self,
        calls: Quota | None = CALLS,
        submits: Quota | None = SUBMITS,
        *,
        allow_anonymous: bool = False,
    ) -> None:
        clock = ManualClock()
        self.rates = ShakyRates(clock)
        self.outages = RecordingLog()
        limits = Limits(
            rates=self.rates,
            outage=Outage("rates", clock=clock, log=self.outages),
            calls=calls,
            submits=submits,
        )
        super().__init__(clock=clock, limits=limits, allow_anonymous=allow_anonymous)

    def read(self, headers: dict[str, str] = ADA) -> int:
        return self.client.get("/v1/jobs", headers=headers).status_code


def test_every_answer_says_what_is_left() -> None:
    world = Limited()

    submitted = world.client.post("/v1/jobs", json={"prompt": "Hello"}, headers=ADA)
    listed = world.client.get("/v1/jobs", headers=ADA)
    missing = world.client.get("/v1/jobs/job_x", headers=ADA)

    assert submitted.headers["RateLimit-Policy"] == '"default";q=4;w=60, "submit";q=2;w=60'
    assert submitted.headers["RateLimit"] == '"default";r=3;t=15, "submit";r=1;t=30'
    assert listed.headers["RateLimit-Policy"] == '"default";q=4;w=60'
    assert listed.headers["RateLimit"] == '"default";r=2;t=30'
    assert (missing.status_code, missing.headers["RateLimit"]) == (404, '"default";r=1;t=45')


def test_who_calls_too_often_is_told_when_to_come_back() -> None:
    world = Limited()
    for _ in range(4):
        assert world.read() == 200

    answer = world.client.get("/v1/jobs", headers=ADA)

    assert answer.status_code == 429
    assert answer.get_json()["code"] == "rate_limited"
    assert answer.headers["Retry-After"] == "15"
    assert answer.headers["RateLimit"] == '"default";r=0;t=60'
    assert world.read(BOB) == 200
    world.clock.advance(timedelta(seconds=15))
    assert world.read() == 200
    assert world.read() == 429


def test_jobs_have_a_quota_of_their_own() -> None:
    world = Limited()
    job_id = world.submit()["id"]
    world.fail(job_id)
    world.submit()

    assert world.client.post("/v1/jobs", json={"prompt": "Hi"}, headers=ADA).status_code == 429
    assert world.client.post(f"/v1/jobs/{job_id}/redrive", headers=ADA).status_code == 429
    assert world.read() == 200


def test_one_limit_may_stand_without_the_other() -> None:
    submits_only, none = Limited(calls=None), Limited(calls=None, submits=None)

    assert [submits_only.read() for _ in range(10)] == [200] * 10
    assert "RateLimit" not in submits_only.client.get("/v1/jobs", headers=ADA).headers
    for _ in range(10):
        none.submit()
    assert none.rates.asked == 0


def test_health_and_descriptions_are_not_limited() -> None:
    world = Limited()

    for path in ("/healthz", "/readyz", "/asyncapi.json"):
        for _ in range(6):
            answer = world.client.get(path, headers=ADA)
            assert (answer.status_code, "RateLimit" in answer.headers) == (200, False)


def test_without_the_counts_every_call_passes_and_it_is_told_once() -> None:
    world = Limited()
    world.rates.is_away = True

    for _ in range(10):
        assert world.read() == 200
    assert world.rates.asked == 1  # each question would take seconds
    world.clock.advance(timedelta(seconds=2))
    assert world.read() == 200

    assert [line.event for line in world.outages.lines] == ["part_away"]
    world.rates.is_away = False
    world.clock.advance(timedelta(seconds=2))
    assert world.client.get("/v1/jobs", headers=ADA).headers["RateLimit"] == '"default";r=3;t=15'


def test_an_event_source_that_comes_too_often_comes_back_later_by_itself() -> None:
    world = Limited(submits=None)
    job_id = world.submit()["id"]
    for _ in range(3):
        world.read()
    path = f"/v1/jobs/{job_id}/events"

    browser = world.client.get(path, headers=ADA | {"Accept": "text/event-stream"})
    other = world.client.get(path, headers=ADA)

    assert (browser.status_code, browser.text) == (200, "retry: 15000\n\n")
    assert other.status_code == 429


def test_an_anonymous_socket_that_names_its_user_is_counted_as_that_users() -> None:
    world = Limited(allow_anonymous=True)
    auth = {"type": "auth", "token": ADA["Authorization"].removeprefix("Bearer ")}

    wire = talk(world, auth, auth, user="local", is_named=False)

    assert [message["type"] for message in wire.sent] == ["authenticated", "authenticated"]
    assert [world.read() for _ in range(4)] == [200, 200, 200, 429]


def test_a_user_beyond_the_limit_takes_no_anonymous_socket_over() -> None:
    world = Limited(allow_anonymous=True)
    auth = {"type": "auth", "token": ADA["Authorization"].removeprefix("Bearer ")}
    while world.read() == 200:
        pass

    wire = talk(world, auth, user="local", is_named=False)

    assert [message["code"] for message in wire.sent] == ["rate_limited"]
    assert wire.code == 4429


@pytest.mark.parametrize("key", ["", "x"])
def test_a_user_at_the_ceiling_is_told_so(key: str) -> None:
    world = World(most_in_flight=1)
    headers = ADA | ({"Idempotency-Key": key} if key else {})
    first = world.client.post("/v1/jobs", json={"prompt": "Hi"}, headers=headers)
    again = world.client.post("/v1/jobs", json={"prompt": "Hi"}, headers=headers)
    other = world.client.post("/v1/jobs", json={"prompt": "Hi"}, headers=ADA)

    assert first.status_code == 202
    assert again.status_code == (202 if key else 429)
    assert other.status_code == 429
    assert other.get_json()["code"] == "too_many_jobs_in_flight"
    assert int(other.headers["Retry-After"]) > 0
