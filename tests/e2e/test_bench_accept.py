"""The benchmark of accepting measures all its sides; how fast they are stands in no test."""

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ

SMALL = (
    *("--rounds", "1", "--seconds", "0.3", "--connections", "4"),
    *("--streams", "10", "--events", "50"),
)


def test_the_accept_benchmark_measures_both_sides_and_writes_its_section(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"

    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "bench.accept", *SMALL, "--document", str(document)),
            *("--raw", str(tmp_path / "raw")),
        ],
        cwd=REPO_ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "raw" / "accept.json").read_text())
    for kind, names in (
        ("quiet", ("longhaul", "floor", "longhaul alone", "floor alone")),
        ("busy", ("longhaul", "floor")),
    ):
        assert [len(figures[kind][name]) for name in names] == [1] * len(names)
    assert figures["offered"]["longhaul"]["latencies"]
    assert figures["offered_busy"]["floor"]["latencies"]
    assert "| DynamoDB stand-in |" in document.read_text()
    assert "</svg>" in (tmp_path / "benchmarks" / "accept.svg").read_text()
