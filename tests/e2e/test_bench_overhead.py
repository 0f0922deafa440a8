"""The benchmark of overhead measures all its sides; how fast they are stands in no test."""

from pathlib import Path

from tests.e2e.benchmarks import run_small


def test_the_overhead_benchmark_measures_all_sides_and_writes_its_section(tmp_path: Path) -> None:
    written = run_small("overhead", "--rounds", "1", "--jobs", "2", folder=tmp_path)

    figures = written.figures
    for side in ("longhaul", "celery", "polling"):
        [measured] = figures["sides"][side]
        assert len(measured) == 2
        assert all(one["before"] > 0 for one in measured)
    assert "| POST to the call | bare Celery |" in written.document
    assert "</svg>" in (written.pictures / "overhead.svg").read_text()
