"""The fault suite in short: the real processes, some jobs, and the faults that matter most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.round import RoundPlan, run_round
from tests.faults.schedule import FaultKind, Spacing

if TYPE_CHECKING:
    from pathlib import Path

SHORT = RoundPlan(
    seed=11,
    jobs=60,
    kinds=(
        FaultKind.KILL_WORKER,
        FaultKind.STOP_WORKER_LONG,
        FaultKind.DRAIN_WORKER,
        FaultKind.KILL_REDIS,
        FaultKind.STORE_DROPS,
    ),
    storms=0,
    longest_job=6.0,
    spacing=Spacing(least=0.5, most=1.5),
)


@pytest.mark.timeout(240)
def test_whatever_dies_every_job_ends_and_is_paid_for_once(tmp_path: Path) -> None:
    report = run_round(SHORT, tmp_path)

    assert report.has_passed, str(report)
    assert len(report.evidence.accepted) == SHORT.jobs
    assert len(report.evidence.strikes) == len(SHORT.kinds)
    assert report.numbers.struck, "the proxy broke nothing"
