"""The seed decides everything."""

from __future__ import annotations

from itertools import pairwise

from tests.faults.load import JobKind, plan_jobs
from tests.faults.schedule import STORM, FaultKind, plan_faults


def test_the_same_seed_gives_the_same_faults_and_the_same_jobs() -> None:
    assert plan_faults(7) == plan_faults(7)
    assert plan_jobs(7, 100, over=60) == plan_jobs(7, 100, over=60)


def test_another_seed_gives_others() -> None:
    assert plan_faults(7) != plan_faults(8)
    assert plan_jobs(7, 100, over=60) != plan_jobs(8, 100, over=60)


def test_each_fault_comes_once_and_alone_before_the_storms() -> None:
    faults = plan_faults(7, storms=2)
    alone, storms = faults[: len(FaultKind)], faults[len(FaultKind) :]

    assert {fault.kind for fault in alone} == set(FaultKind)
    assert all(one.ends < following.at for one, following in pairwise(alone))
    assert len(storms) == 2 * STORM


def test_the_load_has_jobs_of_every_kind() -> None:
    assert {plan.kind for plan in plan_jobs(7, 300, over=60)} == set(JobKind)
