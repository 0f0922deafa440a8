"""A rollout in short: the manifests' own signals and graces, at some hundredths of their length."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.rehearsal.rollout import Plan, rehearse
from tests.stack import LocalStack

if TYPE_CHECKING:
    from pathlib import Path

SHORT = Plan(jobs=16, shortest=0.5, longest=2.5, over=8, scale=0.015, overlong=6)


@pytest.mark.timeout(300)
def test_a_rollout_interrupts_no_job_that_can_finish_and_hands_on_what_cannot(
    tmp_path: Path,
) -> None:
    with LocalStack(tmp_path) as stack:
        report = asyncio.run(rehearse(SHORT, stack, tmp_path))

    assert report.findings() == [], str(report)
    assert len(report.seen) == SHORT.jobs + SHORT.overlong
    assert {end.name for end in report.ends} == {
        f"{process}-{number}" for process in ("web", "worker", "feed") for number in (0, 1)
    }
    overlong = [one for one in report.seen if one.work.seconds > report.drain]
    assert any(one.calls > 1 for one in overlong), "none was handed on"
