"""What tests start ends with the process that started it, whatever ends that one."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ, descendants, is_running, wait_until

if TYPE_CHECKING:
    from pathlib import Path

GONE_WITHIN = 30.0
# A test that would go on for ever: the stand-ins, and beside them honcho with gunicorn below it.
TEST = """
import signal
from tests.stack import LocalStack, RedisServer, System

def test_for_ever(tmp_path):
    RedisServer(tmp_path / "redis").start()
    with LocalStack(tmp_path) as stack, System(stack, processes=("web",)):
        (tmp_path.parent / "is-up").touch()
        signal.pause()
"""


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_all_that_a_test_started_ends_with_its_pytest(
    tmp_path: Path, number: signal.Signals, workers: int
) -> None:
    (tmp_path / "test_for_ever.py").write_text(TEST)
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_configure\n")
    ours = ("-p", "no:cacheprovider", "-p", "no:randomly", "--numprocesses", str(workers))
    where = (f"--rootdir={tmp_path}", f"--basetemp={tmp_path / 'made'}", str(tmp_path))
    with (tmp_path / "out").open("wb") as output:
        tests = subprocess.Popen(  # noqa: S603 - our own tests
            (sys.executable, "-m", "pytest", *ours, *where),
            cwd=REPO_ROOT,
            env={**clean_environ(), "PYTHONPATH": str(REPO_ROOT)},
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(
            lambda: list(tmp_path.glob("made/**/is-up")) or tests.poll() is not None,
            "all is up",
            within=60,
        )
        assert tests.poll() is None, (tmp_path / "out").read_text()
        started = descendants(tests.pid)
    finally:
        tests.send_signal(number)
        tests.wait(30)

    assert len(started) >= 8 + workers, "Redis, stand-ins, honcho, gunicorn and its worker are up"
    wait_until(lambda: not any(map(is_running, started)), "their end", within=GONE_WITHIN)
