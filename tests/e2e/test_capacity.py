"""The capacity page's commands run and say what they found; speed stands in no test."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ

if TYPE_CHECKING:
    from pathlib import Path


def run(module: str, *flags: str, into: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", module, *flags),
            *("--document", str(into / "capacity.md"), "--raw", str(into)),
        ],
        cwd=REPO_ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=115,
        check=False,
    )


def test_a_workload_of_ones_own_gives_a_page_of_ones_own(tmp_path: Path) -> None:
    done = run("bench.capacity", "--job-seconds", "60", "--part", "0.1", into=tmp_path)

    assert done.returncode == 0, done.stderr
    page = (tmp_path / "capacity.md").read_text()
    assert "| jobs in flight | 10 | 1,000 | 100,000 |" in page
    assert "| `--job-seconds` | 60.0 |" in page
    figures = json.loads((tmp_path / "capacity-flow.json").read_text())
    assert [one["needs"]["rate"] for one in figures["rehearsed"]] == [10, 1_000, 100_000]
    assert all(0 < one["busy"]["worker"] < 1 for one in figures["rehearsed"])


def test_the_simulation_is_held_against_real_processes(tmp_path: Path) -> None:
    small = ("--burst", "8", "--seconds", "4", "--redis-jobs", "4", "--pieces", "20")

    done = run("bench.capacity.check", *small, into=tmp_path)

    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "capacity-check.json").read_text())
    burst, by_chance = figures["compared"]
    assert burst["jobs"] == 8
    assert by_chance["jobs"] > 0
    # Two waves of 2 s, however busy the machine is.
    assert min(burst["real"][2], burst["played"][2]) >= 4
    assert figures["redis"]["event_bytes"] > 0
    assert figures["redis"]["commands"]["publish"] > 0
    assert "| measured | simulated | ratio |" in (tmp_path / "capacity.md").read_text()
