"""The REST calls about jobs, as the contract says them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.memory import MemoryJobStore
from jobs.division import Division, PartOf, PlanId
from jobs.errors import Misconfigured, Unavailable
from jobs.job import Inline, JobId, JobStatus, new_job_id
from tests.builders import NOW, a_job
from tests.web_world import ADA, BOB, World
from web.job_json import JobWriter

if TYPE_CHECKING:
    from jobs.job import Job

JOB_FIELDS = {
    "id",
    "status",
    "model",
    "attempt",
    "max_attempts",
    "created_at",
    "started_at",
    "ended_at",
    "error",
    "result",
    "usage",
    "stop_reason",
    "metadata",
    "trace_id",
    "links",
}
XRAY = "Root=1-6922915b-aaaaaaaaaaaaaaaaaaaaaaaa;Parent=bbbbbbbbbbbbbbbb;Sampled=1"
TRACE_ID = "1-6922915b-aaaaaaaaaaaaaaaaaaaaaaaa"
W3C = "00-6922915baaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"
OTHER_TRACE = "1-6922915b-dddddddddddddddddddddddd"
NO_TRACE = "1-00000000-000000000000000000000000"


def test_a_submitted_job_is_answered_with_202_its_place_and_itself() -> None:
    world = World()

    response = world.client.post("/v1/jobs", json={"prompt": "Say hello"}, headers=ADA)

    job = response.get_json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert response.headers["Retry-After"] == "1"
    assert set(job) == JOB_FIELDS
    assert (job["status"], job["attempt"], job["result"]) == ("PENDING", 0, None)
    assert set(job["links"]) == {"self", "events", "result", "cancel"}
    assert world.store.get(job["id"]).user == "ada"


def test_every_parameter_reaches_the_row() -> None:
    world = World()
    messages = [{"role": "user", "content": [{"text": "Hi"}, {"newBlock": {"a": [1, None]}}]}]

    job = world.submit(
        prompt=None,
        messages=messages,
        system="Be brief",
        model="anthropic.claude:1",
        inference_config={
            "max_tokens": 10,
            "temperature": 0,
            "top_p": 0.5,
            "stop_sequences": ["x"],
        },
        metadata={"a": "b"},
    )

    row = world.store.get(job["id"])
    assert isinstance(row.prompt, Inline)
    assert json.loads(row.prompt.text) == {"messages": messages, "system": "Be brief"}
    assert row.model == "anthropic.claude:1"
    assert (row.inference.max_tokens, row.inference.temperature) == (10, 0.0)
    assert (row.inference.top_p, row.inference.stop_sequences) == (0.5, ("x",))
    assert row.metadata == job["metadata"] == {"a": "b"}


def test_a_running_job_has_an_etag_that_lasts_until_it_changes() -> None:
    world = World()
    job_id = world.submit()["id"]
    path = f"/v1/jobs/{job_id}"

    first = world.client.get(path, headers=ADA)
    etag = first.headers["ETag"]
    same = world.client.get(path, headers={**ADA, "If-None-Match": etag})
    world.claim(job_id)
    changed = world.client.get(path, headers={**ADA, "If-None-Match": etag})

    assert first.headers["Retry-After"] == "1"
    assert (same.status_code, same.data, same.headers["ETag"]) == (304, b"", etag)
    assert changed.status_code == 200
    assert changed.get_json()["status"] == "RUNNING"


def test_a_completed_job_tells_its_result_and_no_time_to_come_back() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.complete(job_id, Inline(text="Grüße"))

    response = world.client.get(f"/v1/jobs/{job_id}", headers=ADA)
    result = world.client.get(f"/v1/jobs/{job_id}/result", headers=ADA)

    job = response.get_json()
    assert "Retry-After" not in response.headers
    assert job["result"] == {"text": "Grüße", "bytes": 7}
    assert job["usage"] == {"input_tokens": 7, "output_tokens": 3}
    assert job["stop_reason"] == "end_turn"
    assert (result.status_code, result.text) == (200, "Grüße")
    assert result.content_type == "text/plain; charset=utf-8"


def test_a_native_jobs_result_is_its_json_and_its_text_where_that_is_asked_for() -> None:
    world = World()
    job_id = world.submit(prompt=None, body={"prompt": "Say hello"})["id"]
    world.complete(job_id, Inline(text="Grüße"), raw=Inline(text='{"generation":"Grüße"}'))
    path = f"/v1/jobs/{job_id}/result"

    job = world.client.get(f"/v1/jobs/{job_id}", headers=ADA).get_json()
    unasked, raw = (world.client.get(f"{path}{form}", headers=ADA) for form in ("", "?form=raw"))
    text = world.client.get(f"{path}?form=text", headers=ADA)

    reference = {"url": f"{path}?form=raw", "bytes": 24}
    assert job["result"] == {"text": "Grüße", "bytes": 7, "raw": reference}
    assert unasked.text == raw.text == '{"generation":"Grüße"}'
    assert unasked.content_type == raw.content_type == "application/json"
    assert (text.text, text.content_type) == ("Grüße", "text/plain; charset=utf-8")


def test_watchers_of_a_long_native_answer_are_led_to_its_text() -> None:
    world = World()
    job_id = world.submit()["id"]
    job = world.complete(job_id, Inline(text="x" * 9_000), raw=Inline(text="{}"))
    writer = JobWriter(objects=world.objects, clock=world.clock, url_lifetime=timedelta(hours=1))

    told = writer.write_result(job)

    assert told == {"url": f"/v1/jobs/{job_id}/result?form=text", "bytes": 9_000}
    assert world.client.get(str(told["url"]), headers=ADA).text == "x" * 9_000


def test_native_json_in_the_object_store_is_led_to() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.complete(job_id, raw=world.put_result('{"a":1}'))

    job = world.client.get(f"/v1/jobs/{job_id}", headers=ADA).get_json()
    answer = world.client.get(job["result"]["raw"]["url"], headers=ADA)

    assert (answer.status_code, job["result"]["raw"]["bytes"]) == (303, 7)


def test_the_json_of_an_answer_that_has_none_is_a_conflict_and_another_form_is_invalid() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.complete(job_id)
    path = f"/v1/jobs/{job_id}/result"

    none = world.client.get(f"{path}?form=raw", headers=ADA)
    other = world.client.get(f"{path}?form=xml", headers=ADA)

    assert (none.status_code, none.get_json()["code"]) == (409, "no_result")
    assert (other.status_code, other.get_json()["errors"][0]["field"]) == (422, "form")
    assert world.client.get(f"{path}?form=text", headers=ADA).text == "Hello"


def test_a_result_in_the_object_store_is_a_fresh_url_each_time() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.complete(job_id, world.put_result("long"))

    response = world.client.get(f"/v1/jobs/{job_id}", headers=ADA)
    redirect = world.client.get(f"/v1/jobs/{job_id}/result", headers=ADA)

    result = response.get_json()["result"]
    assert set(result) == {"url", "url_expires_at", "bytes"}
    assert result["url_expires_at"] == "2026-11-23T05:38:00.000Z"
    assert (redirect.status_code, redirect.headers["Location"]) == (303, result["url"])


def test_not_modified_never_leaves_a_client_with_a_url_that_has_run_out() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.complete(job_id, world.put_result("long"))
    etag = world.client.get(f"/v1/jobs/{job_id}", headers=ADA).headers["ETag"]

    world.clock.advance(timedelta(minutes=59))
    later = world.client.get(f"/v1/jobs/{job_id}", headers={**ADA, "If-None-Match": etag})

    assert later.status_code == 200


def test_a_result_before_the_end_is_a_conflict_that_says_so() -> None:
    world = World()
    job_id = world.submit()["id"]

    response = world.client.get(f"/v1/jobs/{job_id}/result", headers=ADA)

    assert (response.status_code, response.get_json()["code"]) == (409, "job_not_ended")


def test_a_failed_job_tells_why_and_has_no_result() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.fail(job_id)

    job = world.client.get(f"/v1/jobs/{job_id}", headers=ADA).get_json()
    result = world.client.get(f"/v1/jobs/{job_id}/result", headers=ADA)

    assert job["error"] == {
        "code": "model_rejected_request",
        "message": "No such field",
        "retryable": False,
    }
    assert (result.status_code, result.get_json()["code"]) == (409, "no_result")


def test_a_timeline_names_each_step() -> None:
    world = World()
    job = world.submit()

    timeline = world.client.get(f"/v1/jobs/{job['id']}/timeline", headers=ADA).get_json()

    assert (timeline["id"], timeline["trace_id"]) == (job["id"], job["trace_id"])
    assert timeline["status"] == "PENDING"
    assert [step["step"] for step in timeline["steps"]] == ["accepted", "written"]
    assert all(
        set(step)
        == {
            *("step", "at", "after_ms", "took_ms", "until", "by", "attempt"),
            *("error", "detail", "delivery"),
        }
        for step in timeline["steps"]
    )


@pytest.mark.parametrize("suffix", ["", "/result", "/timeline"])
def test_another_users_job_is_answered_exactly_as_one_that_is_not_there(suffix: str) -> None:
    world = World()
    job_id = world.submit(ADA)["id"]
    unknown = a_job().id

    answers = [
        world.client.get(f"/v1/jobs/{name}{suffix}", headers={**BOB, "X-Amzn-Trace-Id": XRAY})
        for name in (job_id, unknown, "no-such-id")
    ]

    problems = [
        {**answer.get_json(), "instance": None, "status": answer.status} for answer in answers
    ]
    assert problems[0] == problems[1] == problems[2]
    assert problems[0]["code"] == "job_not_found"


@pytest.mark.parametrize(
    "header", [None, "Basic YTpi", "Bearer", "Bearer  ", "Bearer nobody", "Bearer k\xfcche"]
)
def test_a_caller_nobody_knows_is_told_how_to_say_who_it_is(header: str | None) -> None:
    world = World()

    response = world.client.post(
        "/v1/jobs", json={"prompt": "x"}, headers={"Authorization": header} if header else {}
    )

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.get_json()["code"] == "unauthenticated"


def test_without_a_header_everyone_is_local_where_that_is_allowed() -> None:
    world = World(allow_anonymous=True)

    job = world.submit({})

    assert world.store.get(job["id"]).user == "local"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Amzn-Trace-Id": XRAY},
        {"traceparent": W3C},
        {"traceparent": W3C, "X-Amzn-Trace-Id": f"Root={OTHER_TRACE}"},
        {"traceparent": W3C.replace("a", "c"), "X-Amzn-Trace-Id": XRAY},
        {"traceparent": W3C, "X-Amzn-Trace-Id": f"Root={NO_TRACE};Parent={'b' * 16}"},
        {"traceparent": W3C, "X-Amzn-Trace-Id": f"Root={OTHER_TRACE};Parent={'0' * 16}"},
    ],
)
def test_the_callers_trace_goes_into_row_answer_log_and_problem(headers: dict[str, str]) -> None:
    world = World()

    response = world.client.post("/v1/jobs", json={"prompt": "x"}, headers={**ADA, **headers})
    problem = world.client.get("/nowhere", headers=headers)

    job = response.get_json()
    assert job["trace_id"] == world.store.get(job["id"]).trace.id == TRACE_ID
    assert response.headers["X-Amzn-Trace-Id"] == XRAY
    assert problem.get_json()["trace_id"] == TRACE_ID
    told = [line.keys for line in world.log.lines if line.event == "request_answered"]
    assert [keys["trace_id"] for keys in told] == [TRACE_ID, TRACE_ID]
    assert told[0]["job_id"] == job["id"]
    assert told[0]["route"] == "/v1/jobs"


@pytest.mark.parametrize("root", ["nonsense", NO_TRACE])
def test_without_a_usable_trace_one_is_made(root: str) -> None:
    world = World()

    response = world.client.get("/healthz", headers={"X-Amzn-Trace-Id": f"Root={root};Sampled=1"})

    assert response.headers["X-Amzn-Trace-Id"].startswith("Root=1-")
    assert NO_TRACE not in response.headers["X-Amzn-Trace-Id"]


def test_the_log_tells_neither_prompt_nor_key_nor_url() -> None:
    world = World()
    job_id = world.submit(prompt="a secret wish", metadata={"k": "private note"})["id"]
    world.complete(job_id, world.put_result("long"))
    world.client.get(f"/v1/jobs/{job_id}", headers=ADA)
    world.client.get(f"/v1/jobs/{job_id}/result", headers=ADA)

    told = repr(world.log.lines)

    assert not any(
        word in told for word in ("secret wish", "private note", "key-of", "objects.invalid")
    )


@pytest.mark.parametrize("error", [Unavailable("store", "at 10.0.0.7"), Misconfigured("no table")])
def test_a_store_that_is_away_is_a_503_that_can_be_tried_again(error: Exception) -> None:
    world = World(store=_AwayStore(error))

    response = world.client.post("/v1/jobs", json={"prompt": "x"}, headers=ADA)

    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert "10.0.0.7" not in response.text
    assert world.log.count("request_refused") == 1


def test_a_fault_of_ours_is_logged_whole_and_told_in_general() -> None:
    world = World(store=_AwayStore(RuntimeError("inner workings")))

    response = world.client.post("/v1/jobs", json={"prompt": "x"}, headers=ADA)

    problem = response.get_json()
    assert (response.status_code, problem["code"]) == (500, "internal_error")
    assert "inner workings" not in response.text
    assert world.log.faults[0].keys["trace_id"] == problem["trace_id"]
    assert isinstance(world.log.faults[0].keys["exc_info"], RuntimeError)


def test_a_retry_that_waits_says_how_long() -> None:
    world = World()
    clock_now = world.clock.now()
    job = a_job(status=JobStatus.PENDING_RETRY, not_before=clock_now + timedelta(seconds=5))
    world.store.add(job)

    response = world.client.get(f"/v1/jobs/{job.id}", headers=ADA)

    assert response.headers["Retry-After"] == "6"


class _AwayStore(MemoryJobStore):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def add(self, job: Job) -> None:  # noqa: ARG002 - the port's
        raise self._error

    def get(self, job_id: JobId) -> Job:  # noqa: ARG002 - the port's
        raise self._error


def test_what_the_caller_says_of_time_and_interruption_reaches_the_row() -> None:
    world = World()

    job = world.submit(start_timeout_s=5, run_timeout_s=60, retention_s=3600, on_interrupted="fail")

    row = world.store.get(job["id"])
    assert row.start_timeout == timedelta(seconds=5)
    assert row.run_timeout == timedelta(seconds=60)
    assert row.retention == timedelta(hours=1)
    assert row.on_interrupted == "fail"


def test_a_cancelled_job_is_202_and_again_200() -> None:
    world = World()
    job_id = world.submit()["id"]

    first = world.client.post(f"/v1/jobs/{job_id}/cancel", headers=ADA)
    again = world.client.post(f"/v1/jobs/{job_id}/cancel", headers=ADA)

    assert (first.status_code, first.get_json()["status"]) == (202, "CANCELLED")
    assert (again.status_code, again.get_json()) == (200, first.get_json())
    assert "Retry-After" not in first.headers


def test_a_cancelled_job_shows_what_had_come_and_no_price_that_nobody_knows() -> None:
    world = World()
    job_id = world.submit()["id"]
    claim = world.claim(job_id)
    world.client.post(f"/v1/jobs/{job_id}/cancel", headers=ADA)
    world.keep_partial(claim, Inline(text="Grü"))

    job = world.client.get(f"/v1/jobs/{job_id}", headers=ADA).get_json()
    result = world.client.get(f"/v1/jobs/{job_id}/result", headers=ADA)

    assert (job["status"], job["result"]) == ("CANCELLED", {"text": "Grü", "bytes": 4})
    assert (job["usage"], job["stop_reason"]) == (None, None)
    assert (result.status_code, result.text) == (200, "Grü")


def test_a_long_text_of_a_cancelled_job_is_led_to() -> None:
    world = World()
    job_id = world.submit()["id"]
    claim = world.claim(job_id)
    world.client.post(f"/v1/jobs/{job_id}/cancel", headers=ADA)
    world.keep_partial(claim, world.put_result("long"))

    assert world.client.get(f"/v1/jobs/{job_id}/result", headers=ADA).status_code == 303


def test_what_had_come_is_a_conflict_until_it_is_written_and_then_a_new_version() -> None:
    world = World()
    job_id = world.submit()["id"]
    claim = world.claim(job_id)
    etag = world.client.post(f"/v1/jobs/{job_id}/cancel", headers=ADA).headers["ETag"]

    early = world.client.get(f"/v1/jobs/{job_id}/result", headers=ADA)
    world.keep_partial(claim, Inline(text=""))
    later = world.client.get(f"/v1/jobs/{job_id}", headers={**ADA, "If-None-Match": etag})

    assert (early.status_code, early.get_json()["code"]) == (409, "no_result")
    assert (later.status_code, later.get_json()["result"]) == (200, {"text": "", "bytes": 0})


def test_a_redriven_job_shows_nothing_of_what_had_come() -> None:
    world = World()
    job_id = world.submit()["id"]
    claim = world.claim(job_id)
    world.client.post(f"/v1/jobs/{job_id}/cancel", headers=ADA)
    world.keep_partial(claim, Inline(text="Grü"))

    job = world.client.post(f"/v1/jobs/{job_id}/redrive", headers=ADA).get_json()

    assert (job["status"], job["result"]) == ("PENDING", None)


def test_cancelling_a_job_that_has_ended_tells_how_it_ended() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.complete(job_id)

    response = world.client.post(f"/v1/jobs/{job_id}/cancel", headers=ADA)

    assert (response.status_code, response.get_json()["status"]) == (200, "COMPLETED")


def test_a_failed_job_is_redriven_once() -> None:
    world = World()
    job_id = world.submit()["id"]
    world.fail(job_id)

    first = world.client.post(f"/v1/jobs/{job_id}/redrive", headers=ADA)
    again = world.client.post(f"/v1/jobs/{job_id}/redrive", headers=ADA)

    job = first.get_json()
    assert (first.status_code, first.headers["Location"]) == (202, f"/v1/jobs/{job_id}")
    assert (job["status"], job["attempt"], job["max_attempts"]) == ("PENDING", 1, 6)
    assert (job["error"], job["ended_at"], job["started_at"]) == (None, None, None)
    assert (again.status_code, again.get_json()["code"]) == (409, "not_redrivable")


@pytest.mark.parametrize("verb", ["cancel", "redrive"])
def test_nobody_else_can_cancel_or_redrive_a_job(verb: str) -> None:
    world = World()
    job_id = world.submit()["id"]
    world.fail(job_id)
    before = world.store.get(job_id)

    others = world.client.post(f"/v1/jobs/{job_id}/{verb}", headers=BOB)
    nobodys = world.client.post(f"/v1/jobs/job_{0:026d}/{verb}", headers=BOB)

    assert (others.status_code, nobodys.status_code) == (404, 404)
    assert others.get_json()["code"] == nobodys.get_json()["code"] == "job_not_found"
    assert world.store.get(job_id) == before


def test_a_divided_job_shows_how_many_of_its_parts_are_done() -> None:
    world = World()
    division = Division(plan=PlanId("plan"), total=5, ended=frozenset({1, 4}))
    running = a_job(status=JobStatus.RUNNING, division=division, started_at=NOW)
    world.store.add(running)

    job = world.client.get(f"/v1/jobs/{running.id}", headers=ADA).get_json()

    assert (job["status"], job["progress"]) == ("RUNNING", {"done": 2, "total": 5})


@pytest.mark.parametrize("path", ["", "/result", "/timeline", "/events", "/deliveries"])
def test_a_part_is_not_there_for_anyone(path: str) -> None:
    world = World()
    part = PartOf(job=new_job_id(NOW, b"0" * 10), plan=PlanId("p"), number=1, total=2, pages="")
    world.store.add(a_job(part=part))

    answer = world.client.get(f"/v1/jobs/{a_job().id}{path}", headers=ADA)

    assert answer.status_code == 404


@pytest.mark.parametrize("verb", ["cancel", "redrive"])
def test_a_part_cannot_be_moved_by_anyone(verb: str) -> None:
    world = World()
    part = PartOf(job=new_job_id(NOW, b"0" * 10), plan=PlanId("p"), number=1, total=2, pages="")
    world.store.add(a_job(part=part))

    answer = world.client.post(f"/v1/jobs/{a_job().id}/{verb}", headers=ADA)

    assert answer.status_code == 404
    assert world.store.get(a_job().id).status is JobStatus.PENDING
