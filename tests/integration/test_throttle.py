"""A thousand waiting jobs against a quota, small: the real processes, limiter and stand-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.stack import LocalStack
from tests.throttle import run_season

if TYPE_CHECKING:
    from pathlib import Path

JOBS = 450
QUOTA = 20.0


def test_a_crowd_at_the_throttle_is_paced_and_starves_nobody(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        season = run_season(stack, jobs=JOBS, quota=QUOTA, within=100)

    assert season.completed == JOBS + 1
    assert season.late_calls > JOBS / 4, "the queue was over before the quota could be known"
    assert season.throttled_share < 0.05
    assert season.single_waited < 2.0
