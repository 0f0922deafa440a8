"""Run: the whole life of one claim. Claim, prepare, invoke, collect, store, settle, announce."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jobs.add_documents import add_documents
from jobs.answer import PaidAnswer
from jobs.claim import ClaimRefused, ClaimTerms
from jobs.conclude import (
    break_off,
    complete,
    fail_ourselves,
    over_before_the_call,
    retry_or_fail,
    stop,
)
from jobs.divide import over_with_its_job, spent_on_parts
from jobs.errors import (
    ClaimLost,
    DeadlinePassed,
    DocumentRefused,
    HandedOver,
    ModelError,
    NoResult,
    Unavailable,
)
from jobs.gather import GatherParts, gather_all
from jobs.job import ClaimToken, Inline, ObjectKey, Stored
from jobs.model_ports import Invocation
from jobs.outcome import Divided, settled_at
from jobs.patience import patiently
from jobs.prompt import Prompt
from jobs.recover import recover
from jobs.run_span import begin_run, note_refusal, tell_outcome, under
from jobs.running import Run
from jobs.sketch import sketch
from jobs.timeline import Step, StepName
from jobs.told import described, waited

if TYPE_CHECKING:
    from jobs.claim import Claim
    from jobs.job import Job, Payload
    from jobs.outcome import Outcome
    from jobs.running import RunParts
    from jobs.task import Task
    from jobs.tracing import Span


def run_job(task: Task, parts: RunParts) -> Job | ClaimRefused:
    """Run the job that a task points at, if it is there to be claimed.

    Gives the row as it was settled, or why there was no claim. Raises ClaimLost where another
    took the job meanwhile; then nothing more was paid, and nothing written but what had come of a
    job that was cancelled. Raises Unavailable where the store could not be reached; then the claim
    lapses and the job is found again.
    """
    began = parts.clock.now()
    claim = claim_job(task, parts)
    if isinstance(claim, ClaimRefused):
        note_refusal(task, claim, parts.tracer, at=began)
        return claim
    with begin_run(task, claim, parts.tracer, at=began) as span:
        return run_claim(under(span, claim), span, parts)


def run_claim(claim: Claim, span: Span, parts: RunParts) -> Job:
    """Run the job under its claim to an outcome that is written and told."""
    with parts.leases.keep(claim) as lease:
        run = Run(claim=claim, lease=lease, parts=parts)
        try:
            outcome = attempt(run)
            job = settle(run, outcome)
        except ClaimLost:
            keep_partial(run)
            raise
        finally:
            parts.at_risk.discard(claim.token)
    tell_outcome(span, outcome)
    run.narrator.announce(outcome)
    run.let_go()
    if isinstance(outcome, Divided):
        look_at_parts(run, job)
    return job


def claim_job(task: Task, parts: RunParts) -> Claim | ClaimRefused:
    """Ask the store for the job; of all who ask, one gets it."""
    now = parts.clock.now()
    terms = ClaimTerms(
        worker=parts.worker,
        token=ClaimToken(parts.chance.entropy(16).hex()),
        at=now,
        lease=parts.lease,
        steps=(
            Step(name=StepName.SEEN, at=task.seen_at, by=task.by),
            Step(name=StepName.ENQUEUED, at=task.enqueued_at, by=task.by),
            Step(name=StepName.CLAIMED, at=now, by=parts.worker),
        ),
    )
    keys = {"job_id": task.job_id, "trace_id": task.trace.id}
    # With the same terms: a claim that was given, and whose answer was lost, is given again.
    claim = patiently(
        lambda: parts.store.claim(task.job_id, terms),
        clock=parts.clock,
        patience=parts.lease / 2,
        waiting=lambda error: parts.log.warning("claim_waits", reason=str(error), **keys),
    )
    if isinstance(claim, ClaimRefused):
        parts.log.info("claim_refused", status=claim.status, **keys)
    else:
        parts.log.info(
            "job_claimed",
            attempt=claim.attempt,
            epoch=claim.epoch,
            **keys,
            **waited(claim.job, terms.at),
        )
    return claim


def attempt(run: Run) -> Outcome:
    """Take the job as far as one claim can, whatever breaks, and say how that ended."""
    run.narrator.tell_started()
    try:
        return advance(run)
    except ModelError as error:
        return retry_or_fail(run, error)
    except (DeadlinePassed, DocumentRefused, HandedOver) as error:
        return stop(run, error)
    except (ClaimLost, Unavailable):
        raise
    except Exception as error:  # noqa: BLE001 - whatever breaks, the job ends
        return fail_ourselves(run, error)


def advance(run: Run) -> Outcome:
    """Call the model once, unless its answer is there, the job is over, or too much for one call.

    Raises what attempt knows to end.
    """
    if (answer := recover(run)) is None:
        if (over := over_before_the_call(run) or over_with_its_job(run)) is not None:
            return over
        asked = prepare(run)
        if isinstance(asked, Divided):
            return asked
        answer = collect(run, asked)
    result, raw = store_result(run, answer.text), store_raw(run)
    return complete(run, answer, result, raw, before=spent_on_parts(run))


def prepare(run: Run) -> Invocation | Divided:
    """Gather what is asked of the model: the prompt, with the job's documents in it.

    Where that is too much for one call, the job is divided.
    """
    job = run.claim.job
    prompt = add_documents(run, read_prompt(run))
    if isinstance(prompt, Divided):
        return prompt
    return Invocation(
        job=job.id,
        attempt=job.attempt,
        model=job.model,
        prompt=prompt,
        inference=job.inference,
        trace=job.trace,
    )


def read_prompt(run: Run) -> Prompt:
    """Read the prompt from the row, or from where the row says that it is."""
    match run.claim.job.prompt:
        case Inline(text=text):
            return Prompt.from_json(text)
        case Stored() as stored:
            text = run.patiently(lambda: _load_prompt(run, stored), waiting="prompt_waits")
            return Prompt.from_json(text)


def _load_prompt(run: Run, prompt: Stored) -> str:
    try:
        return run.parts.objects.get(prompt.key)
    except NoResult as error:
        gone = "the prompt is no longer stored; submit the job again"
        raise ModelError(
            gone, name="Longhaul.PromptGone", error_code="prompt_gone", retryable=False
        ) from error


def collect(run: Run, invocation: Invocation) -> PaidAnswer:
    """Invoke the model and take its whole text, telling watchers as it comes."""
    run.lease.check()
    run.mark_invoked()
    with run.parts.model.invoke(invocation) as answering:
        run.has_stream = True
        run.lease.on_end(answering.close)
        try:
            answering.read(run.take_in)
        except ModelError:
            run.lease.check()  # it may have been broken off from our side
            raise
    run.narrator.flush()
    answer = PaidAnswer(
        job=invocation.job,
        attempt=invocation.attempt,
        text=run.text_so_far,
        usage=answering.usage,
        stop_reason=answering.stop_reason,
        raw=answering.raw,
        trace_id=invocation.trace.id,
    )
    run.hold(answer)
    return answer


def store_result(run: Run, text: str) -> Payload:
    """Place the text in the row, or under a key that no other attempt can write."""
    room = run.parts.inline_result_bytes
    return _place(run, text, suffix="txt", content_type="text/plain; charset=utf-8", room=room)


def store_raw(run: Run) -> Payload | None:
    """Place the answer's own JSON beside its text, where the answer is whole and has one.

    In the row the two together have the room of one result: the row has 400 KB in all.
    """
    if (answer := run.answer) is None or answer.raw is None:
        return None
    room = run.parts.inline_result_bytes - Inline(text=answer.text).size
    return _place(run, answer.raw, suffix="json", content_type="application/json", room=room)


def _place(run: Run, text: str, *, suffix: str, content_type: str, room: int) -> Payload:
    inline = Inline(text=text)
    if (size := inline.size) <= room:
        return inline
    claim = run.claim
    key = ObjectKey(f"results/{claim.job_id}/{claim.epoch}-{claim.attempt}.{suffix}")
    run.placed.append(key)
    with run.span("job.store", {"longhaul.bytes": size}):
        run.patiently(
            lambda: run.parts.objects.put(key, text, content_type=content_type),
            waiting="result_waits",
        )
    run.note(StepName.STORED)
    return Stored(key=key, size=size)


def settle(run: Run, outcome: Outcome) -> Job:
    """Write the outcome; wait for a store that is away rather than lose what was paid for.

    What was told of the job is out before: whoever reads of its end can read all that led to it.
    """
    run.parts.events.flush()
    with run.span("job.settle"):
        job = run.patiently(partial(_settle_now, run, outcome), waiting="settle_waits")
    run.parts.log.info("job_settled", **{**described(job), **run.spent, **run.keys})
    return job


def _settle_now(run: Run, outcome: Outcome) -> Job:
    """Write the outcome, and with it when: the model may have ended long before."""
    return run.parts.store.settle(run.claim, settled_at(outcome, run.parts.clock.now()))


def look_at_parts(run: Run, job: Job) -> None:
    """Note the parts that ended before their job was divided; the sweep would as well, later."""
    parts = run.parts
    gathering = GatherParts(
        store=parts.store,
        events=parts.events,
        clock=parts.clock,
        log=parts.log,
        process=parts.worker,
    )
    try:
        gather_all(job, gathering)
    except Exception as error:  # noqa: BLE001 - the job is divided, whatever breaks here
        parts.log.warning("parts_not_looked_at", reason=sketch(error), **run.keys)


def keep_partial(run: Run) -> None:
    """Let the row of a job that was cancelled show what had come of its call; never raises."""
    if not run.has_stream and run.answer is None:
        return
    keep = run.parts.store.keep_partial
    try:
        partial = break_off(run, store_result(run, run.text_so_far), store_raw(run))
        run.patiently(lambda: keep(run.claim, partial), waiting="partial_waits")
    except ClaimLost:
        # It was not cancelled, or was redriven or deleted since: what had come is void.
        take_back(run)
        return
    except Exception as error:  # noqa: BLE001 - a claim that is lost is lost, whatever breaks here
        run.parts.log.warning("partial_not_kept", reason=sketch(error), **run.keys)
        return
    run.parts.log.info("partial_kept", characters=len(run.text_so_far), **run.spent, **run.keys)
    run.let_go()


def take_back(run: Run) -> None:
    """Remove what this run has put in the object store and no row names; never raises."""
    for key in run.placed:
        try:
            run.parts.objects.delete(key)
        except Exception as error:  # noqa: BLE001 - it goes when its time is over
            run.parts.log.info("result_not_taken_back", reason=sketch(error), **run.keys)
