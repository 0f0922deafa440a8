"""The client's command: what it asks the server, what it writes, and its exit status."""

from __future__ import annotations

import io
import json
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import longhaul_client as lh
from longhaul_client.cli import command, main
from tests.client_server import JOB_ID, Script, event_json, job_json, problem, sent

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

AT_ONCE = lh.Retry(base_seconds=0, longest_asked_seconds=0, tries=2)
QUEUED = event_json(1, "job.queued")
STARTED = event_json(1_000_001, "job.started")
DELTA = event_json(1_000_002, "job.delta", text="Hällo")
COMPLETED = event_json(1_000_003, "job.completed")
STORED = httpx.Response(200, text="Hällo")


class User:
    """Who types `longhaul ...` at a server of written answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch = monkeypatch
        self._capsys = capsys
        self.script = Script.of()
        self.output = self.errors = ""

    def types(self, *words: str, answers: Callable[[httpx.Request], httpx.Response]) -> int:
        def open_client(url: str | None, **options: Any) -> lh.Longhaul:  # noqa: ANN401 - the command's
            http = httpx.Client(transport=httpx.MockTransport(answers))
            return lh.Longhaul(url, **{**options, "retry": AT_ONCE, "http": http})

        self._patch.setattr(command, "Longhaul", open_client)
        try:
            status = main(words, others=[])
        except SystemExit as end:  # argparse's own way out
            status = int(str(end.code))
        self.output, self.errors = self._capsys.readouterr()
        return status

    def meets(self, *answers: httpx.Response | Exception, words: str) -> int:
        self.script = Script.of(*answers)
        return self.types(*words.split(), answers=self.script)


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> User:
    monkeypatch.setenv("LONGHAUL_URL", "http://longhaul.test")
    monkeypatch.delenv("LONGHAUL_API_KEY", raising=False)
    return User(monkeypatch, capsys)


def ended(status: str) -> httpx.Response:
    error = {"code": "why", "message": "because", "retryable": False}
    return httpx.Response(
        200, json=job_json(status=status, error=None if status == "COMPLETED" else error)
    )


def test_a_submitted_job_is_named_on_stdout(user: User) -> None:
    words = "submit --prompt Hi --model m --max-tokens 5 --metadata a=b --idempotency-key k"

    assert user.meets(httpx.Response(202, json=job_json()), words=words) == 0

    assert (user.output, user.errors) == (f"{JOB_ID}\n", "")
    [request] = user.script.requests
    assert request.headers["Idempotency-Key"] == "k"
    assert json.loads(request.content) == {
        "prompt": "Hi",
        "model": "m",
        "inference_config": {"max_tokens": 5},
        "metadata": {"a": "b"},
    }


def test_a_title_is_metadata_like_any_other(user: User) -> None:
    words = ["submit", "--prompt", "Hi", "--title", "Q3 report", "--metadata", "a=b"]
    user.script = Script.of(httpx.Response(202, json=job_json()))

    assert user.types(*words, answers=user.script) == 0

    body = json.loads(user.script.requests[0].content)
    assert body["metadata"] == {"a": "b", "title": "Q3 report"}


def test_an_option_of_0_is_sent_as_0_for_the_server_to_judge(user: User) -> None:
    words = "submit --prompt Hi --max-tokens 0"

    assert user.meets(problem(422, "invalid_request"), words=words) == 2

    body = json.loads(user.script.requests[0].content)
    assert body["inference_config"] == {"max_tokens": 0}


def test_a_prompt_is_read_from_a_file_or_stdin(
    user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text("from the file")
    monkeypatch.setattr(sys, "stdin", io.StringIO("from stdin"))

    user.meets(httpx.Response(202, json=job_json()), words=f"submit --prompt - --system @{path}")

    body = json.loads(user.script.requests[0].content)
    assert body == {"prompt": "from stdin", "system": "from the file"}


def test_files_are_uploaded_and_attached(user: User, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF" * 50_000)
    asked: list[Any] = []

    def answers(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            asked.append(b"".join(request.stream))  # type: ignore[arg-type] # of a blocking client
            return httpx.Response(200)
        asked.append(json.loads(request.content))
        offer = {"upload_id": "upl_1", "url": "http://s3.test/1", "headers": {}}
        return httpx.Response(201, json=offer if "uploads" in request.url.path else job_json())

    assert user.types("submit", str(path), "--prompt", "Sum up", answers=answers) == 0

    assert asked[0]["content_type"] == "application/pdf"
    assert asked[1] == path.read_bytes()
    assert asked[2] == {"prompt": "Sum up", "documents": [{"upload_id": "upl_1"}]}


@pytest.mark.parametrize(
    ("status", "code"),
    [("COMPLETED", 0), ("FAILED", 1), ("CANCELLED", 5), ("EXPIRED", 6), ("RUNNING", 8)],
)
def test_who_waits_learns_the_end_from_the_exit_status(user: User, status: str, code: int) -> None:
    words = "submit --prompt Hi --wait 0"

    made = httpx.Response(202, json=job_json())
    assert user.meets(made, ended(status), STORED, words=words) == code

    assert user.output == ("Hällo\n" if code == 0 else "")
    if code:
        assert status in user.errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [("job.completed", 0), ("job.failed", 1), ("job.cancelled", 5), ("job.expired", 6)],
)
def test_who_watches_learns_the_end_from_the_exit_status(user: User, kind: str, code: int) -> None:
    error = {"code": "why", "message": "because", "retryable": False}
    end = event_json(1_000_003, kind, **({"error": error} if code in {1, 6} else {}))

    assert user.meets(sent(QUEUED, STARTED, DELTA, end), words=f"watch {JOB_ID}") == code

    assert user.output == ("Hällo\n" if code == 0 else "")
    if code in {1, 6}:
        assert "why: because" in user.errors


def test_a_pipe_gets_no_text_of_an_attempt_that_failed(user: User) -> None:
    retrying = event_json(1_000_003, "job.retrying", delay_s=0, error={"code": "c", "message": "m"})
    again = (
        event_json(2_000_001, "job.started", attempt=2),
        event_json(2_000_002, "job.delta", text="Whole", attempt=2),
        event_json(2_000_003, "job.completed", attempt=2),
    )

    words = f"watch {JOB_ID}"
    assert user.meets(sent(STARTED, DELTA, retrying, *again), words=words) == 0

    assert user.output == "Whole\n"
    assert "attempt 1 failed: c: m" in user.errors


def test_events_are_lines_of_json_as_they_came(user: User) -> None:
    answer = sent(QUEUED, STARTED, DELTA, COMPLETED)

    assert user.meets(answer, words=f"watch {JOB_ID} --json --after 0") == 0

    assert [json.loads(line) for line in user.output.splitlines()] == [
        QUEUED,
        STARTED,
        DELTA,
        COMPLETED,
    ]


def test_a_submission_can_be_watched_at_once(user: User) -> None:
    made = httpx.Response(202, json=job_json())

    answers = (made, sent(QUEUED, STARTED, DELTA, COMPLETED))
    assert user.meets(*answers, words="submit --prompt Hi --stream") == 0

    assert user.output == "Hällo\n"
    assert JOB_ID in user.errors


def test_who_comes_back_after_the_end_learns_how_it_was(user: User) -> None:
    words = f"watch {JOB_ID} --after 9"

    assert user.meets(httpx.Response(204), ended("CANCELLED"), words=words) == 5


def test_a_failure_that_passes_is_told_on_stderr(user: User) -> None:
    answers = (sent(QUEUED, breaks=True), sent(STARTED, DELTA, COMPLETED))

    assert user.meets(*answers, words=f"watch {JOB_ID}") == 0

    assert user.output == "Hällo\n"
    assert "the connection to http://longhaul.test" in user.errors


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(401, "unauthenticated"), 3),
        (problem(403, "forbidden"), 3),
        (problem(404, "job_not_found"), 4),
        (problem(409, "job_not_ended"), 8),
        (problem(409, "no_result"), 1),
        (problem(422, "invalid_request"), 2),
        (problem(429, "too_many_requests"), 7),
        (problem(503, "unavailable"), 7),
        (httpx.ConnectError("refused (test)"), 7),
        (httpx.Response(500), 1),
        (httpx.Response(200, text="<html>"), 0),
    ],
)
def test_each_error_has_an_exit_status(
    user: User, answer: httpx.Response | Exception, code: int
) -> None:
    assert user.meets(answer, words=f"result {JOB_ID}") == code
    if code:
        assert user.output == ""
        assert user.errors.startswith("longhaul: ")


@pytest.mark.parametrize("words", ["list", "list --json"])
def test_who_finds_no_server_is_told_where_it_was_looked_for(user: User, words: str) -> None:
    refused = httpx.ConnectError("Connection refused")

    assert user.meets(refused, refused, words=words) == 7

    hint = "does a server run at http://longhaul.test? LONGHAUL_URL or --url names another"
    assert hint in user.errors


def test_a_store_that_is_away_is_not_taken_for_the_server(user: User) -> None:
    refused = httpx.ConnectError("Connection refused")
    led = httpx.Response(303, headers={"Location": "http://s3.test/1"})

    assert user.meets(led, refused, words=f"result {JOB_ID}") == 7

    assert "http://s3.test/1 cannot be reached" in user.errors
    assert "LONGHAUL_URL" not in user.errors


def test_an_error_is_json_where_json_is_asked_for(user: User) -> None:
    assert user.meets(problem(404, "job_not_found"), words=f"show {JOB_ID} --json") == 4

    assert user.output == ""
    assert json.loads(user.errors)["error"] == {
        "detail": "told: job_not_found",
        "status": 404,
        "code": "job_not_found",
        "errors": [],
        "trace_id": "1-2-3",
    }


@pytest.mark.parametrize(
    "words",
    [
        "",
        "submit",
        "submit --prompt Hi --stream --wait 3",
        "submit --prompt Hi --wait never",
        "submit --prompt Hi --metadata a",
        "submit --prompt @/no/such/file",
        "submit /no/such/file --prompt Hi",
        "submit --prompt - --system -",
        "list --limit 0",
        "list --status ASLEEP",
        "watch",
        "no-such-command",
        "list --url nowhere",
    ],
)
def test_what_does_not_fit_is_a_matter_of_usage(user: User, words: str) -> None:
    assert user.meets(httpx.Response(202, json=job_json()), words=words) == 2

    assert user.output == ""
    assert user.errors
    assert user.script.requests == []


def test_jobs_are_listed_in_columns_or_as_json(user: User) -> None:
    page = {"jobs": [job_json(), job_json(model="m\x1b[2J")], "next_cursor": None}
    answer = httpx.Response(200, json=page)

    assert user.meets(answer, words="list --status pending --limit 2") == 0
    lines = user.output.splitlines()
    assert lines[0].split() == ["ID", "STATUS", "AGE", "ATTEMPT", "MODEL"]
    assert len(lines) == 3
    assert "\x1b" not in user.output
    assert dict(user.script.requests[0].url.params) == {"status": "PENDING", "limit": "2"}

    assert user.meets(answer, words="list --json") == 0
    assert json.loads(user.output) == page["jobs"]


@pytest.mark.parametrize(
    ("words", "answer", "shown"),
    [
        ("show", ended("COMPLETED"), "COMPLETED"),
        ("cancel", ended("CANCELLED"), f"{JOB_ID}  CANCELLED"),
        ("redrive", httpx.Response(202, json=job_json()), f"{JOB_ID}  PENDING"),
        ("delete", httpx.Response(204), f"{JOB_ID}  deleted"),
        (
            "timeline",
            httpx.Response(
                200,
                json={
                    "id": JOB_ID,
                    "status": "PENDING",
                    "steps": [{"step": "accepted", "at": "2026-11-24T20:00:00Z", "by": "web@a:1"}],
                },
            ),
            "accepted  0.000 s  -     -        web@a:1",
        ),
        (
            "deliveries",
            httpx.Response(
                200,
                json={"deliveries": [{"event_id": "e", "event": "job.failed", "state": "due"}]},
            ),
            "job.failed  due",
        ),
    ],
)
def test_what_is_known_of_a_job_is_shown(
    user: User, words: str, answer: httpx.Response, shown: str
) -> None:
    assert user.meets(answer, words=f"{words} {JOB_ID}") == 0
    assert shown in user.output

    assert user.meets(answer, words=f"{words} {JOB_ID} --json") == 0
    assert json.loads(user.output)


def test_a_result_goes_into_a_file_as_it_is(user: User, tmp_path: Path) -> None:
    path = tmp_path / "result.txt"

    assert user.meets(STORED, words=f"result {JOB_ID} -o {path}") == 0

    assert path.read_bytes() == "Hällo".encode()
    assert user.meets(STORED, words=f"result {JOB_ID} -o {tmp_path}") == 2


def test_what_else_is_installed_adds_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    def add_commands(commands: Any) -> None:  # noqa: ANN401 - argparse names it privately
        parser: argparse.ArgumentParser = commands.add_parser("more")
        parser.set_defaults(runner=lambda _: 42)

    assert main(["more"], others=[add_commands]) == 42
    assert capsys.readouterr().err == ""


def test_the_server_offers_its_operators_commands_to_the_client() -> None:
    [point] = entry_points(group=command.GROUP)

    assert point.value == "deploy.cli:add_commands"
