"""A process under libfaketime: its wall clock is set while it runs, and nothing else is."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.clocks import ProcessClock, is_steppable
from tests.stack import clean_environ, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="libfaketime's wheel has the library for x86-64 only"
)

# Tells at each line that it reads how far its wall clock is from where it was, while thirty threads
# wait in every way that the product's do; and how long the longest of their waits took.
PROGRAM = """
import json, queue, sys, threading, time

def wait():
    condition, empty, event = threading.Condition(), queue.Queue(), threading.Event()
    while True:
        begun = time.monotonic()
        with condition:
            condition.wait(0.05)
        event.wait(0.05)
        try:
            empty.get(timeout=0.05)
        except queue.Empty:
            pass
        waits.append(time.monotonic() - begun)

waits = [0.15]
for _ in range(30):
    threading.Thread(target=wait, daemon=True).start()
wall, steady = time.time(), time.monotonic()
for line in sys.stdin:
    off = time.time() - wall - (time.monotonic() - steady)
    print(json.dumps([off, min(waits), max(waits), time.process_time()]), flush=True)
"""


class Watched:
    """The program above, and its clock."""

    def __init__(self, folder: Path) -> None:
        self.clock = ProcessClock(path=folder / "clock")
        self.clock.step_to(0)
        self.process = subprocess.Popen(  # noqa: S603 - the program above
            [sys.executable, "-c", PROGRAM],
            env={**clean_environ(), **self.clock.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> list[float]:
        """Give how far its clock is off, its shortest and longest wait, and its CPU seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer: list[Any] = json.loads(self.process.stdout.readline())
        return answer

    def is_off_by(self, seconds: int) -> bool:
        return abs(self.ask()[0] - seconds) < 0.1


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    one = Watched(tmp_path)
    with one.process as process:
        yield one
        process.kill()


def test_the_clock_of_a_running_process_is_set_and_its_waits_stay_as_they_are(
    watched: Watched,
) -> None:
    assert watched.is_off_by(0)
    assert is_steppable(watched.process.pid)

    for seconds in (30, 0, -30, 0, 40, -40):
        watched.clock.step_to(seconds)
        wait_until(lambda to=seconds: watched.is_off_by(to), f"{seconds:+d} s", within=5)  # type: ignore[misc] # mypy infers no lambda with a default

    _, shortest, longest, cpu = watched.ask()
    assert shortest >= 0.149
    assert longest < 2
    assert cpu < 5
