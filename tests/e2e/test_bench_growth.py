"""The growth's benchmark: what is asked of the store must not grow, how fast it is may."""

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ

SMALL = ("--stored", "300", "1200", "--rounds", "1", "--jobs", "4", "--times", "2")


def test_a_longer_history_asks_no_more_of_the_store(tmp_path: Path) -> None:
    document, raw = tmp_path / "benchmarks.md", tmp_path / "raw"

    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "bench.growth", *SMALL),
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
    figures = json.loads((raw / "growth.json").read_text())
    counts = figures["counts"]
    assert counts["300"] == counts["1200"]
    assert counts["300"]["accept"] == {"calls": {"PutItem": 1}, "items": 0}
    assert counts["300"]["page of a tenth of all jobs"]["items"] == 40
    for size in ("300", "1200"):
        [turn] = figures["seconds"][size]
        assert all(seconds > 0 for seconds in turn.values())
    assert "| a job's whole way |" in document.read_text()
    assert (tmp_path / "benchmarks" / "growth.svg").read_text().startswith("<?xml")
