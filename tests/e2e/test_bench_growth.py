"""The growth's benchmark: what is asked of the store must not grow, how fast it is may."""

from pathlib import Path

from tests.e2e.benchmarks import run_small

SMALL = ("--stored", "300", "1200", "--rounds", "1", "--jobs", "4", "--times", "2")


def test_a_longer_history_asks_no_more_of_the_store(tmp_path: Path) -> None:
    written = run_small("growth", *SMALL, folder=tmp_path)

    figures = written.figures
    counts = figures["counts"]
    assert counts["300"] == counts["1200"]
    assert counts["300"]["accept"] == {"calls": {"PutItem": 1}, "items": 0}
    assert counts["300"]["page of a tenth of all jobs"]["items"] == 40
    for size in ("300", "1200"):
        [turn] = figures["seconds"][size]
        assert all(seconds > 0 for seconds in turn.values())
    assert "| a job's whole way |" in written.document
    assert (written.pictures / "growth.svg").read_text().startswith("<?xml")
