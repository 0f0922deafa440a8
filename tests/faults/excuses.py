"""Excuses: which disturbance may have cost a second call. Everything else is a broken promise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.timeline import StepName
from tests.faults.clocks import SEEN_WITHIN
from tests.faults.schedule import FaultKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.job import Job
    from jobs.timeline import Step
    from tests.faults.breaker import Strike
    from tests.faults.evidence import Call
    from tests.faults.fleet import Life

LEASE = 5.0
DRAIN = 2.0
# The store was away for so long that a claim could lapse between two renewals.
LAPSES_AFTER = LEASE * 0.6
SLACK = 1.5  # between a process's clock reading and the ledger's


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What may have taken a job from a worker; `pid` None means from any. Seconds since epoch.

    `step` is how many seconds the process's clock was off meanwhile.
    """

    pid: int | None
    begins: float
    ends: float
    what: str
    step: int = 0


def disturbances_of(strikes: Sequence[Strike], lives: Sequence[Life]) -> list[Disturbance]:
    """Tell which faults could cost a call: those on workers, and a store that was away long."""
    found = [
        Disturbance(
            pid=strike.pid,
            begins=strike.began_at,
            ends=strike.ended_at + (DRAIN + LEASE if _drains(strike) else 0),
            what=strike.fault.kind,
        )
        for strike in strikes
        if strike.name.startswith("worker")
        and strike.fault.kind is not FaultKind.STOP_WORKER_SHORT
        and not strike.fault.step
    ]
    found += [one for strike in strikes if strike.fault.step for one in _clocks_off(strike, lives)]
    found += [
        Disturbance(pid=None, begins=begins, ends=ends + LEASE, what="store away")
        for begins, ends in _together([strike for strike in strikes if _may_hold_up(strike)])
        if ends - begins >= LAPSES_AFTER
    ]
    return found + [
        Disturbance(pid=life.pid, begins=life.ended_at, ends=life.ended_at, what="ended by itself")
        for life in lives
        if life.ended_at is not None and not life.was_ended_by_us and life.name.startswith("worker")
    ]


def _clocks_off(strike: Strike, lives: Sequence[Life]) -> list[Disturbance]:
    """Tell which worker processes ran under a clock that was off: one that dies has a successor."""
    if not strike.name.startswith("worker"):
        return []
    begins, ends = strike.began_at, strike.ended_at + SEEN_WITHIN
    pids = {strike.pid} | {
        life.pid
        for life in lives
        if life.name == strike.name
        and life.started_at <= ends
        and (life.ended_at is None or life.ended_at >= begins)
    }
    return [
        Disturbance(
            pid=pid, begins=begins, ends=ends, what=strike.fault.kind, step=strike.fault.step
        )
        for pid in pids
    ]


def _drains(strike: Strike) -> bool:
    return strike.fault.kind is FaultKind.DRAIN_WORKER


def _may_hold_up(strike: Strike) -> bool:
    return strike.is_on_store or strike.fault.kind is FaultKind.STOP_WORKER_SHORT


def _together(strikes: list[Strike]) -> list[tuple[float, float]]:
    """Give the spans in which one or more of them held, without a pause longer than a second."""
    spans: list[tuple[float, float]] = []
    for strike in sorted(strikes, key=lambda strike: strike.began_at):
        if spans and strike.began_at <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], max(spans[-1][1], strike.ended_at))
        else:
            spans.append((strike.began_at, strike.ended_at))
    return spans


def excuse_for(
    job: Job,
    call: Call,
    until: float,
    disturbances: Sequence[Disturbance],
    *,
    following: Call | None = None,
) -> Disturbance | None:
    """Find what may have taken the job from the worker that made the call, before `until`.

    A worker whose clock is ahead takes from others, if a task comes twice: then `following` is its
    call. One whose clock is behind has claims that others take for lapsed.
    """
    caller = caller_of(job, call, disturbances)
    taker = caller_of(job, following, disturbances) if following else None
    for one in disturbances:
        is_in_time = one.begins <= until + SLACK and one.ends >= call.started_at - SLACK
        if one.pid in (None, taker if one.step > 0 else caller) and is_in_time:
            return one
    return None


def was_mistimed(job: Job, disturbances: Sequence[Disturbance]) -> bool:
    """Tell whether a worker whose clock was off claimed the job: a claim begins its time to run."""
    return any(
        one.step and one.pid == pid_in(step.by) and one.begins - SLACK <= at <= one.ends + SLACK
        for step in job.timeline
        if step.name is StepName.CLAIMED
        for at in readings(step, disturbances)
        for one in disturbances
    )


def readings(step: Step, disturbances: Sequence[Disturbance]) -> list[float]:
    """Give the times at which a step may have been taken, by the true clock: most often one."""
    at = step.at.timestamp()
    return [at] + [
        at - one.step
        for one in disturbances
        if one.step
        and one.pid == pid_in(step.by)
        and one.begins - SLACK <= at - one.step <= one.ends + SLACK
    ]


def caller_of(job: Job, call: Call, disturbances: Sequence[Disturbance]) -> int | None:
    """Say which process marked that it begins this call, right before it came."""
    marks = [
        step
        for step in job.timeline
        if step.name is StepName.INVOKED
        and step.attempt == call.attempt
        and min(readings(step, disturbances)) <= call.started_at + SLACK
    ]
    return pid_in(marks[-1].by) if marks else None


def pid_in(process: str) -> int:
    """Read the process id of a name such as `worker@host:4711`."""
    return int(process.rpartition(":")[2])
