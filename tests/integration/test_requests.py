"""What callers ask for beside the job: once only, waiting, listing and deleting, for real."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.stack import http, wait_until

if TYPE_CHECKING:
    import httpx

    from tests.stack import System

RACERS = 50
SLOW = "Hello <<stand-in: duration_s=2>>"


def test_fifty_equal_requests_at_once_make_one_job(system: System) -> None:
    key = str(uuid.uuid4())
    body = {"prompt": "Say hello", "metadata": {"race": key}}

    def submit(_: int) -> httpx.Response:
        return http.post(f"{system.url}/v1/jobs", json=body, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(RACERS) as pool:
        answers = list(pool.map(submit, range(RACERS)))

    assert {answer.status_code for answer in answers} == {202}
    [job_id] = {answer.json()["id"] for answer in answers}
    made = [answer for answer in answers if "Idempotency-Replayed" not in answer.headers]
    assert len(made) == 1
    listed = http.get(f"{system.url}/v1/jobs?limit=100").json()["jobs"]
    assert [job["id"] for job in listed if job["metadata"].get("race") == key] == [job_id]


def test_who_waits_is_given_the_answer_in_one_call(system: System) -> None:
    answer = http.post(
        f"{system.url}/v1/jobs", json={"prompt": SLOW}, headers={"Prefer": "wait=60"}, timeout=90
    )

    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=60"
    assert answer.json()["status"] == "COMPLETED"
    assert answer.json()["result"]["text"]


def test_a_wait_that_is_too_short_is_answered_with_the_running_job(system: System) -> None:
    answer = http.post(f"{system.url}/v1/jobs", json={"prompt": SLOW}, headers={"Prefer": "wait=1"})

    assert answer.status_code == 202
    assert answer.json()["status"] in {"PENDING", "RUNNING"}


def test_a_deleted_job_leaves_nothing(system: System) -> None:
    long = "word " * 20_000
    here = f"{system.url}/v1/jobs"
    job = http.post(
        here, json={"prompt": f"{long} <<stand-in: duration_s=0>>"}, headers={"Prefer": "wait=60"}
    ).json()
    own = f"{here}/{job['id']}"
    assert job["status"] == "COMPLETED"

    assert http.delete(own).status_code == 204

    for path in ("", "/result", "/events", "/timeline", "/deliveries"):
        assert http.get(f"{own}{path}").status_code == 404
    wait_until(
        lambda: job["id"] not in [one["id"] for one in http.get(here).json()["jobs"]],
        "the list has forgotten the job",
    )
