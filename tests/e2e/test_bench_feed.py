"""The feed's benchmark measures every side; how fast any is stands in no test."""

from pathlib import Path

from tests.e2e.benchmarks import run_small

SMALL = (
    *("--shards", "1", "2", "--records", "40", "--rounds", "1"),
    *("--a-second", "20", "--lag-seconds", "0.5"),
)


def test_the_feed_benchmark_measures_all_sides_and_writes_its_section(tmp_path: Path) -> None:
    written = run_small("feed", *SMALL, folder=tmp_path)

    figures = written.figures
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
    assert "| 2 shards, whole lives |" in written.document
    assert (written.pictures / "feed.svg").read_text().startswith("<?xml")
