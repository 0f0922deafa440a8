"""The verdict: each promise of docs/lifecycle.md, checked on the evidence. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from jobs.job import JobStatus
from jobs.timeline import StepName
from jobs.transitions import is_claimable
from tests.faults.evidence import is_refused
from tests.faults.excuses import (
    caller_of,
    disturbances_of,
    excuse_for,
    readings,
    was_mistimed,
)
from tests.faults.load import JobKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobs.job import Job
    from tests.faults.evidence import Call, Change, Evidence
    from tests.faults.excuses import Disturbance
    from tests.faults.watchers import Sight

PENDING, RETRY, RUNNING = JobStatus.PENDING, JobStatus.PENDING_RETRY, JobStatus.RUNNING
LEGAL = frozenset(
    {(None, PENDING)}
    | {(status, status) for status in JobStatus}
    | {(PENDING, RUNNING), (RETRY, RUNNING), (RUNNING, RETRY)}
    | {(RUNNING, JobStatus.COMPLETED), (RUNNING, JobStatus.FAILED)}
    | {
        (before, after)
        for before in (PENDING, RETRY, RUNNING)
        for after in (JobStatus.CANCELLED, JobStatus.EXPIRED)
    }
)
ALL_ONCE = frozenset({JobStatus.COMPLETED})
MAY_END = {
    JobKind.PLAIN: ALL_ONCE,
    JobKind.LARGE: ALL_ONCE,
    JobKind.THROTTLED: ALL_ONCE,
    JobKind.STREAM_ERROR: ALL_ONCE,
    JobKind.ONLY_ONCE: ALL_ONCE,
    JobKind.CUT: frozenset({JobStatus.FAILED}),
    JobKind.INVALID: frozenset({JobStatus.FAILED}),
    JobKind.CANCELLED: frozenset({JobStatus.COMPLETED, JobStatus.CANCELLED}),
    JobKind.TIMED: frozenset({JobStatus.EXPIRED}),
}
EXPECTED_ERROR = {
    JobKind.CUT: "model_connection_lost",
    JobKind.INVALID: "model_rejected_request",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One promise that was broken."""

    promise: str
    job_id: str
    detail: str


def judge(evidence: Evidence) -> list[Finding]:
    """Check everything."""
    disturbances = disturbances_of(evidence.strikes, evidence.lives)
    findings = [
        *_lost(evidence),
        *_watched(evidence),
        *_answered(evidence),
        *_ended_by_themselves(evidence),
    ]
    for job in evidence.jobs.values():
        calls = evidence.calls.get(job.id, ())
        findings += _outcome(evidence, job, calls, disturbances)
        findings += _paid(job, calls, disturbances)
    for change in evidence.changes:
        findings += _moved(change)
    return findings


def _lost(evidence: Evidence) -> Iterator[Finding]:
    for number, job_id in evidence.accepted.items():
        if job_id not in evidence.jobs:
            yield Finding(promise="durable before 202", job_id=job_id, detail=f"number {number}")
    for job in evidence.jobs.values():
        if not job.status.is_terminal:
            yield Finding(promise="every job ends", job_id=job.id, detail=f"it is {job.status}")


def _outcome(
    evidence: Evidence, job: Job, calls: Sequence[Call], disturbances: Sequence[Disturbance]
) -> Iterator[Finding]:
    plan = evidence.plan_of(job)
    code = job.error.code if job.error and job.status is JobStatus.FAILED else None
    if job.status is JobStatus.COMPLETED:
        if evidence.texts.get(job.id) != plan.text:
            yield Finding(promise="the whole result", job_id=job.id, detail="another text")
        if not any(call.outcome == "completed" for call in calls):
            yield Finding(promise="the whole result", job_id=job.id, detail="of no completed call")
    fits = job.status in MAY_END[plan.kind] and code == EXPECTED_ERROR.get(plan.kind)
    if job.status.is_terminal and not fits and not _is_excused(job, code, calls, disturbances):
        detail = f"{plan.kind} ended as {job.status} {code or ''} after {job.attempt} attempts"
        yield Finding(promise="the outcome that was due", job_id=job.id, detail=detail)


def _is_excused(
    job: Job, code: str | None, calls: Sequence[Call], disturbances: Sequence[Disturbance]
) -> bool:
    """Tell whether a fault explains that a job ended as interrupted, out of attempts, or late."""
    if job.run_by is not None and job.status is JobStatus.COMPLETED:
        return was_mistimed(job, disturbances)
    ended = max(
        (at for step in job.timeline[-1:] for at in readings(step, disturbances)), default=0
    )
    disturbed = any(excuse_for(job, call, ended, disturbances) for call in calls)
    marked = any(step.name is StepName.INVOKED for step in job.timeline)
    if code == "interrupted":
        return disturbed or (marked and not calls)
    return disturbed and job.attempt >= job.max_attempts and code is not None


def _paid(
    job: Job, calls: Sequence[Call], disturbances: Sequence[Disturbance]
) -> Iterator[Finding]:
    """Each call but the last was refused, broke off, or lost its worker."""
    for call in calls:
        if caller_of(job, call, disturbances) is None:
            detail = f"call {call.n} ({call.outcome}) without a mark before it"
            yield Finding(promise="marked before it is paid", job_id=job.id, detail=detail)
    for call, following in pairwise(calls):
        if is_refused(call):
            continue
        until = following.started_at
        if excuse_for(job, call, until, disturbances, following=following) is None:
            gap = following.started_at - call.started_at
            detail = (
                f"call {call.n} of attempt {call.attempt} ({call.outcome}) was followed by"
                f" attempt {following.attempt} after {gap:.1f} s, and nothing had hit its worker"
            )
            yield Finding(promise="paid once", job_id=job.id, detail=detail)
    if len(calls) > job.max_attempts:
        detail = f"{len(calls)} calls, {job.max_attempts} at most"
        yield Finding(promise="bounded attempts", job_id=job.id, detail=detail)


def _moved(change: Change) -> Iterator[Finding]:
    """Check one change of a row against the transitions that there are."""
    before, after = change.before, change.after
    says = f"record {change.number}: {before.status if before else None} -> {after.status}"
    for promise, why in _broken_by(before, after, holder=change.worker_before):
        yield Finding(promise=promise, job_id=after.id, detail=f"{says}: {why}")


def _broken_by(before: Job | None, after: Job, *, holder: str) -> Iterator[tuple[str, str]]:
    if (before.status if before else None, after.status) not in LEGAL:
        yield "only legal transitions", "no such transition"
    if before is None:
        return
    if after.epoch < before.epoch:
        yield "the epoch never falls", f"{before.epoch} -> {after.epoch}"
    if (before.status, before.epoch) != (after.status, after.epoch):
        yield from _broken_by_move(before, after, holder=holder)
    elif after.seq != before.seq:
        yield "seq rises strictly", f"{before.seq} -> {after.seq} without a new state"


def _broken_by_move(before: Job, after: Job, *, holder: str) -> Iterator[tuple[str, str]]:
    by = after.timeline[-1].by if after.timeline else ""
    if after.seq <= before.seq:
        yield "seq rises strictly", f"{before.seq} -> {after.seq}"
    if before.status.is_terminal:
        yield "an end is an end", f"epoch {before.epoch} -> {after.epoch}"
    if after.status is RUNNING and after.updated_at and not is_claimable(before, after.updated_at):
        yield "one claim at a time", f"claimed by {by} before its time"
    is_settled = before.status is RUNNING and after.epoch == before.epoch
    if is_settled and by != holder:
        yield "only the holder settles", f"held by {holder}, settled by {by}"


def _watched(evidence: Evidence) -> Iterator[Finding]:
    for watcher, jobs in evidence.watched.items():
        sights = evidence.sights[watcher]
        told = {sight.job_id for sight in sights if sight.is_terminal}
        for job_id in sorted(jobs - told):
            yield Finding(
                promise="every watcher is told", job_id=job_id, detail=f"{watcher} saw no end"
            )
        yield from _in_order(watcher, sights)


def _in_order(watcher: str, sights: Sequence[Sight]) -> Iterator[Finding]:
    """Numbers rise on each connection, and after the end nothing comes that a client would show."""
    last: dict[tuple[int, str], int] = {}
    ended: dict[str, int] = {}
    for sight in sights:
        key = (sight.connection, sight.job_id)
        where = f"{watcher}, connection {sight.connection}: {sight.event} {sight.seq}"
        if sight.seq <= last.get(key, 0):
            detail = f"{where} after {last[key]}"
            yield Finding(promise="seq rises for watchers", job_id=sight.job_id, detail=detail)
        if sight.job_id in ended and sight.seq > ended[sight.job_id]:
            yield Finding(promise="the end comes last", job_id=sight.job_id, detail=where)
        last[key] = max(sight.seq, last.get(key, 0))
        if sight.is_terminal:
            ended[sight.job_id] = sight.seq


def _answered(evidence: Evidence) -> Iterator[Finding]:
    """A web process accepts, or says 503 while a part is away; the rest is a broken connection."""
    for answer, times in evidence.answers.items():
        status = answer.rpartition(" ")[2]
        if status.isdecimal() and status not in {"200", "202", "503"}:
            detail = f"{times} times {answer}"
            yield Finding(promise="a clear answer", job_id="-", detail=detail)


def _ended_by_themselves(evidence: Evidence) -> Iterator[Finding]:
    ended = Counter(
        life.name
        for life in evidence.lives
        if life.ended_at is not None and not life.was_ended_by_us
    )
    for name, times in ended.items():
        yield Finding(promise="processes outlive faults", job_id="-", detail=f"{name}: {times}x")
