"""The client against the real system, waited for and awaited alike."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import longhaul_client as lh
from longhaul_client import follow
from tests.client_ways import WAYS, client_of
from tests.stack import wait_until
from tests.web_by_itself import WebByItself

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import LocalStack, System

KEY = "key-of-ada-0123456789"
HTTP_ENDS_WITHIN = 60


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


@pytest.fixture
def client(system: System, way: str) -> Iterator[lh.Longhaul]:
    with client_of(way, system.url) as client:
        yield client


@pytest.fixture
def web(system: System, stand_ins: LocalStack, tmp_path: Path) -> Iterator[WebByItself]:
    del system  # its worker and its feed run the jobs
    process = WebByItself(
        stand_ins,
        tmp_path,
        LONGHAUL_API_KEYS=f"ada:{KEY}",
        LONGHAUL_ALLOW_ANONYMOUS="false",
    )
    process.start()
    yield process
    process.kill()


def asking(faults: str) -> str:
    return f"Say it. <<stand-in: {faults}>>"


def test_a_job_is_submitted_waited_for_and_read(client: lh.Longhaul) -> None:
    job = client.jobs.create(
        prompt=asking("tokens=30"),
        system="Be brief.",
        inference_config={"max_tokens": 100},
        metadata={"a": "b"},
        run_timeout_s=600,
    )
    ended = client.jobs.wait(job.id, timeout=HTTP_ENDS_WITHIN)

    assert (ended.status, ended.metadata, ended.attempt) == (lh.JobStatus.COMPLETED, {"a": "b"}, 1)
    assert ended.result is not None
    assert ended.result.text == client.jobs.result(job.id)
    assert ended.usage is not None
    assert ended.usage.output_tokens == 30
    assert client.jobs.get(job.id) == ended
    steps = [step.step for step in client.jobs.timeline(job.id).steps]
    assert (steps[0], *steps[-2:]) == ("accepted", "completed", "settled")
    assert client.jobs.deliveries(job.id) == ()


def test_who_asks_to_wait_is_given_the_ended_job(client: lh.Longhaul) -> None:
    assert client.jobs.create(prompt=asking("tokens=3"), wait=60).has_ended


def test_a_conversation_is_accepted(client: lh.Longhaul) -> None:
    messages = [{"role": "user", "content": [{"text": asking("tokens=3")}]}]

    assert client.jobs.create(messages=messages, wait=60).status == "COMPLETED"


def test_the_streamed_text_is_the_result(client: lh.Longhaul) -> None:
    job = client.jobs.create(prompt=asking("tokens=60; duration_s=1; throttle_first=1"))

    changes = list(client.jobs.text_stream(job.id))

    text = "".join(change.added for change in changes)
    assert not any(change.anew for change in changes)
    assert text == client.jobs.result(job.id)


def test_an_attempt_that_broke_off_leaves_nothing_in_the_text(client: lh.Longhaul) -> None:
    faults = "tokens=40; stream_error_after=10; stream_faults_first=1"
    job = client.jobs.create(prompt=asking(faults))

    text = lh.Text()
    kinds = []
    for event in client.jobs.stream(job.id):
        client.jobs.take(text, event)
        kinds.append(event.type)

    assert "job.retrying" in kinds
    assert str(text) == client.jobs.result(job.id)


def test_a_result_in_the_store_is_read_whole(client: lh.Longhaul) -> None:
    job = client.jobs.create(
        prompt=asking("tokens=20000; duration_s=1"),
        inference_config={"max_tokens": 20_000},
        wait=60,
    )

    assert job.result is not None
    assert job.result.url is not None
    text = client.jobs.result(job.id)
    assert len(text.encode()) == job.result.bytes


def test_a_cancelled_job_ends_its_stream_and_can_be_redriven(client: lh.Longhaul) -> None:
    job = client.jobs.create(prompt=asking("tokens=500; duration_s=30; first_token_s=0"))
    with closing(client.jobs.stream(job.id)) as events:
        for event in events:
            if isinstance(event, lh.JobDelta):
                break

    assert client.jobs.cancel(job.id).status == "CANCELLED"
    with pytest.raises(lh.JobNotCompleted, match=r"job\.cancelled"):
        list(client.jobs.text_stream(job.id))
    again = client.jobs.redrive(job.id)
    assert not again.has_ended
    with pytest.raises(lh.Conflict):
        client.jobs.redrive(job.id)
    client.jobs.cancel(job.id)


def test_a_failed_job_says_why(client: lh.Longhaul) -> None:
    job = client.jobs.create(prompt=asking("error=AccessDeniedException"), wait=60)

    assert job.error is not None
    assert (job.status, job.error.code) == ("FAILED", "model_access_denied")
    with pytest.raises(lh.Conflict) as raised:
        client.jobs.result(job.id)
    assert raised.value.code == "no_result"


def test_jobs_are_listed_and_a_deleted_one_is_gone(client: lh.Longhaul) -> None:
    mark = str(uuid.uuid4())
    made = [
        client.jobs.create(prompt=asking("tokens=1"), metadata={"mark": mark}, wait=60).id
        for _ in range(3)
    ]

    def listed() -> list[str]:
        return [
            job.id
            for job in client.jobs.list(status="COMPLETED")
            if job.metadata.get("mark") == mark
        ]

    wait_until(lambda: listed() == made[::-1], "the newest come first")
    client.jobs.delete(made[0])
    with pytest.raises(lh.NotFound):
        client.jobs.get(made[0])
    wait_until(lambda: listed() == [made[2], made[1]], "the list has forgotten the job")


def test_what_is_wrong_is_named(client: lh.Longhaul) -> None:
    with pytest.raises(lh.Invalid) as raised:
        client.jobs.create(prompt="Hi", metadata={"": "x"}, start_timeout_s=0)

    fields = {error.field for error in raised.value.errors}
    assert "start_timeout_s" in fields
    assert raised.value.trace_id


def test_a_key_is_asked_for_and_known(web: WebByItself, way: str) -> None:
    for key in (None, "a-key-that-nobody-knows"):
        with client_of(way, web.url, key) as nobody, pytest.raises(lh.Unauthenticated):
            nobody.jobs.create(prompt="Hi")

    with client_of(way, web.url, KEY) as ada:
        assert ada.jobs.create(prompt=asking("tokens=1"), wait=60).has_ended


def test_a_submission_whose_answer_was_lost_is_one_job(
    web: WebByItself, way: str, stand_ins: LocalStack
) -> None:
    mark = str(uuid.uuid4())
    failures: list[lh.LonghaulError] = []

    def submit() -> lh.Job:
        with client_of(way, web.url, KEY, on_retry=lambda met, _: failures.append(met)) as ada:
            prompt = asking("tokens=20; duration_s=3")
            return ada.jobs.create(prompt=prompt, metadata={"mark": mark}, wait=60)

    def made() -> list[str]:
        with client_of("blocking", web.url, KEY) as ada:
            return [job.id for job in ada.jobs.list() if job.metadata.get("mark") == mark]

    with ThreadPoolExecutor(1) as pool:
        submitted = pool.submit(submit)
        wait_until(made, "the job is there, and its answer held back")
        web.kill()
        wait_until(lambda: failures, "the client has noticed")
        web.start()
        job = submitted.result(HTTP_ENDS_WITHIN)

    assert isinstance(failures[0], lh.ConnectionLost)
    assert job.status == "COMPLETED"
    assert made() == [job.id]
    assert len(stand_ins.model_calls(job.id)) == 1


def test_a_stream_outlives_its_web_process(web: WebByItself, way: str) -> None:
    failures: list[lh.LonghaulError] = []
    with client_of(way, web.url, KEY, on_retry=lambda met, _: failures.append(met)) as ada:
        job = ada.jobs.create(prompt=asking("tokens=200; duration_s=8; first_token_s=0"))
        text = lh.Text()
        numbers: list[int] = []
        cut = 0  # kills of which the stream must have heard: the job's end was not yet told
        with closing(ada.jobs.stream(job.id)) as events:
            for event in events:
                numbers.append(event.seq)
                ada.jobs.take(text, event)
                if len(numbers) in {10, 40}:
                    cut += not ada.jobs.get(job.id).has_ended
                    web.kill()
                    web.start()
        result = ada.jobs.result(job.id)

    assert len(failures) >= cut >= 1
    assert numbers == [1, *range(1_000_001, numbers[-1] + 1)]
    assert str(text) == result


def test_a_connection_that_has_gone_silent_is_given_up(
    web: WebByItself, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_SILENCE_SECONDS", 1.0)
    failures: list[lh.LonghaulError] = []

    def notice(failure: lh.LonghaulError, _: float) -> None:
        failures.append(failure)
        if len(failures) == 2:
            web.thaw()

    with client_of(way, web.url, KEY, on_retry=notice) as ada:
        job = ada.jobs.create(prompt=asking("tokens=100; duration_s=5; first_token_s=0"))
        text = lh.Text()
        with closing(ada.jobs.stream(job.id)) as events:
            for number, event in enumerate(events):
                ada.jobs.take(text, event)
                if number == 10:
                    web.freeze()
        result = ada.jobs.result(job.id)

    assert len(failures) >= 2
    assert all(isinstance(failure, lh.ConnectionLost) for failure in failures)
    assert str(text) == result


def test_a_file_is_uploaded_with_its_progress_and_read_by_the_job(
    client: lh.Longhaul, tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"The treaty of Tordesillas. " * 20_000)
    told: list[int] = []

    upload_id = client.uploads.create(path, on_progress=lambda sent, _: told.append(sent))
    job = client.jobs.create(prompt="Sum up.", documents=[upload_id], wait=60)

    assert told == sorted(told)
    assert told[-1] == path.stat().st_size
    assert (job.status, job.error) == ("COMPLETED", None)
    assert "Tordesillas" in client.jobs.result(job.id)


def test_what_is_no_document_is_refused(client: lh.Longhaul) -> None:
    with pytest.raises(lh.Invalid) as raised:
        client.uploads.create(b"x", name="picture.png")

    assert raised.value.errors[0].field == "content_type"
