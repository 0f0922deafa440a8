"""The benchmark of overhead measures all its sides; how fast they are stands in no test."""

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ


def test_the_overhead_benchmark_measures_all_sides_and_writes_its_section(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"

    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "bench.overhead", "--rounds", "1", "--jobs", "2"),
            *("--document", str(document), "--raw", str(tmp_path / "raw")),
        ],
        cwd=REPO_ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "raw" / "overhead.json").read_text())
    for side in ("longhaul", "celery", "polling"):
        [measured] = figures["sides"][side]
        assert len(measured) == 2
        assert all(one["before"] > 0 for one in measured)
    assert "| POST to the call | bare Celery |" in document.read_text()
    assert "</svg>" in (tmp_path / "benchmarks" / "overhead.svg").read_text()
