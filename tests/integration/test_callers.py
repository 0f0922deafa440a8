"""Who is calling, for real: keys made and revoked, tokens, limits, and what no log shows."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed

from adapters.key_cache import FRESH
from jobs.keys import prefix_of
from tests.credentials import SETTINGS_KEY, Place, running_place, say
from tests.integration.test_web_process import close_code
from tests.issuer import SigningKey
from tests.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

QUOTA = 60
CEILING = 3
SLOW = "Hello <<stand-in: duration_s=60>>"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_place(
        tmp_path_factory.mktemp("callers"),
        LONGHAUL_RATE_LIMIT=f"{QUOTA}/3600",
        LONGHAUL_USER_MAX_JOBS_IN_FLIGHT=str(CEILING),
    ) as running:
        yield running


def status(place: Place, token: str | None) -> int:
    return place.call(token, "/v1/jobs").status_code


def test_a_key_opens_its_users_jobs_as_far_as_its_scopes_reach(place: Place) -> None:
    key, reader = place.make_key("ada"), place.make_key("ada", "--scope", "jobs:read")

    job_id = place.submit(key)

    assert place.call(reader, f"/v1/jobs/{job_id}").json()["id"] == job_id
    refused = place.call(reader, "/v1/jobs", method="POST", body={"prompt": "Hi"})
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert place.call(SETTINGS_KEY, f"/v1/jobs/{job_id}").status_code == 404
    assert [status(place, None), status(place, key[:-1] + "!")] == [401, 401]
    assert place.call(key, "/v1/jobs", headers={"Authorization": f"Bearer {key}x"}).is_error


def test_a_key_that_is_revoked_closes_within_what_the_operator_is_told(place: Place) -> None:
    key = place.make_key("eve")
    prefix = prefix_of(key)
    assert prefix is not None
    assert prefix in place.longhaul("keys", "list", "--user", "eve")
    assert status(place, key) == 200

    place.longhaul("keys", "revoke", prefix)

    within = FRESH.total_seconds() + 15
    wait_until(lambda: status(place, key) == 401, "the key opens nothing", within=within)


def test_a_token_of_the_issuer_names_its_user_and_scopes(place: Place) -> None:
    token = place.issuer.token("ada")
    job_id = place.submit(token)

    assert place.call(token, f"/v1/jobs/{job_id}").status_code == 200
    # The issuer's ada is not the ada of a key.
    assert place.call(place.make_key("ada"), f"/v1/jobs/{job_id}").status_code == 404
    assert place.call(place.make_key("oidc:ada"), f"/v1/jobs/{job_id}").status_code == 200
    assert status(place, place.issuer.token("ada", scope="openid")) == 403
    for wrong in ({"aud": "other"}, {"iss": "https://other.example"}, {"exp": 1}):
        assert status(place, place.issuer.token("ada", **wrong)) == 401
    assert "jwks" in place.issuer.asked[-1]


def test_a_rotated_key_of_the_issuer_is_found(place: Place) -> None:
    assert status(place, place.issuer.token("rota")) == 200
    place.issuer.keys = [SigningKey.ec("second")]
    token = place.issuer.token("rota")
    asked = len(place.issuer.asked)

    wait_until(lambda: status(place, token) == 200, "the new key is fetched")

    assert len(place.issuer.asked) == asked + 2  # discovery and keys, once


def test_a_socket_ends_with_its_token(place: Place) -> None:
    until = int(datetime.now(UTC).timestamp()) - 28  # 30 s of leeway

    with place.socket() as client:
        assert say(client, type="auth", token=place.issuer.token("ada", exp=until)) == {
            "type": "authenticated"
        }
        assert json.loads(client.recv(timeout=30))["code"] == "unauthenticated"
        assert close_code(client) == 4401


def test_a_user_is_told_what_is_left_and_when_it_is_too_much(place: Place) -> None:
    key = place.make_key("busy")
    first = place.call(key, "/v1/jobs")
    assert first.headers["RateLimit-Policy"] == f'"default";q={QUOTA};w=3600'
    assert first.headers["RateLimit"].startswith(f'"default";r={QUOTA - 1};t=')

    statuses = [status(place, key) for _ in range(QUOTA)]

    assert statuses.count(429) == 1
    refused = place.call(key, "/v1/jobs")
    assert refused.json()["code"] == "rate_limited"
    assert 0 < int(refused.headers["Retry-After"]) <= 3600 / QUOTA
    assert status(place, place.make_key("calm")) == 200
    assert place.call(key, "/healthz").status_code == 200


def test_a_user_has_so_many_jobs_in_flight_and_more_when_one_has_ended(place: Place) -> None:
    key = place.make_key("many")
    jobs = [place.submit(key, SLOW) for _ in range(CEILING)]

    refused = place.call(key, "/v1/jobs", method="POST", body={"prompt": "Hi"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_jobs_in_flight")
    place.call(key, f"/v1/jobs/{jobs[0]}/cancel", method="POST")

    def is_let_in() -> bool:
        answer = place.call(key, "/v1/jobs", method="POST", body={"prompt": SLOW})
        return answer.status_code == 202

    wait_until(is_let_in, "the feed has told of the end")
    for job in place.call(key, "/v1/jobs?limit=10").json()["jobs"]:
        place.call(key, f"/v1/jobs/{job['id']}/cancel", method="POST")


def test_no_log_shows_a_key_or_a_token(place: Place) -> None:
    key, token = place.make_key("quiet"), place.issuer.token("quiet")
    wrong = place.make_key("other")[:-4] + "aaaa"
    expired = place.issuer.token("quiet", exp=1)
    for credential in (key, token, wrong, expired, SETTINGS_KEY):
        place.call(credential, "/v1/jobs")
        place.call(credential, "/v1/jobs/job_x/events", headers={"Accept": "text/event-stream"})
        with suppress(ConnectionClosed), place.socket() as client:
            say(client, type="auth", token=credential)
    ticket = place.call(key, "/v1/ws-tickets", method="POST").json()["ticket"]
    with place.socket(query=f"?ticket={ticket}") as client:
        assert say(client, type="ping") == {"type": "pong"}
    program = place.system.program
    assert program is not None
    wait_until(lambda: program.output.count("socket_closed") >= 6, "the sockets' ends are logged")

    for secret in (key, token, wrong, expired, SETTINGS_KEY, ticket):
        for part in (secret, secret[-24:]):
            assert part not in program.output, "a credential stands in the log"


def test_without_redis_calls_are_not_refused(place: Place) -> None:
    key = place.make_key("alone")
    place.redis.freeze()
    try:
        answer = place.call(key, "/v1/jobs")
    finally:
        place.redis.thaw()

    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers
    assert place.system.log_lines(event="part_away")
    wait_until(
        lambda: "RateLimit" in place.call(key, "/v1/jobs").headers, "calls are counted again"
    )
    assert json.loads(place.longhaul("keys", "list", "--user", "alone", "--json"))
