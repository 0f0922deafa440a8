"""The client's command as a process of its own, against the real system."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack import BIN, clean_environ, http, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import System

ENDS_WITHIN = 60


class Shell:
    """Runs `longhaul` as a script does."""

    def __init__(self, url: str) -> None:
        self.environ = {**clean_environ(), "LONGHAUL_URL": url, "PYTHONUNBUFFERED": "1"}

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own command
            [f"{BIN}/longhaul", *words],
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=ENDS_WITHIN,
            check=False,
        )

    def reads(self, *words: str) -> Any:  # noqa: ANN401 - JSON
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def starts(self, *words: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:  # noqa: ANN401 - Popen's
        with subprocess.Popen(  # noqa: S603 - our own command
            [f"{BIN}/longhaul", *words],
            env={**self.environ, "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            **streams,
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def shell(system: System) -> Shell:
    return Shell(system.url)


def asking(faults: str) -> str:
    return f"Say it. <<stand-in: {faults}>>"


def test_a_job_from_its_prompt_to_its_removal(shell: Shell) -> None:
    submitted = shell.run("submit", "--prompt", "-", stdin=asking("tokens=20"))
    job_id = submitted.stdout.strip()
    watched = shell.run("watch", job_id)

    assert (submitted.returncode, watched.returncode) == (0, 0)
    text = shell.reads("result", job_id)["text"]
    assert watched.stdout == shell.run("result", job_id).stdout == f"{text}\n"
    assert shell.reads("show", job_id)["status"] == "COMPLETED"
    assert shell.reads("timeline", job_id)["steps"][-1]["step"] == "settled"
    assert shell.reads("deliveries", job_id) == []
    wait_until(
        lambda: job_id in [job["id"] for job in shell.reads("list", "--limit", "5")],
        "the list has the job",
    )
    assert shell.run("redrive", job_id).returncode == 1
    assert shell.run("delete", job_id).returncode == 0
    assert shell.run("show", job_id).returncode == 4


def test_who_waits_has_the_text_on_stdout_and_nothing_else(shell: Shell) -> None:
    done = shell.run("submit", "--prompt", asking("tokens=5; duration_s=1"), "--wait", "60")

    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 5


def test_a_wait_that_is_over_is_no_end(shell: Shell) -> None:
    done = shell.run("submit", "--prompt", asking("tokens=5; duration_s=20"), "--wait", "0.5")

    assert (done.returncode, done.stdout) == (8, "")
    job_id = done.stderr.split()[1]
    assert shell.run("cancel", job_id).stdout == f"{job_id}  CANCELLED\n"
    assert shell.run("watch", job_id).returncode == 5


def test_a_job_that_fails_fails_the_command(shell: Shell) -> None:
    done = shell.run("submit", "--prompt", asking("error=AccessDeniedException"), "--stream")

    assert (done.returncode, done.stdout) == (1, "")
    assert "model_access_denied" in done.stderr


def test_a_job_that_expires_has_a_status_of_its_own(shell: Shell, system: System) -> None:
    body = {"prompt": asking("tokens=5; duration_s=60"), "run_timeout_s": 1}
    job_id = http.post(f"{system.url}/v1/jobs", json=body).json()["id"]

    assert shell.run("watch", job_id).returncode == 6


def test_events_are_streamed_as_lines_of_json(shell: Shell) -> None:
    done = shell.run("submit", "--prompt", asking("tokens=5"), "--stream", "--json")

    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events[:2]] == ["job.queued", "job.started"]
    assert events[-1]["event"] == "job.completed"


def test_a_server_that_is_not_there_is_told_soon(shell: Shell) -> None:
    done = shell.run("list", "--url", "http://127.0.0.1:1")

    assert (done.returncode, done.stdout) == (7, "")


def test_ctrl_c_leaves_the_job_running_and_says_how_to_come_back(shell: Shell) -> None:
    job_id = shell.run("submit", "--prompt", asking("tokens=40; duration_s=6")).stdout.strip()
    with shell.starts(
        "watch", job_id, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as watching:
        assert watching.stdout is not None
        assert b"job.queued" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=ENDS_WITHIN)

    assert watching.returncode == 130
    assert f"longhaul watch {job_id}" in errors.decode()
    assert shell.run("watch", job_id).returncode == 0


def test_who_reads_no_further_ends_the_command_quietly(shell: Shell) -> None:
    prompt = asking("tokens=4000; duration_s=5; first_token_s=0")
    with shell.starts(
        "submit",
        "--prompt",
        prompt,
        "--stream",
        "--json",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as submitted:
        assert submitted.stdout is not None
        assert submitted.stderr is not None
        submitted.stdout.readline()
        submitted.stdout.close()
        errors = submitted.stderr.read().decode()

        assert submitted.wait(ENDS_WITHIN) == 141
    assert "Traceback" not in errors


def test_on_a_terminal_the_text_comes_as_it_is_written(shell: Shell) -> None:
    prompt = asking("tokens=10; duration_s=1; throttle_first=1")

    shown, status = on_a_terminal(shell, "submit", "--prompt", prompt, "--stream")

    assert status == 0
    assert "waits" in shown
    assert "attempt 1 failed: model_throttled" in shown
    assert "the next attempt begins in" in shown
    last = shown.rpartition("\x1b[2K")[2]
    assert len(last.split()) == 10
    assert last.endswith("\r\n")


def test_on_a_terminal_a_text_that_is_void_is_said_to_be(shell: Shell) -> None:
    prompt = asking("tokens=40; duration_s=1; stream_error_after=10; stream_faults_first=1")

    shown, status = on_a_terminal(shell, "submit", "--prompt", prompt, "--stream")

    assert status == 0
    assert "what stands above is void" in shown


def test_files_are_uploaded_and_attached(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("# Treaty\n\nOf Tordesillas. " * 1_000)

    done = shell.run("submit", str(path), "--prompt", "Sum up.", "--wait", "60")

    assert (done.returncode, done.stderr) == (0, "")
    assert "Tordesillas" in done.stdout


def test_users_and_operators_have_one_command(shell: Shell) -> None:
    done = shell.run("--help")

    assert done.returncode == 0
    for name in ("submit", "watch", "list", "bootstrap", "check", "feed"):
        assert f"\n    {name}" in done.stdout


def on_a_terminal(shell: Shell, *words: str) -> tuple[str, int]:
    """Run the command with a terminal for stdout and stderr, and give all that it showed."""
    ours, its = pty.openpty()
    with shell.starts(*words, stdout=its, stderr=its) as process:
        os.close(its)
        shown = b""
        while piece := _read(ours):
            shown += piece
        status = process.wait(ENDS_WITHIN)
    os.close(ours)
    return shown.decode(), status


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the last writer has gone
        return b""
