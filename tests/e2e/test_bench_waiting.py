"""The waiting benchmark holds calls on every side; how much any of them costs stands in no test."""

from pathlib import Path

from tests.e2e.benchmarks import run_small


def test_the_waiting_benchmark_streams_every_call_of_every_side_and_writes_its_section(
    tmp_path: Path,
) -> None:
    small = ("--calls", "10", "--prefork", "2", "--streaming", "3", "--tokens", "5")
    short = ("--quiet-seconds", "0.5", "--stream-seconds", "1")

    written = run_small("waiting", *small, *short, folder=tmp_path)

    runs = written.figures["runs"]
    assert [(run["side"], run["calls"]) for run in runs] == [
        ("Longhaul", 3),
        ("asyncio", 3),
        ("asyncio", 3),
        ("Longhaul", 3),
        ("Longhaul", 3),
        ("asyncio", 3),
        ("asyncio", 10),
        ("Longhaul", 10),
        ("Celery gevent", 10),
        ("Celery prefork", 2),
    ]
    assert all(run["tokens"] == run["calls"] * 5 for run in runs[6:])
    assert all(run["makespan"] >= 1.5 for run in runs[6:])
    assert "10 jobs: memory a job" in written.document
    assert (written.pictures / "waiting.svg").read_text().startswith("<?xml")
