"""The benchmarks run and say what they measured; how fast anything is stands in no test."""

import json
import subprocess
import sys
from pathlib import Path

from bench.document import replace_section
from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ


def test_the_sockets_benchmark_measures_both_sides_and_writes_its_section(tmp_path: Path) -> None:
    document, raw = tmp_path / "benchmarks.md", tmp_path / "raw" / "sockets.json"
    small = ("--sockets", "200", "--watchers", "50", "--publishes", "3", "--idle-seconds", "1")

    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "bench.sockets", *small),
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
    figures = json.loads(raw.read_text())
    assert len(figures["floor_seconds"]) == 3
    for side in ("longhaul", "plain"):
        assert len(figures[side]["publish_seconds"]) == 3
        assert figures[side]["memory_open"] > 0
    assert "| memory a socket (KB) |" in document.read_text()


def test_the_processes_are_measured_idle_and_under_load(tmp_path: Path) -> None:
    document = tmp_path / "kubernetes.md"
    small = ("--jobs", "5", "--seconds", "1", "--tokens", "10", "--idle", "1", "--rounds", "1")

    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(sys.executable, "-m", "bench.processes", *small),
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
    figures = json.loads((tmp_path / "raw" / "processes.json").read_text())["figures"]
    assert sorted(figures) == ["feed", "web", "worker"]
    for one in figures.values():
        assert one["idle"]["mib"] > 0
        assert one["loaded"][0]["mib"] > 0
    assert figures["worker"]["loaded"][0]["cpu_seconds"] > 0
    assert "| worker |" in document.read_text()


def test_a_run_that_asks_for_more_files_than_are_allowed_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.sockets", "--sockets", "1000000000"],
        cwd=REPO_ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert "raise the limit" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    replace_section(document, "one", "first")
    replace_section(document, "two", "other")

    replace_section(document, "one", r"second \1")

    text = document.read_text()
    assert "first" not in text
    assert text.index(r"second \1") < text.index("other")
    assert text.startswith("# Benchmarks")
