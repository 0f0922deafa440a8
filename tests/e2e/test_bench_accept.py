"""The benchmark of accepting measures all its sides; how fast they are stands in no test."""

from pathlib import Path

from tests.e2e.benchmarks import run_small

SMALL = (
    *("--rounds", "1", "--seconds", "0.3", "--connections", "4"),
    *("--streams", "10", "--events", "50"),
)


def test_the_accept_benchmark_measures_both_sides_and_writes_its_section(tmp_path: Path) -> None:
    written = run_small("accept", *SMALL, folder=tmp_path)

    figures = written.figures
    for kind, names in (
        ("quiet", ("longhaul", "floor", "longhaul alone", "floor alone")),
        ("busy", ("longhaul", "floor")),
    ):
        assert [len(figures[kind][name]) for name in names] == [1] * len(names)
    [round_of_ours] = figures["offered"]["longhaul"]["rounds"]
    [round_of_floors] = figures["offered_busy"]["floor"]["rounds"]
    for one in (round_of_ours, round_of_floors):
        assert len(one["latencies"]) == len(one["late"]) > 0
        assert one["web_waited"] >= 0
    assert "| DynamoDB stand-in |" in written.document
    assert "</svg>" in (written.pictures / "accept.svg").read_text()
