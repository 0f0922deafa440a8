"""A dense 400-page PDF becomes a report: on the real system, and though its worker is killed."""

from __future__ import annotations

import re
import signal
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from jobs.division import PlanId
from jobs.job import JobId
from jobs.plan import part_id
from tests.documents import PDF, a_dense_pdf
from tests.integration.test_documents import upload
from tests.integration.test_main_path import ended, result_of, row_of, show, submit, watching
from tests.stack import Clients, LocalStack, System, http, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = 400
MODEL = "mistral.mistral-7b-instruct-v0:2"  # takes 32,000 tokens: the PDF is ten times that
QUESTION = "Write the report of this quarter."
WITHIN = 150.0
QUICK_LEASE = {"LONGHAUL_LEASE_SECONDS": "3", "LONGHAUL_SWEEP_SECONDS": "0.5"}
REFERENCE = re.compile(r"On sheet (\d+) the [^.\[]*?\[page (\d+)\]")


@cache
def the_pdf() -> bytes:
    return a_dense_pdf(PAGES)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("big")) as running:
        yield running


@pytest.fixture(scope="module")
def clients_of_stack(stack: LocalStack) -> Iterator[Clients]:
    clients = Clients.of(stack.environ)
    yield clients
    clients.close()


def ask(system: System, *, faults: str = "") -> dict[str, Any]:
    document = upload(system, the_pdf(), PDF, name="quarter.pdf")
    directive = f" <<stand-in: {faults}>>" if faults else ""
    body = {
        "prompt": QUESTION + directive,
        "documents": [{"upload_id": document}],
        "model": MODEL,
        "inference_config": {"max_tokens": 2_000},
    }
    return submit(system, body)


def parts_of(stack: LocalStack, clients: Clients, job_id: str) -> list[str]:
    row = row_of(stack, clients, job_id)
    plan, total = PlanId(row["DivisionPlan"]["S"]), int(row["DivisionTotal"]["N"])
    return [part_id(JobId(job_id), plan, number) for number in range(1, total + 1)]


def noted_parts(stack: LocalStack, clients: Clients, job_id: str) -> set[str]:
    ended = row_of(stack, clients, job_id)["PartsEnded"]["NS"]
    return {parts_of(stack, clients, job_id)[int(number) - 1] for number in ended}


def check_report(report: str) -> None:
    references = REFERENCE.findall(report)
    assert len(references) >= 5, report
    assert all(sheet == page for sheet, page in references), report
    assert max(int(page) for _, page in references) > PAGES / 2


@pytest.mark.timeout(300)
def test_a_dense_pdf_of_400_pages_becomes_a_report_with_page_references(
    stack: LocalStack, clients_of_stack: Clients
) -> None:
    with System(stack, name="report") as system, watching(system) as watcher:
        job_id = ask(system)["id"]
        watcher.subscribe(job_id)
        events = watcher.events_until_the_end()
        job = ended(system, job_id, within=WITHIN)

        assert job["status"] == "COMPLETED", job
        check_report(result_of(system, job_id))
        parts = parts_of(stack, clients_of_stack, job_id)
        calls = [call for one in (*parts, job_id) for call in stack.model_calls(one)]
        assert [call["outcome"] for call in calls] == ["completed"] * (len(parts) + 1)
        assert job["usage"] == {
            "input_tokens": sum(call["input_tokens"] for call in calls),
            "output_tokens": sum(call["output_tokens"] for call in calls),
        }
        check_progress(events, len(parts))
        check_parts_are_hidden(system, parts)
        steps = [step["step"] for step in timeline_of(system, job_id)]
        assert steps.count("divided") == steps.count("gathered") == steps.count("invoked") == 1


def check_progress(events: list[dict[str, Any]], parts: int) -> None:
    progress = [event for event in events if event["event"] == "job.progress"]
    done = [event["done"] for event in progress]
    assert {event["total"] for event in progress} == {parts}
    assert done == sorted(set(done))  # one may be passed over: the next one stands for it
    assert len(done) >= parts - 1
    assert done[-1] == parts
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers))
    assert not [event for event in events if event["event"] == "stream.gap"]


def check_parts_are_hidden(system: System, parts: list[str]) -> None:
    for path in ("", "/result", "/timeline", "/events"):
        assert http.get(f"{system.url}/v1/jobs/{parts[0]}{path}").status_code == 404


def timeline_of(system: System, job_id: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = http.get(f"{system.url}/v1/jobs/{job_id}/timeline").json()[
        "steps"
    ]
    return steps


@pytest.mark.timeout(300)
def test_after_a_sigkill_of_the_worker_only_what_was_not_done_is_paid(
    stack: LocalStack, clients_of_stack: Clients
) -> None:
    with ExitStack() as exits:
        front = exits.enter_context(
            System(stack, processes=("web", "feed"), settings=QUICK_LEASE, name="front")
        )
        # One user's ceiling of two parts at a time, so that some are done, and some not begun.
        few = {**QUICK_LEASE, "LONGHAUL_WORKER_CONCURRENCY": "3"}
        first = exits.enter_context(
            System(stack, processes=("worker",), settings=few, name="first")
        )
        job_id = ask(front, faults="duration_s=1.5")["id"]
        wait_until(lambda: progress_of(front, job_id) >= 4, "four parts", within=WITHIN)
        assert first.program is not None
        first.program.stop(signal.SIGKILL)
        parts = parts_of(stack, clients_of_stack, job_id)
        noted = noted_parts(stack, clients_of_stack, job_id)
        begun = {part for part in parts if stack.model_calls(part)}

        exits.enter_context(
            System(stack, processes=("worker",), settings=QUICK_LEASE, name="second")
        )
        job = ended(front, job_id, within=WITHIN)

        assert job["status"] == "COMPLETED", job
        check_report(result_of(front, job_id))
    assert 4 <= len(noted) <= len(begun) < len(parts)
    calls = {part: len(stack.model_calls(part)) for part in parts}
    assert {calls[part] for part in noted} == {1}
    assert {calls[part] for part in parts if part not in begun} == {1}
    # What the killed worker had in mid-call, or paid for and not written yet, costs one more.
    assert sum(calls[part] - 1 for part in begun) <= 2
    assert len(stack.model_calls(job_id)) == 1


def progress_of(system: System, job_id: str) -> int:
    progress = show(system, job_id).get("progress")
    return 0 if progress is None else int(progress["done"])


@pytest.mark.timeout(300)
def test_a_cancel_of_a_divided_job_reaches_the_calls_of_its_parts(
    stack: LocalStack, clients_of_stack: Clients
) -> None:
    with System(stack, name="cancel") as system:
        job_id = ask(system, faults="duration_s=60")["id"]
        wait_until(lambda: "progress" in show(system, job_id), "the parts", within=WITHIN)
        parts = parts_of(stack, clients_of_stack, job_id)
        wait_until(lambda: all(map(stack.model_calls, parts)), "all calls", within=WITHIN)

        http.post(f"{system.url}/v1/jobs/{job_id}/cancel").raise_for_status()

        def all_gone() -> bool:
            calls = [call for part in parts for call in stack.model_calls(part)]
            return {call["outcome"] for call in calls} == {"client_gone"}

        wait_until(all_gone, "all calls broken off", within=15)
        assert show(system, job_id)["status"] == "CANCELLED"
    assert stack.model_calls(job_id) == []
