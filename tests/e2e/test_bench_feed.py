"""The feed's benchmark measures every side; how fast any is stands in no test."""

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ

SMALL = (
    *("--shards", "1", "2", "--records", "40", "--rounds", "1"),
    *("--a-second", "20", "--lag-seconds", "0.5"),
)


def test_the_feed_benchmark_measures_all_sides_and_writes_its_section(tmp_path: Path) -> None:
    document, raw = tmp_path / "benchmarks.md", tmp_path / "raw"

    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "bench.feed", *SMALL),
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
    figures = json.loads((raw / "feed.json").read_text())
    assert [(rates["shards"], rates["of"]) for rates in figures["rates"]] == [
        (1, "new jobs"),
        (2, "new jobs"),
        (2, "whole lives"),
    ]
    for rates in figures["rates"]:
        assert {side: len(rounds) for side, rounds in rates["sides"].items()} == {
            "Longhaul's feed": 1,
            "GetRecords alone": 1,
            "the feed's own reads alone": 1,
        }
        assert all(drained["records"] == 40 for [drained] in rates["sides"].values())
    for lags in figures["lags"]:
        assert all(len(seconds) == 10 for seconds in lags["sides"].values())
    assert "| 2 shards, whole lives |" in document.read_text()
    assert (tmp_path / "benchmarks" / "feed.svg").read_text().startswith("<?xml")
