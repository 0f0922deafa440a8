"""The streams' benchmark measures both sides; how fast either is stands in no test."""

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ

SMALL = ("--streams", "4", "--tokens", "5", "--rounds", "2")


def test_the_streams_benchmark_loses_no_token_and_writes_its_section(tmp_path: Path) -> None:
    document, raw = tmp_path / "benchmarks.md", tmp_path / "raw"

    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "bench.streams", *SMALL),
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
    bursts = json.loads((raw / "streams.json").read_text())["bursts"]
    assert {side: [burst["tokens"] for burst in taken] for side, taken in bursts.items()} == {
        "Longhaul": [20, 20],
        "peer": [20, 20],
    }
    assert "| tokens a second |" in document.read_text()
