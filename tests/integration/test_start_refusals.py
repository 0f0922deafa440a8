"""What an operator mistypes starts no process and no command: one line, exit status 2."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from deploy.local.environment import REPO_ROOT
from tests.stack import BIN, clean_environ

SERVE = (sys.executable, "-m", "web.serve")
WORKER = (sys.executable, "-m", "workers.worker_entry")
FEED = (sys.executable, "-m", "workers.feed_entry")
LONGHAUL = str(BIN / "longhaul")
COMMANDS = {
    "web": SERVE,
    "worker": WORKER,
    "feed": FEED,
    "check": (LONGHAUL, "check"),
    "bootstrap": (LONGHAUL, "bootstrap"),
    "jobs": (LONGHAUL, "jobs", "--stuck"),
    "drain": (LONGHAUL, "drain", "--all"),
}
SOUND = {
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "LONGHAUL_BUCKET": "nowhere",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
}
WRONG = {
    "REDIS_URL": "redis://user:hunter2@127.0.0.1:1/0?socket_timeut=5",
    "AWS_ENDPOINT_URL_DYNAMODB": "ftp://user:hunter2@127.0.0.1",
    "AWS_ENDPOINT_URL_DYNAMO": "http://127.0.0.1:1",
    "WEB_CONCURENCY": "4",
    "AWS_REGON": "eu-central-1",
}


def run(command: tuple[str, ...], **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        command,
        env={**clean_environ(), **SOUND, **environ},
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_is_mistyped_is_told_in_one_line_before_anything_starts(
    command: tuple[str, ...],
) -> None:
    done = run(command, **WRONG)

    assert done.returncode == 2
    [line] = f"{done.stdout}{done.stderr}".splitlines()
    for name in WRONG:
        assert f"{name}: " in line
    assert "hunter2" not in line


def test_a_doctor_says_it_and_looks_no_further() -> None:
    done = run((LONGHAUL, "doctor", "--json"), **WRONG)

    [finding] = json.loads(done.stdout)["findings"]
    assert (done.returncode, finding["name"], finding["state"]) == (2, "settings", "fail")
    for name in WRONG:
        assert f"{name}: " in finding["told"]
    assert "hunter2" not in done.stdout


def test_the_stand_ins_take_no_argument_that_they_do_not_know() -> None:
    done = run((sys.executable, "-m", "deploy.local", "may-strat"))

    assert done.returncode == 2
    assert "not 'may-strat'" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        (*WORKER, "--bogus"),
        (*FEED, "bogus"),
        (LONGHAUL, "doctor", "--rol", "worker"),
        (LONGHAUL, "jobs", "--stuck", "--older", "5m"),
        (LONGHAUL, "submit", "--prom", "Hi"),
        (LONGHAUL, "--vers"),
    ],
    ids=["worker", "feed", "doctor", "jobs", "submit", "longhaul"],
)
def test_an_argument_that_nobody_knows_is_refused_with_the_usage(command: tuple[str, ...]) -> None:
    done = run(command)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert "Traceback" not in done.stderr
