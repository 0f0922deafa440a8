"""The spans of one claim's run: what a task that came is under, and what it is apart from.

A task whose claim is given goes on under the span that sent it. One whose claim is refused came
twice, or too late: it begins a trace of its own that links to the job's, which stays what it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.outcome import Expired, Failed, Retrying
from jobs.tracing import SpanKind, messaging

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.claim import Claim, ClaimRefused
    from jobs.outcome import Outcome
    from jobs.task import Task
    from jobs.tracing import Span, Tracer

_NAME = "process longhaul.run"


def begin_run(task: Task, claim: Claim, tracer: Tracer, *, at: datetime) -> Span:
    """Begin the span of a run that began `at`, with its claim."""
    row = claim.job.trace
    facts: dict[str, str | int | float | bool] = {
        **_facts(task),
        "longhaul.attempt": claim.attempt,
        "longhaul.epoch": claim.epoch,
    }
    if claim.job.part is not None:
        facts["longhaul.part_of"] = claim.job.part.job
    # Whoever can reach Redis can send any trace; the row's is the job's.
    parent = task.trace if task.trace.id == row.id else row
    span = tracer.begin(_NAME, SpanKind.CONSUMER, parent, facts=facts, at=at)
    span.note("job.claimed")
    return span


def under(span: Span, claim: Claim) -> Claim:
    """Let whatever comes of a claim go on under its span."""
    return replace(claim, job=replace(claim.job, trace=span.trace))


def note_refusal(task: Task, refused: ClaimRefused, tracer: Tracer, *, at: datetime) -> None:
    """Tell of a task that led to nothing."""
    facts = {**_facts(task), "longhaul.claim": "refused"}
    if refused.status is not None:
        facts["longhaul.job_status"] = refused.status
    tracer.begin_apart(_NAME, SpanKind.CONSUMER, task.trace, facts=facts, at=at).end()


def tell_outcome(span: Span, outcome: Outcome) -> None:
    """Tell how a run ended, and of a retry after what wait."""
    span.tell({"longhaul.outcome": type(outcome).__name__.lower()})
    match outcome:
        case Failed(error=error):
            span.fail(error.code)
        case Expired(error=error):
            span.tell({"longhaul.reason": error.code})
        case Retrying(error=error):
            delay = outcome.delay.total_seconds()
            span.note("job.retrying", {"error.type": error.code, "longhaul.delay_seconds": delay})


def _facts(task: Task) -> dict[str, str]:
    return messaging("process", "longhaul.run", task.job_id)
