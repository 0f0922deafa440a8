"""The throughput's benchmark measures every side; how fast any is stands in no test."""

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ


def test_the_throughput_benchmark_counts_every_job_of_every_side_and_writes_its_section(
    tmp_path: Path,
) -> None:
    document, raw = tmp_path / "benchmarks.md", tmp_path / "raw"

    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "bench.throughput", "--jobs", "8", "--rounds", "1"),
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
    turns = json.loads((raw / "throughput.json").read_text())["turns"]
    assert set(turns) == {"Longhaul", "bare Celery", "arq", "taskiq", "Step Functions"}
    assert all(turn["jobs"] == 8 for [turn] in turns.values())
    assert set(turns["Longhaul"][0]["own"]) == {"web", "worker", "feed"}
    assert set(turns["Longhaul"][0]["stand_ins"]) == {"DynamoDB", "Redis", "model"}
    section = document.read_text()
    assert "target at least 0.60" in section
    assert "| Step Functions |" in section
    assert (tmp_path / "benchmarks" / "throughput.svg").read_text().startswith("<?xml")


def test_the_calls_of_a_job_are_counted() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.calls", "--jobs", "1"],
        cwd=REPO_ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "calls a job" in done.stdout
    assert "botocore" in done.stdout
