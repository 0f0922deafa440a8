"""Recovery: how long a job stood still after its worker was hit, and a place without a process."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from jobs.timeline import StepName
from tests.faults.excuses import pid_in
from tests.faults.schedule import FaultKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs.job import Job
    from tests.faults.breaker import Strike
    from tests.faults.evidence import Evidence

TAKES_JOBS = (FaultKind.KILL_WORKER, FaultKind.STOP_WORKER_LONG, FaultKind.DRAIN_WORKER)
ENDS_A_CLAIM = frozenset(
    {
        StepName.CLAIMED,
        StepName.RETRYING,
        StepName.COMPLETED,
        StepName.FAILED,
        StepName.CANCELLED,
        StepName.EXPIRED,
    }
)


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What followed one hit on a worker; seconds from the hit to each job's next claim."""

    strike: Strike
    held: int
    again: tuple[float, ...]

    def __str__(self) -> str:
        hit = f"{self.strike.fault.kind} of {self.strike.name}: {self.held} jobs in its hands"
        if not self.again:
            return f"{hit}, none claimed anew"
        times = f"{median(self.again):.1f} s in the median, {max(self.again):.1f} s at most"
        return f"{hit}, {len(self.again)} claimed anew after {times}"


def recoveries(evidence: Evidence) -> list[Recovery]:
    """Tell for each hit on a worker what became of the jobs that it held."""
    found = []
    for strike in sorted(evidence.strikes, key=lambda strike: strike.began_at):
        if strike.fault.kind not in TAKES_JOBS or strike.pid is None:
            continue
        ends = [
            end
            for job in evidence.jobs.values()
            if (end := _end_of_claim(job, strike.pid, strike.began_at)) is not None
        ]
        again = tuple(seconds for name, seconds in ends if name is StepName.CLAIMED)
        found.append(Recovery(strike=strike, held=len(ends), again=again))
    return found


def _end_of_claim(job: Job, pid: int, at: float) -> tuple[StepName, float] | None:
    """Find the claim that a process held at a time: what ended it, and how long after."""
    steps = [step for step in job.timeline if step.name in ENDS_A_CLAIM]
    steps.sort(key=lambda step: step.at)
    before = [step for step in steps if step.at.timestamp() <= at]
    if not before or before[-1].name is not StepName.CLAIMED or pid_in(before[-1].by) != pid:
        return None
    after = [step for step in steps[len(before) :] if step.name is not StepName.RETRYING]
    return (after[0].name, after[0].at.timestamp() - at) if after else None


def seconds_until_back(evidence: Evidence) -> dict[str, list[float]]:
    """Give, by role, the seconds from a process's end to its successor's readiness."""
    back: dict[str, list[float]] = {}
    by_place: dict[str, list[float]] = {}
    for life in sorted(evidence.lives, key=lambda life: life.started_at):
        ended = by_place.setdefault(life.name, [])
        if ended and life.ready_at is not None:
            back.setdefault(life.name.partition("-")[0], []).append(life.ready_at - ended[-1])
        ended.append(life.ended_at or life.started_at)
    return back


def spread(values: Iterable[float]) -> str:
    """Say how numbers lie."""
    numbers = sorted(values)
    if not numbers:
        return "none"
    return f"{median(numbers):.1f} s in the median, {numbers[-1]:.1f} s at most"
