"""The throughput's benchmark measures every side; how fast any is stands in no test."""

from pathlib import Path

from tests.e2e.benchmarks import run, run_small


def test_the_throughput_benchmark_counts_every_job_of_every_side_and_writes_its_section(
    tmp_path: Path,
) -> None:
    written = run_small("throughput", "--jobs", "8", "--rounds", "1", folder=tmp_path)

    turns = written.figures["turns"]
    assert set(turns) == {"Longhaul", "bare Celery", "arq", "taskiq", "Step Functions"}
    assert all(turn["jobs"] == 8 for [turn] in turns.values())
    assert set(turns["Longhaul"][0]["own"]) == {"web", "worker", "feed"}
    assert set(turns["Longhaul"][0]["stand_ins"]) == {"DynamoDB", "Redis", "model"}
    section = written.document
    assert "target at least 0.60" in section
    assert "| Step Functions |" in section
    assert (written.pictures / "throughput.svg").read_text().startswith("<?xml")


def test_the_calls_of_a_job_are_counted() -> None:
    done = run("bench.calls", "--jobs", "1")

    assert done.returncode == 0, done.stderr
    assert "calls a job" in done.stdout
    assert "botocore" in done.stdout
