"""The client's calls about jobs, against a server of answers that are written down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import longhaul_client as lh
from longhaul_client.client import Jobs, Uploads
from longhaul_client.jobs import AsyncJobs
from longhaul_client.uploads import AsyncUploads
from tests.client_server import JOB_ID, URL, Script, job_json, problem
from tests.client_ways import WAYS, client_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Open = Callable[..., AbstractContextManager[lh.Longhaul]]

AT_ONCE = lh.Retry(base_seconds=0, longest_asked_seconds=0, tries=4)
LOST = httpx.ReadError("reset (test)")
REFUSED = httpx.ConnectError("refused (test)")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


@pytest.fixture
def open_client(way: str) -> Open:
    def open_client(script: Script, key: str | None = "k" * 16) -> Any:  # noqa: ANN401 - a context manager
        return client_of(way, URL, key, handler=script, retry=AT_ONCE)

    return open_client


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LONGHAUL_URL", "LONGHAUL_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_a_job_is_submitted_with_what_was_said_and_nothing_else(open_client: Open) -> None:
    script = Script.of(httpx.Response(202, json=job_json()))

    with open_client(script) as client:
        job = client.jobs.create(
            prompt="Hi", documents=["upl_1"], webhook="https://a.example/", metadata={"a": "b"}
        )

    [request] = script.requests
    assert json.loads(request.content) == {
        "prompt": "Hi",
        "documents": [{"upload_id": "upl_1"}],
        "webhook": {"url": "https://a.example/"},
        "metadata": {"a": "b"},
    }
    assert request.headers["Authorization"] == "Bearer " + "k" * 16
    assert "Prefer" not in request.headers
    assert (job.id, job.status, job.has_ended) == (JOB_ID, lh.JobStatus.PENDING, False)


def test_every_try_of_one_submission_carries_the_same_key(open_client: Open) -> None:
    accepted = httpx.Response(202, json=job_json())
    script = Script.of(REFUSED, LOST, problem(503, "unavailable", Retry_After="2"), accepted)

    with open_client(script) as client:
        client.jobs.create(prompt="Hi")
        client.jobs.create(prompt="Hi")

    first, *more, another = [request.headers["Idempotency-Key"] for request in script.requests]
    assert set(more) == {first}
    assert len(more) == 3
    assert another != first


def test_a_key_and_a_wait_of_the_caller_are_passed_on(open_client: Open) -> None:
    script = Script.of(httpx.Response(200, json=job_json(status="COMPLETED")))

    with open_client(script) as client:
        job = client.jobs.create(prompt="Hi", idempotency_key="mine", wait=90)

    assert job.has_ended
    assert script.requests[0].headers["Idempotency-Key"] == "mine"
    assert script.requests[0].headers["Prefer"] == "wait=60"


@pytest.mark.parametrize("key", ["a\nb", "é", " a", "k" * 256])
def test_a_key_that_no_header_can_hold_is_invalid(open_client: Open, key: str) -> None:
    script = Script.of(httpx.Response(202, json=job_json()))

    with open_client(script) as client, pytest.raises(lh.Invalid, match="Idempotency-Key"):
        client.jobs.create(prompt="Hi", idempotency_key=key)

    assert script.requests == []


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (LOST, lh.ConnectionLost),
        (REFUSED, lh.NotConnected),
        (problem(503, "draining"), lh.Unavailable),
        (problem(429, "too_many_requests"), lh.RateLimited),
    ],
)
def test_what_may_pass_is_tried_again_and_raised_in_the_end(
    open_client: Open, failure: httpx.Response | Exception, kind: type[Exception]
) -> None:
    script = Script.of(failure)

    with open_client(script) as client, pytest.raises(kind):
        client.jobs.get(JOB_ID)

    assert len(script.requests) == AT_ONCE.tries


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, lh.Unauthenticated),
        (403, lh.Forbidden),
        (404, lh.NotFound),
        (409, lh.Conflict),
        (422, lh.Invalid),
        (500, lh.Problem),
    ],
)
def test_what_will_not_pass_is_raised_at_once(
    open_client: Open, status: int, kind: type[lh.Problem]
) -> None:
    script = Script.of(problem(status, "why"))

    with open_client(script) as client, pytest.raises(kind, match="told: why") as raised:
        client.jobs.get(JOB_ID)

    assert len(script.requests) == 1
    assert (raised.value.code, raised.value.status, raised.value.trace_id) == (
        "why",
        status,
        "1-2-3",
    )


def test_a_problem_names_the_fields() -> None:
    told = {"code": "invalid_request", "errors": [{"field": "prompt", "detail": "is blank"}]}
    script = Script.of(httpx.Response(422, json=told))

    with client_of("blocking", URL, handler=script) as client, pytest.raises(lh.Invalid) as raised:
        client.jobs.create(prompt=" ")

    assert raised.value.errors == (lh.FieldProblem(field="prompt", detail="is blank"),)


@pytest.mark.parametrize("content", [b"<html>a proxy</html>", b"[]", b"{}", b'{"id": "x"}'])
def test_an_answer_of_something_else_is_named_as_such(open_client: Open, content: bytes) -> None:
    script = Script.of(httpx.Response(200, content=content))

    with open_client(script) as client, pytest.raises(lh.AnswerUnreadable):
        client.jobs.get(JOB_ID)


def test_an_error_page_of_a_proxy_is_a_problem_too(open_client: Open) -> None:
    script = Script.of(httpx.Response(502, content=b"Bad gateway"))

    with open_client(script) as client, pytest.raises(lh.Unavailable, match="Bad gateway"):
        client.jobs.get(JOB_ID)


def test_a_redirect_is_not_followed_with_the_key(open_client: Open) -> None:
    script = Script.of(httpx.Response(301, headers={"Location": "https://elsewhere.test/"}))

    with open_client(script) as client, pytest.raises(lh.AnswerUnreadable, match="elsewhere"):
        client.jobs.get(JOB_ID)

    assert len(script.requests) == 1


@pytest.mark.parametrize("lost", [LOST, httpx.Response(504)])
def test_a_redrive_whose_answer_was_lost_is_not_a_conflict(
    open_client: Open, lost: httpx.Response | Exception
) -> None:
    script = Script.of(
        lost, problem(409, "not_redrivable"), httpx.Response(200, json=job_json(status="RUNNING"))
    )

    with open_client(script) as client:
        assert client.jobs.redrive(JOB_ID).status == "RUNNING"

    assert [request.method for request in script.requests] == ["POST", "POST", "GET"]


@pytest.mark.parametrize("failure", [REFUSED, problem(503, "unavailable")])
def test_a_redrive_that_is_refused_at_once_is_a_conflict(
    open_client: Open, failure: httpx.Response | Exception
) -> None:
    script = Script.of(failure, problem(409, "not_redrivable"))

    with open_client(script) as client, pytest.raises(lh.Conflict):
        client.jobs.redrive(JOB_ID)


def test_a_delete_whose_answer_was_lost_is_done(open_client: Open) -> None:
    script = Script.of(LOST, problem(404, "job_not_found"))

    with open_client(script) as client:
        client.jobs.delete(JOB_ID)

    assert len(script.requests) == 2


def test_a_list_goes_on_over_its_pages(open_client: Open) -> None:
    first = {"jobs": [job_json(id="job_a"), job_json(id="job_b")], "next_cursor": "next"}
    last = {"jobs": [job_json(id="job_c")], "next_cursor": None}
    script = Script.of(httpx.Response(200, json=first), httpx.Response(200, json=last))

    with open_client(script) as client:
        found = [job.id for job in client.jobs.list(status="FAILED")]

    assert found == ["job_a", "job_b", "job_c"]
    assert [dict(request.url.params) for request in script.requests] == [
        {"status": "FAILED", "limit": "100"},
        {"status": "FAILED", "limit": "100", "cursor": "next"},
    ]


def test_a_list_is_no_longer_than_asked_for(open_client: Open) -> None:
    page = {"jobs": [job_json(), job_json()], "next_cursor": "next"}
    script = Script.of(httpx.Response(200, json=page))

    with open_client(script) as client:
        assert len(list(client.jobs.list(limit=3))) == 3
        assert list(client.jobs.list(limit=0)) == []

    assert [request.url.params["limit"] for request in script.requests] == ["3", "1"]


def test_a_wait_looks_until_the_job_has_ended(open_client: Open) -> None:
    waiting = httpx.Response(200, json=job_json(), headers={"ETag": 'W/"1"', "Retry-After": "0"})
    same = httpx.Response(304, headers={"Retry-After": "0"})
    script = Script.of(waiting, same, httpx.Response(200, json=job_json(status="FAILED")))

    with open_client(script) as client:
        assert client.jobs.wait(JOB_ID).status == "FAILED"

    assert [request.headers.get("If-None-Match") for request in script.requests] == [
        None,
        'W/"1"',
        'W/"1"',
    ]


def test_a_wait_outlasts_a_server_that_is_away_for_longer_than_a_calls_tries(
    open_client: Open,
) -> None:
    waiting = httpx.Response(200, json=job_json(), headers={"Retry-After": "0"})
    away = [problem(503, "unavailable") for _ in range(3 * AT_ONCE.tries)]
    script = Script.of(waiting, *away, httpx.Response(200, json=job_json(status="COMPLETED")))

    with open_client(script) as client:
        assert client.jobs.wait(JOB_ID).status == "COMPLETED"


def test_a_wait_that_is_over_says_how_the_job_stood(open_client: Open) -> None:
    script = Script.of(httpx.Response(200, json=job_json(status="RUNNING")))

    with open_client(script) as client, pytest.raises(lh.WaitOver) as raised:
        client.jobs.wait(JOB_ID, timeout=0)

    assert raised.value.job.status == "RUNNING"


def test_a_result_in_the_store_is_fetched_without_the_key(open_client: Open) -> None:
    elsewhere = httpx.Response(303, headers={"Location": "http://s3.test/r?X-Amz-Signature=s"})
    script = Script.of(elsewhere, httpx.Response(503), httpx.Response(200, text="long é"))

    with open_client(script) as client:
        assert client.jobs.result(JOB_ID) == "long é"

    first, *stored = script.requests
    assert "Authorization" in first.headers
    for request in stored:
        assert request.url.host == "s3.test"
        assert "Authorization" not in request.headers


@pytest.mark.parametrize("job_id", ["", "..", "a/b", "x?y", "é"])
def test_what_cannot_be_an_id_is_asked_nobody(open_client: Open, job_id: str) -> None:
    script = Script.of(httpx.Response(200, json=job_json()))

    with open_client(script) as client, pytest.raises(lh.NotFound):
        client.jobs.delete(job_id)

    assert script.requests == []


def test_fields_that_are_new_are_left_alone_and_missing_ones_are_none(open_client: Open) -> None:
    told = {"id": JOB_ID, "status": "DREAMING", "created_at": "2026-11-24T20:00:00Z", "new": [1]}
    script = Script.of(httpx.Response(200, json=told))

    with open_client(script) as client:
        job = client.jobs.get(JOB_ID)

    assert (job.status, job.usage, job.raw["new"]) == ("DREAMING", None, [1])
    assert not job.has_ended


def test_timeline_and_deliveries_are_read(open_client: Open) -> None:
    step = {"step": "accepted", "at": "2026-11-24T20:00:00Z", "by": "web@a:1", "attempt": None}
    tried = {"number": 1, "at": "2026-11-24T20:00:00Z", "took_s": 0.5, "status": 200}
    delivery = {
        "id": "e.1.eventbridge",
        "event_id": "e.1",
        "event": "job.completed",
        "state": "delivered",
        "tries": 1,
        "log": [tried],
    }
    script = Script.of(
        httpx.Response(200, json={"id": JOB_ID, "status": "RUNNING", "steps": [step]}),
        httpx.Response(200, json={"deliveries": [delivery]}),
        httpx.Response(202, json=delivery),
    )

    with open_client(script) as client:
        assert [one.step for one in client.jobs.timeline(JOB_ID).steps] == ["accepted"]
        [told] = client.jobs.deliveries(JOB_ID)
        again = client.jobs.replay_delivery(JOB_ID, told.id)

    assert again == told
    assert (told.state, told.log[0].status, told.log[0].error) == ("delivered", 200, None)
    assert script.requests[-1].url.path == f"/v1/jobs/{JOB_ID}/deliveries/e.1.eventbridge/replay"


@pytest.mark.parametrize(
    "url",
    [
        "longhaul.test",
        "ftp://a",
        "http://",
        "http://a:b",
        "http://u:p@a",
        "http://a?b",
        "http://a b",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(lh.SettingWrong):
        lh.Longhaul(url)


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown() -> None:
    with pytest.raises(lh.SettingWrong) as raised:
        lh.Longhaul(URL, "se cret\n")

    assert "cret" not in str(raised.value)


def test_the_environment_names_the_server_and_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGHAUL_URL", "http://named.test/base/")
    monkeypatch.setenv("LONGHAUL_API_KEY", "key-of-ada")
    script = Script.of(httpx.Response(200, json=job_json()))

    with lh.Longhaul(http=httpx.Client(transport=httpx.MockTransport(script))) as client:
        client.jobs.get(JOB_ID)

    assert str(script.requests[0].url) == f"http://named.test/base/v1/jobs/{JOB_ID}"
    assert script.requests[0].headers["Authorization"] == "Bearer key-of-ada"


@pytest.mark.parametrize(("waited_for", "awaited"), [(Jobs, AsyncJobs), (Uploads, AsyncUploads)])
def test_what_can_be_awaited_can_be_waited_for(waited_for: type, awaited: type) -> None:
    def calls_of(part: type) -> set[str]:
        return {name for name in dir(part) if not name.startswith("_")}

    assert calls_of(waited_for) == calls_of(awaited)
