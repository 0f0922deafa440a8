"""Conclude: what an attempt's end means for its job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.errors import DeadlinePassed, DocumentRefused, HandedOver
from jobs.expire import expiry_of, run_timeout
from jobs.job import JobError, OnInterrupted, Result, Usage
from jobs.outcome import Completed, Expired, Failed, Partial, Retrying
from jobs.retry import RetryAfter
from jobs.sketch import sketch
from jobs.timeline import StepName
from jobs.times import written_time

if TYPE_CHECKING:
    from jobs.answer import PaidAnswer
    from jobs.errors import ModelError
    from jobs.job import Payload
    from jobs.outcome import Outcome
    from jobs.running import Run

_LONGEST_MESSAGE = 2_000  # characters of a model's error that go into row and event


def complete(
    run: Run,
    answer: PaidAnswer,
    payload: Payload,
    raw: Payload | None = None,
    *,
    before: Usage | None = None,
) -> Completed:
    """Make the outcome of an answer that is where it stays; `before` was spent on its parts."""
    done = run.step(StepName.COMPLETED)
    return Completed(
        at=done.at,
        seq=run.narrator.take_seq(),
        result=_result(payload, answer, raw, before=before),
        steps=(*run.steps, done),
    )


def break_off(run: Run, payload: Payload, raw: Payload | None = None) -> Partial:
    """Make what a cancelled job is to show: what had come, and what is known of its price.

    Bedrock tells the tokens with its last word only; of a call without one nobody knows them.
    """
    kept = run.step(StepName.PARTIAL_KEPT, detail=_price_so_far(run))
    result = _result(payload, run.answer, raw)
    return Partial(at=kept.at, result=result, steps=(*run.steps, kept))


def retry_or_fail(run: Run, error: ModelError) -> Retrying | Failed:
    """Decide what follows an error: the policy speaks, the bound on calls has the last word."""
    reason = JobError(
        code=error.error_code, message=str(error)[:_LONGEST_MESSAGE], retryable=error.retryable
    )
    if error.may_be_paid:
        run.note(StepName.INTERRUPTED, detail="the call gave no answer; it may have been paid")
    decision = run.parts.policy.after(
        error, counts=run.claim.job.retry_counts, jitter=run.parts.chance.jitter()
    )
    if isinstance(decision, RetryAfter) and run.may_call_again:
        return _retry(run, reason, decision)
    return _fail(run, reason)


def over_before_the_call(run: Run) -> Outcome | None:
    """Decide whether the job is over before its call: interrupted, out of attempts or of time."""
    job, interrupted_at = run.claim.job, run.claim.interrupted_at
    if interrupted_at is not None:
        begun = f"the call begun at {written_time(interrupted_at)} may have been paid"
        run.note(StepName.INTERRUPTED, detail=begun)
        if job.on_interrupted is OnInterrupted.FAIL:
            return interrupt(run)
    if (error := expiry_of(job, run.parts.clock.now())) is not None:
        return _expire(run, error)
    return None if run.may_call else exhaust(run)


def interrupt(run: Run) -> Failed:
    """Make the outcome of a job that nobody may pay for twice."""
    unknown = "its worker went away in mid-call; nobody knows whether the call was paid"
    return _fail(run, JobError(code="interrupted", message=unknown, retryable=True))


def stop(run: Run, error: DeadlinePassed | DocumentRefused | HandedOver) -> Outcome:
    """Make the outcome of a run that may not go on, although no model failed."""
    match error:
        case DeadlinePassed():
            return expire(run)
        case DocumentRefused():
            return refuse(run, error)
        case HandedOver():
            return hand_over(run)


def expire(run: Run) -> Expired:
    """Make the outcome of a job whose time to finish is over."""
    return _expire(run, run_timeout(run.claim.job))


def _expire(run: Run, error: JobError) -> Expired:
    step = run.step(StepName.EXPIRED, error=error.code)
    return Expired(at=step.at, seq=run.narrator.take_seq(), error=error, steps=(*run.steps, step))


def hand_over(run: Run) -> Retrying | Failed:
    """Release the claim at once, because this worker drains.

    A call that was begun counts and may have been paid; one that was not costs no attempt.
    """
    if run.has_invoked:
        run.note(StepName.INTERRUPTED, detail="the worker drains; the call may have been paid")
        if run.claim.job.on_interrupted is OnInterrupted.FAIL:
            return interrupt(run)
        if not run.may_call_again:
            return exhaust(run)
    reason = JobError(code="interrupted", message="its worker was shut down", retryable=True)
    at_once = RetryAfter(delay=timedelta(0), counts=run.claim.job.retry_counts)
    return _retry(run, reason, at_once, gives_back=not run.has_invoked)


def exhaust(run: Run) -> Failed:
    """Make the outcome of a job whose calls all ended without one."""
    spent = f"{run.claim.job.max_attempts} attempts ended without an outcome"
    return _fail(run, JobError(code="attempts_exhausted", message=spent, retryable=True))


def refuse(run: Run, error: DocumentRefused) -> Failed:
    """Make the outcome of a job whose documents cannot be read; no call was made."""
    message = str(error)[:_LONGEST_MESSAGE]
    return _fail(run, JobError(code=error.reason, message=message, retryable=False))


def fail_ourselves(run: Run, error: Exception) -> Failed:
    """Make the outcome of our own fault: the log has the cause, the caller can redrive."""
    run.parts.log.warning("attempt_broke", error=sketch(error), **run.keys)
    return _fail(
        run, JobError(code="internal_error", message="Longhaul itself failed", retryable=True)
    )


def _result(
    payload: Payload,
    answer: PaidAnswer | None,
    raw: Payload | None,
    *,
    before: Usage | None = None,
) -> Result:
    """Make a result with all that is known; without the whole answer that is its text alone."""
    if answer is None:
        return Result(payload=payload, usage=None, stop_reason=None)
    usage = None
    if answer.usage is not None:
        spent = (before.input_tokens, before.output_tokens) if before else (0, 0)
        usage = Usage(
            input_tokens=spent[0] + answer.usage[0], output_tokens=spent[1] + answer.usage[1]
        )
    return Result(
        payload=payload,
        usage=usage,
        stop_reason=answer.stop_reason,
        raw=raw,
    )


def _price_so_far(run: Run) -> str:
    if run.answer is not None:
        return "the whole answer had come; it is paid for"
    if not run.came:
        return "the call was broken off before any text came; its input may be paid for"
    characters = len(run.text_so_far)
    return f"the call was broken off after {characters} characters; it is paid for up to there"


def _retry(
    run: Run, reason: JobError, decision: RetryAfter, *, gives_back: bool = False
) -> Retrying:
    wait = f"again in {decision.delay.total_seconds():g} s"
    step = run.step(StepName.RETRYING, error=reason.code, detail=wait)
    step = replace(step, until=step.at + decision.delay)
    return Retrying(
        at=step.at,
        seq=run.narrator.take_seq(),
        error=reason,
        delay=decision.delay,
        retry_counts=decision.counts,
        steps=(*run.steps, step),
        gives_back=gives_back,
    )


def _fail(run: Run, reason: JobError) -> Failed:
    step = run.step(StepName.FAILED, error=reason.code)
    return Failed(at=step.at, seq=run.narrator.take_seq(), error=reason, steps=(*run.steps, step))
