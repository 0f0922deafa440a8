"""POST /v1/uploads, and the uploads that a job attaches."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from jobs.document import Document, MediaType
from jobs.job import JobId
from tests.web_world import ADA, BOB, MOST_UPLOAD_BYTES, World

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

CONTENT = b"a,b\n1,2\n"
DECLARED: dict[str, Any] = {
    "content_type": "text/csv",
    "bytes": len(CONTENT),
    "sha256": base64.b64encode(hashlib.sha256(CONTENT).digest()).decode(),
    "name": "numbers.csv",
}


def offered(world: World, headers: dict[str, str] = ADA, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    answer = world.client.post("/v1/uploads", json=DECLARED | changes, headers=headers)
    assert answer.status_code == 201, answer.text
    offer: dict[str, Any] = answer.get_json()
    return offer


def uploaded(world: World, headers: dict[str, str] = ADA, **changes: Any) -> str:  # noqa: ANN401 - JSON
    offer = offered(world, headers, **changes)
    assert world.uploads.put(offer["url"], offer["headers"], CONTENT) == 200
    return str(offer["upload_id"])


def problem(world: World, path: str, body: dict[str, Any]) -> list[dict[str, str]]:
    answer = world.client.post(path, json=body, headers=ADA)
    assert answer.status_code == 422, answer.text
    errors: list[dict[str, str]] = answer.get_json()["errors"]
    return errors


def test_an_offer_says_how_to_upload_and_until_when() -> None:
    answer = World().client.post("/v1/uploads", json=DECLARED, headers=ADA)

    offer = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(offer) == {"upload_id", "method", "url", "headers", "expires_at"}
    assert offer["upload_id"].startswith("upl_")
    assert offer["method"] == "PUT"
    assert offer["headers"]["Content-Type"] == "text/csv"
    assert offer["headers"]["x-amz-checksum-sha256"] == DECLARED["sha256"]
    assert offer["expires_at"] == "2026-11-23T05:38:00.000Z"


def test_an_upload_needs_a_caller() -> None:
    assert World().client.post("/v1/uploads", json=DECLARED).status_code == 401


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"content_type": "application/zip"}, "content_type"),
        ({"content_type": "text/csv; charset=utf-8"}, "content_type"),
        ({"content_type": None}, "content_type"),
        ({"bytes": 0}, "bytes"),
        ({"bytes": -1}, "bytes"),
        ({"bytes": 1.5}, "bytes"),
        ({"bytes": "8"}, "bytes"),
        ({"bytes": True}, "bytes"),
        ({"bytes": MOST_UPLOAD_BYTES + 1}, "bytes"),
        ({"bytes": 10**40}, "bytes"),
        ({"sha256": hashlib.sha256(CONTENT).hexdigest()}, "sha256"),
        ({"sha256": DECLARED["sha256"][:-1]}, "sha256"),
        ({"sha256": "A" * 42 + "B="}, "sha256"),
        ({"sha256": "é" * 44}, "sha256"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"size": 8}, "size"),
        ({"key": "results/x"}, "key"),
    ],
)
def test_what_cannot_be_uploaded_names_its_field(changes: dict[str, Any], field: str) -> None:
    [error] = problem(World(), "/v1/uploads", DECLARED | changes)

    assert error["field"] == field


@pytest.mark.parametrize("body", [[], "x", 5])
def test_a_body_that_is_no_object_is_refused(body: object) -> None:
    assert World().client.post("/v1/uploads", json=body, headers=ADA).status_code == 422


def test_a_job_has_its_uploads_as_documents() -> None:
    world = World()
    upload = uploaded(world)

    job = world.submit(documents=[{"upload_id": upload}])

    [document] = world.store.get(JobId(job["id"])).documents
    assert document == Document(
        upload=document.upload,
        name="numbers.csv",
        media_type=MediaType.CSV,
        size=len(CONTENT),
        key=document.key,
    )
    assert document.upload == upload


def test_an_upload_without_a_name_is_called_document() -> None:
    world = World()

    job = world.submit(documents=[{"upload_id": uploaded(world, name=None)}])

    [document] = world.store.get(JobId(job["id"])).documents
    assert document.name == "document"


def test_an_upload_serves_any_number_of_jobs() -> None:
    world = World()
    upload = uploaded(world)

    jobs = [world.submit(documents=[{"upload_id": upload}]) for _ in range(2)]

    assert len({job["id"] for job in jobs}) == 2


def test_each_upload_that_is_not_there_is_named() -> None:
    world = World()
    here, not_put = uploaded(world), offered(world)["upload_id"]
    of_bob = uploaded(world, BOB)

    errors = problem(
        world,
        "/v1/jobs",
        {
            "prompt": "Sum up",
            "documents": [{"upload_id": one} for one in (here, not_put, of_bob, "../x", here)],
        },
    )

    assert [error["field"] for error in errors] == [
        "documents.1.upload_id",
        "documents.2.upload_id",
        "documents.3.upload_id",
        "documents.4.upload_id",
    ]
    # Nobody learns whether another's upload is there.
    assert errors[0]["detail"] == errors[1]["detail"] == errors[2]["detail"]
    assert errors[3]["detail"] == "names the same upload twice"


@pytest.mark.parametrize(
    ("documents", "field"),
    [
        ([{"upload_id": "x"}] * 6, "documents"),
        ("x", "documents"),
        ([5], "documents.0"),
        ([{}], "documents.0.upload_id"),
        ([{"upload_id": 5}], "documents.0.upload_id"),
        ([{"upload_id": "x" * 65}], "documents.0.upload_id"),
        ([{"upload_id": "x", "name": "y"}], "documents.0.name"),
    ],
)
def test_documents_of_another_shape_name_their_field(documents: object, field: str) -> None:
    [error] = problem(World(), "/v1/jobs", {"prompt": "x", "documents": documents})

    assert error["field"] == field


def test_a_replay_needs_nothing_that_its_request_has_named() -> None:
    world = World()
    body = {"prompt": "Sum up", "documents": [{"upload_id": uploaded(world)}]}

    def post(key: str) -> TestResponse:
        headers = ADA | {"Idempotency-Key": key}
        return world.client.post("/v1/jobs", json=body, headers=headers)

    first = post("one").get_json()["id"]
    world.uploads._kept.clear()  # noqa: SLF001 - as the bucket's rule does, in its time

    assert (post("one").status_code, post("one").get_json()["id"]) == (202, first)
    assert post("two").status_code == 422


def test_the_types_that_are_taken_are_told_once() -> None:
    body = DECLARED | {"content_type": "image/png"}

    problem = World().client.post("/v1/uploads", json=body, headers=ADA).get_json()

    assert "text/csv" not in problem["detail"]
    assert problem["detail"].endswith("content_type: is not a type that is taken here")
    [wrong] = problem["errors"]
    assert wrong["detail"].endswith("text/markdown, text/csv, text/plain")
