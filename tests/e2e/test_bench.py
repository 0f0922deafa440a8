"""The benchmarks run and say what they measured; how fast anything is stands in no test."""

from pathlib import Path

from bench.document import replace_section
from tests.e2e.benchmarks import run, run_small


def test_the_sockets_benchmark_measures_both_sides_and_writes_its_section(tmp_path: Path) -> None:
    small = ("--sockets", "200", "--watchers", "50", "--publishes", "3", "--idle-seconds", "1")

    written = run_small("sockets", *small, folder=tmp_path)

    figures = written.figures
    assert len(figures["floor_seconds"]) == 3
    for side in ("longhaul", "plain"):
        assert len(figures[side]["publish_seconds"]) == 3
        assert figures[side]["memory_open"] > 0
    assert "| memory a socket (KB) |" in written.document


def test_the_processes_are_measured_idle_and_under_load(tmp_path: Path) -> None:
    small = ("--jobs", "5", "--seconds", "1", "--tokens", "10", "--idle", "1", "--rounds", "1")

    written = run_small("processes", *small, folder=tmp_path)

    figures = written.figures["figures"]
    assert sorted(figures) == ["feed", "web", "worker"]
    for one in figures.values():
        assert one["idle"]["mib"] > 0
        assert one["loaded"][0]["mib"] > 0
    assert figures["worker"]["loaded"][0]["cpu_seconds"] > 0
    assert "| worker |" in written.document


def test_a_run_that_asks_for_more_files_than_are_allowed_says_so() -> None:
    done = run("bench.sockets", "--sockets", "1000000000")

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


def test_a_page_counts_its_targets_and_names_what_is_not_met(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    missed = "- Delay: 60.0 ms; target at most 40.0 ms: **missed** by 50%: a slip."
    replace_section(document, "one", f"## One\n\n{missed}")
    replace_section(document, "two", "## Two\n\n- Rate: 0.72; target at least 0.70: met.")

    text = document.read_text()
    assert "1 of 2 targets are met." in text
    assert "- One: Delay: 60.0 ms; target at most 40.0 ms: **missed** by 50%." in text

    replace_section(document, "one", "## One\n\n- Delay: 20.0 ms; target at most 40.0 ms: met.")

    assert "2 of 2 targets are met.\n<!--" in document.read_text()
