"""GET /v1/jobs and DELETE /v1/jobs/{id}."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import NoResult
from jobs.job import JobId, Stored
from jobs.listing import Place
from tests.contracts.stories import START, new_id
from tests.web_world import ADA, BOB, World
from web.list_routes import read_cursor, write_cursor

SECOND = timedelta(seconds=1)


def cursor_of(at: str) -> str:
    """Write a cursor as a forger does."""
    return base64.urlsafe_b64encode(f"{at} job_{0:026d}".encode()).decode().rstrip("=")


def listed(world: World, query: str = "", headers: Any = ADA) -> dict[str, Any]:  # noqa: ANN401 - headers
    answer = world.client.get(f"/v1/jobs{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    return body


def submit_some(world: World, count: int) -> list[str]:
    """Submit jobs a second apart; give their ids, the newest first."""
    made = []
    for _ in range(count):
        made.append(world.submit()["id"])
        world.clock.advance(SECOND)
    return made[::-1]


def test_a_list_has_the_callers_jobs_the_newest_first() -> None:
    world = World()
    made = submit_some(world, 3)
    world.submit(BOB)

    body = listed(world)

    assert [job["id"] for job in body["jobs"]] == made
    assert body["next_cursor"] is None


def test_a_listed_job_has_the_jobs_own_fields_but_for_its_result() -> None:
    world = World()
    job_id = world.submit(metadata={"tenant": "acme"})["id"]
    world.complete(job_id)
    whole = world.client.get(f"/v1/jobs/{job_id}", headers=ADA).get_json()

    [job] = listed(world)["jobs"]

    del whole["result"]
    assert job == whole


def test_cursors_lead_through_all_jobs() -> None:
    world = World()
    made = submit_some(world, 5)

    ids, query = [], "?limit=2"
    while query:
        body = listed(world, query)
        ids += [job["id"] for job in body["jobs"]]
        query = f"?limit=2&cursor={body['next_cursor']}" if body["next_cursor"] else ""

    assert ids == made


def test_another_users_cursor_opens_ones_own_list_only() -> None:
    world = World()
    submit_some(world, 3)
    cursor = listed(world, "?limit=1")["next_cursor"]

    assert listed(world, f"?cursor={cursor}", BOB)["jobs"] == []


def test_a_status_chooses() -> None:
    world = World()
    made = submit_some(world, 2)
    world.complete(JobId(made[0]))

    assert [job["id"] for job in listed(world, "?status=COMPLETED")["jobs"]] == made[:1]
    assert [job["id"] for job in listed(world, "?status=PENDING")["jobs"]] == made[1:]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=DONE", "status"),
        ("status=", "status"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=²", "limit"),
        ("limit=9999999999", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=", "cursor"),
        ("cursor=x", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=é", "cursor"),
        (f"cursor={'A' * 5000}", "cursor"),
        (f"cursor={cursor_of('0001-01-01T00:00:00+14:00')}", "cursor"),
        (f"cursor={cursor_of('9999-12-31T23:59:59-14:00')}", "cursor"),
        (f"cursor={cursor_of('2026-11-23')}", "cursor"),
        ("stauts=FAILED", "stauts"),
    ],
)
def test_what_cannot_be_listed_is_named(query: str, field: str) -> None:
    answer = World().client.get(f"/v1/jobs?{query}", headers=ADA)

    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.get_json()["errors"]] == [field]


@given(st.text(max_size=300))
def test_no_word_breaks_the_reading_of_a_cursor(word: str) -> None:
    place = read_cursor(word)

    assert place is None or read_cursor(write_cursor(place)) == place


def test_an_ended_job_is_deleted_with_all_that_belongs_to_it() -> None:
    world = World()
    job_id = world.submit(prompt="long " * 1000)["id"]
    kept = world.put_result("the result")
    row = world.complete(job_id, kept)
    assert isinstance(row.prompt, Stored)

    answer = world.client.delete(f"/v1/jobs/{job_id}", headers=ADA)

    assert (answer.status_code, answer.data) == (204, b"")
    assert world.client.get(f"/v1/jobs/{job_id}", headers=ADA).status_code == 404
    assert world.client.delete(f"/v1/jobs/{job_id}", headers=ADA).status_code == 404
    with pytest.raises(NoResult):
        world.objects.get(row.prompt.key)
    assert world.events.read(row.id, start=1) == []
    assert listed(world)["jobs"] == []


def test_a_job_that_has_not_ended_is_not_deleted() -> None:
    world = World()
    job_id = world.submit()["id"]

    answer = world.client.delete(f"/v1/jobs/{job_id}", headers=ADA)

    assert (answer.status_code, answer.get_json()["code"]) == (409, "job_not_ended")
    assert world.client.get(f"/v1/jobs/{job_id}", headers=ADA).status_code == 200


def test_a_cursor_reads_back() -> None:
    place = Place(created_at=START, job=new_id())

    assert read_cursor(write_cursor(place)) == place
