"""The waiting benchmark holds calls on every side; how much any of them costs stands in no test."""

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ


def test_the_waiting_benchmark_streams_every_call_of_every_side_and_writes_its_section(
    tmp_path: Path,
) -> None:
    document, raw = tmp_path / "benchmarks.md", tmp_path / "raw"
    small = ("--calls", "10", "--prefork", "2", "--streaming", "3", "--tokens", "5")
    short = ("--quiet-seconds", "0.5", "--stream-seconds", "1")

    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "bench.waiting", *small, *short),
            *("--document", str(document), "--raw", str(raw)),
        ],
        cwd=REPO_ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    runs = json.loads((raw / "waiting.json").read_text())["runs"]
    assert [(run["side"], run["calls"]) for run in runs] == [
        ("Longhaul", 3),
        ("asyncio", 3),
        ("asyncio", 10),
        ("Longhaul", 10),
        ("Celery gevent", 10),
        ("Celery prefork", 2),
    ]
    assert all(run["tokens"] == run["calls"] * 5 for run in runs[2:])
    assert all(run["makespan"] >= 1.5 for run in runs)
    assert "10 jobs: memory a job" in document.read_text()
    assert (tmp_path / "benchmarks" / "waiting.svg").read_text().startswith("<?xml")
