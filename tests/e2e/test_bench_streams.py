"""The streams' benchmark measures both sides; how fast either is stands in no test."""

from pathlib import Path

from tests.e2e.benchmarks import run_small

SMALL = ("--streams", "4", "--tokens", "5", "--rounds", "2")


def test_the_streams_benchmark_loses_no_token_and_writes_its_section(tmp_path: Path) -> None:
    written = run_small("streams", *SMALL, folder=tmp_path)

    bursts = written.figures["bursts"]
    assert {side: [burst["tokens"] for burst in taken] for side, taken in bursts.items()} == {
        "Longhaul": [20, 20],
        "peer": [20, 20],
    }
    assert "| tokens a second |" in written.document
