"""Divide: let a job whose documents are too much for one call run as parts, and reduce them.

Map: each part is a row of its own, with a prompt about its pages. The claim that adds them ends,
so that it holds no slot that they may need. Reduce: the next claim of the job finds all parts done
(jobs/gather.py) and makes the last call, about their answers.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from jobs import seq
from jobs.division import Division, PartOf
from jobs.due import first_due_at
from jobs.errors import DocumentRefused, JobMoved, JobNotFound, NoResult
from jobs.job import Inline, Job, JobError, JobStatus, ObjectKey, Stored, Usage
from jobs.outcome import Divided, Failed, Redriven
from jobs.part_prompts import PartAnswer, about_part
from jobs.plan import part_id
from jobs.timeline import Step, StepName

if TYPE_CHECKING:
    from jobs.plan import Plan, PlannedPart
    from jobs.prompt import Prompt
    from jobs.running import Run

PARENT_OVER = "parent_over"  # the error code of a part that nobody needs any more


def divide(run: Run, question: Prompt, plan: Plan) -> Divided:
    """Add the parts, those that are not there, and let those run again that ended without answer.

    The row says how it is divided before any part may be paid: whoever ends the job ends them.
    """
    division = Division(plan=plan.id, total=len(plan.parts))
    run.lease.check()
    run.patiently(
        lambda: run.parts.store.mark_divided(run.claim, division), waiting="division_waits"
    )
    for part in plan.parts:
        run.lease.check()
        run.patiently(partial(_ensure, run, question, plan, part), waiting="division_waits")
    divided = run.step(StepName.DIVIDED, detail=f"into {division.total} parts")
    return Divided(
        at=divided.at,
        seq=run.narrator.take_seq(),
        total=division.total,
        steps=(*run.steps, divided),
    )


def gathered_parts(run: Run) -> tuple[Job, ...]:
    """Give the rows of a divided job's parts in order; none where not all of them are done."""
    job = run.claim.job
    if run.gathered or job.division is None or not job.division.is_whole:
        return run.gathered
    plan, total = job.division.plan, job.division.total
    rows: list[Job] = []
    with suppress(JobNotFound):  # then it is planned again
        for number in range(1, total + 1):
            look = partial(run.parts.store.get, part_id(job.id, plan, number))
            rows.append(run.patiently(look, waiting="parts_wait"))
    if len(rows) == total and all(row.status is JobStatus.COMPLETED for row in rows):
        run.gathered = tuple(rows)
    return run.gathered


def answers_of_parts(run: Run) -> list[PartAnswer]:
    """Give what a divided job's parts have answered, in order; none where not all are done."""
    return [_answer_of(run, row) for row in gathered_parts(run)]


def spent_on_parts(run: Run) -> Usage | None:
    """Say what a divided job's parts have cost, as far as it is known; None for any other job."""
    usages = [row.result.usage for row in gathered_parts(run) if row.result is not None]
    known = [usage for usage in usages if usage is not None]
    if not known:
        return None
    return Usage(
        input_tokens=sum(usage.input_tokens for usage in known),
        output_tokens=sum(usage.output_tokens for usage in known),
    )


def over_with_its_job(run: Run) -> Failed | None:
    """Decide whether a part is over before its call because its job does not need it any more."""
    part = run.claim.job.part
    if part is None:
        return None
    try:
        job = run.patiently(lambda: run.parts.store.get(part.job), waiting="parts_wait")
    except JobNotFound:
        job = None
    if job is not None and _needs(job, part):
        return None
    error = JobError(code=PARENT_OVER, message="its job is over", retryable=True)
    step = run.step(StepName.FAILED, error=error.code)
    return Failed(at=step.at, seq=run.narrator.take_seq(), error=error, steps=(*run.steps, step))


def _needs(job: Job, part: PartOf) -> bool:
    is_of_its_plan = job.division is None or job.division.plan == part.plan
    return is_of_its_plan and not job.status.is_terminal


def _answer_of(run: Run, row: Job) -> PartAnswer:
    assert row.part is not None  # noqa: S101 - what was gathered are parts with results
    assert row.result is not None  # noqa: S101 - the same
    payload = row.result.payload
    if isinstance(payload, Inline):
        return PartAnswer(pages=row.part.pages, text=payload.text)
    key = payload.key
    try:
        text = run.patiently(lambda: run.parts.objects.get(key), waiting="parts_wait")
    except NoResult as error:
        gone = f"the answer about {row.part.pages} is no longer stored; submit the job again"
        raise DocumentRefused(gone, reason="part_gone") from error
    return PartAnswer(pages=row.part.pages, text=text)


def _ensure(run: Run, question: Prompt, plan: Plan, planned: PlannedPart) -> None:
    """See to it that a part is there, and runs or has its answer. Raises Unavailable."""
    store, job = run.parts.store, run.claim.job
    this = part_id(job.id, plan.id, planned.number)
    try:
        row = store.get(this)
    except JobNotFound:
        row = None
    if row is not None and (not row.status.is_terminal or row.status is JobStatus.COMPLETED):
        if job.retention is not None and row.status.is_terminal:
            store.keep_until(this, None)  # an earlier end of its job has said when it goes
        return
    text = about_part(question, planned, plan).to_json()
    prompt = Stored(key=ObjectKey(f"prompts/{this}.json"), size=Inline(text=text).size)
    run.parts.objects.put(prompt.key, text, content_type="application/json")
    if row is None:
        store.add(_new_part(run, plan, planned, prompt))
    else:
        with suppress(JobMoved):  # another claimant was faster
            store.change(row, _again(run, row))


def _new_part(run: Run, plan: Plan, planned: PlannedPart, prompt: Stored) -> Job:
    """Make a part's row; but for its times it follows from its job's, so adding twice is once."""
    job, now = run.claim.job, run.parts.clock.now()
    part = Job(
        id=part_id(job.id, plan.id, planned.number),
        user=job.user,
        status=JobStatus.PENDING,
        model=job.model,
        prompt=prompt,
        created_at=job.created_at,
        updated_at=now,
        queued_at=now,
        trace=job.trace,
        max_attempts=run.parts.policy.max_calls,
        inference=replace(job.inference, max_tokens=plan.answer_tokens, stop_sequences=()),
        on_interrupted=job.on_interrupted,
        part=PartOf(
            job=job.id,
            plan=plan.id,
            number=planned.number,
            total=len(plan.parts),
            pages=planned.pages,
        ),
        timeline=(Step(name=StepName.WRITTEN, at=now, by=run.parts.worker),),
    )
    return replace(part, due_at=first_due_at(part))


def _again(run: Run, row: Job) -> Redriven:
    now = run.parts.clock.now()
    return Redriven(
        at=now,
        seq=seq.next_first(row.epoch),
        max_attempts=row.attempt + run.parts.policy.max_calls,
        steps=(Step(name=StepName.REDRIVEN, at=now, by=run.parts.worker),),
    )
