"""A job that is too much for one call: divided, mapped, gathered and reduced, in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from jobs.claim import ClaimRefused
from jobs.divide import PARENT_OVER
from jobs.errors import JobNotFound, Unavailable
from jobs.events import EventType
from jobs.job import Inline, JobStatus, OnInterrupted, Usage
from jobs.prompt import Prompt
from jobs.results import get_own_job
from jobs.timeline import StepName
from tests.builders import LEASE, rejected, throttled
from tests.mill import LARGE, PAGES, REPORT, Mill
from tests.spans import Recorder

if TYPE_CHECKING:
    from jobs.model_ports import Invocation

A_WHILE = timedelta(seconds=31)


def test_documents_that_fit_are_one_call_with_their_pages_marked() -> None:
    mill = Mill(model=LARGE)

    job = mill.finish()

    [call] = mill.model.invocations
    assert job.status is JobStatus.COMPLETED
    assert job.division is None
    told = str(call.prompt.messages)
    assert all(f"[page {number}]" in told for number in range(1, PAGES + 1))


def test_documents_that_do_not_fit_become_parts_that_wait() -> None:
    mill = Mill()

    job = mill.divide()

    assert job.division is not None
    assert job.division.total == len(mill.part_rows) > 2
    assert {part.status for part in mill.part_rows} == {JobStatus.PENDING}
    assert mill.model.invocations == []


def test_parts_go_on_under_the_run_that_divided_their_job() -> None:
    seen, mill = Recorder(), Mill()
    mill.parts = replace(mill.parts, tracer=seen.tracer)

    mill.divide()

    [run] = seen.named_like("process")
    assert run.context is not None
    assert {part.trace.id for part in mill.part_rows} == {mill.job.trace.id}
    assert {part.trace.parent for part in mill.part_rows} == {f"{run.context.span_id:016x}"}
    assert (run.attributes or {})["longhaul.outcome"] == "divided"


def test_a_divided_job_is_running_and_nobody_holds_it() -> None:
    mill = Mill()

    job = mill.divide()

    assert (job.status, job.lease_until, job.attempt) == (JobStatus.RUNNING, None, 0)
    assert job.is_divided
    assert job.timeline[-1].name is StepName.DIVIDED


def test_the_parts_of_a_job_hold_all_its_pages_once() -> None:
    mill = Mill()
    mill.divide()
    mill.turn()

    told = "\n".join(call.prompt.text or "" for call in mill.model.invocations)

    assert [told.count(f"[page {number}]\n") for number in range(1, PAGES + 1)] == [1] * PAGES


def test_a_divided_job_ends_with_an_answer_about_all_parts() -> None:
    mill = Mill()

    job = mill.finish()

    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    assert isinstance(job.result.payload, Inline)
    for number in range(1, PAGES + 1):
        assert f"[page {number}]" in job.result.payload.text


def test_each_part_and_the_reduction_is_called_once() -> None:
    mill = Mill()

    job = mill.finish()

    assert [mill.calls_of(part.id) for part in mill.part_rows] == [1] * len(mill.part_rows)
    assert mill.calls_of(job.id) == 1
    assert job.attempt == 1


def test_the_usage_of_a_divided_job_is_the_sum_of_its_calls() -> None:
    mill = Mill()

    job = mill.finish()

    calls = len(mill.part_rows) + 1
    assert job.result is not None
    assert job.result.usage == Usage(input_tokens=100 * calls, output_tokens=10 * calls)


def test_watchers_are_told_of_each_part_and_the_numbers_have_no_holes() -> None:
    mill = Mill()
    job = mill.divide()
    total = len(mill.part_rows)

    mill.finish()

    told = mill.told()
    assert {event.job for event in told} == {job.id}
    progress = [event for event in told if event.type is EventType.PROGRESS]
    assert [(event.done, event.total) for event in progress] == [
        (done, total) for done in range(total + 1)
    ]
    assert [event.seq for event in progress] == list(
        range(progress[0].seq, progress[0].seq + total + 1)
    )
    assert told[0].seq + 1 == progress[0].seq
    assert [event.seq for event in told] == sorted({event.seq for event in told})


def test_the_timeline_says_when_a_job_was_divided_and_when_its_parts_were_done() -> None:
    mill = Mill()

    job = mill.finish()

    names = [step.name for step in job.timeline]
    assert names.count(StepName.DIVIDED) == names.count(StepName.GATHERED) == 1
    assert names.index(StepName.DIVIDED) < names.index(StepName.GATHERED)
    [gathered] = [step for step in job.timeline if step.name is StepName.GATHERED]
    assert gathered.detail == f"all {len(mill.part_rows)} parts are done"


def test_parts_are_not_shown_to_anyone() -> None:
    mill = Mill()
    job = mill.divide()

    with pytest.raises(JobNotFound):
        get_own_job(mill.part(1).id, job.user, mill.store)


def test_records_that_come_twice_note_each_part_once() -> None:
    mill = Mill()
    mill.divide()
    mill.turn()
    mill.read_again()

    job = mill.finish()

    assert job.status is JobStatus.COMPLETED
    assert mill.calls_of(job.id) == 1


def test_parts_that_the_feed_did_not_see_end_are_found_by_the_sweep() -> None:
    mill = Mill()
    mill.divide()
    for task in mill.feed():
        mill.run(task)
    mill.skip_records()

    mill.sweep_after(A_WHILE)

    assert mill.status == JobStatus.PENDING
    [task] = [task for task in mill.sweep_after(A_WHILE) if task.job_id == mill.job.id]
    mill.run(task)
    assert mill.status == JobStatus.COMPLETED


def test_parts_that_ended_before_their_job_was_divided_are_noted_at_once() -> None:
    mill = Mill()
    added: list[str] = []
    settle = mill.store.settle

    def run_a_part_first(claim: object, outcome: object) -> object:
        if not added:
            added.append("once")
            for task in mill.feed():
                mill.run(task)
        return settle(claim, outcome)  # type: ignore[arg-type] # passed on

    mill.store.settle = run_a_part_first  # type: ignore[method-assign, assignment] # a race
    mill.divide()

    assert mill.job.division is not None
    assert mill.job.division.done == len(mill.part_rows)
    assert mill.status == JobStatus.PENDING


def test_a_worker_that_dies_while_it_divides_costs_no_part_twice() -> None:
    mill = Mill()
    add = mill.store.add
    added: list[str] = []

    def die(job: object) -> None:
        if len(added) == 2:
            added.append("died")
            raise KeyboardInterrupt
        added.append("added")
        add(job)  # type: ignore[arg-type] # passed on

    mill.store.add = die  # type: ignore[method-assign] # a death
    [task] = mill.feed()
    with pytest.raises(KeyboardInterrupt):
        mill.run(task)
    mill.turn()  # two parts run, and end
    mill.clock.advance(LEASE + A_WHILE)
    mill.run(task)
    job = mill.finish()

    assert job.status is JobStatus.COMPLETED
    assert [mill.calls_of(part.id) for part in mill.part_rows] == [1] * len(mill.part_rows)


def test_a_reduction_that_is_throttled_is_tried_again_without_its_parts() -> None:
    mill = Mill()
    parent = mill.job.id
    throttles = iter([True])

    def throttle(call: Invocation) -> None:
        if call.job == parent and next(throttles, False):
            raise throttled()

    mill.model.before = throttle
    for _ in range(6):
        mill.turn()
    assert mill.status == JobStatus.PENDING_RETRY
    mill.clock.advance(timedelta(minutes=1))
    [task] = [task for task in mill.sweep_after(A_WHILE) if task.job_id == parent]
    mill.run(task)

    assert mill.status == JobStatus.COMPLETED
    assert mill.calls_of(parent) == 2
    assert len(mill.model.invocations) == len(mill.part_rows) + 2


def fail_part(mill: Mill, number: int) -> None:
    """Let the model refuse one part."""
    refused = mill.part(number).id

    def refuse(call: Invocation) -> None:
        if call.job == refused:
            raise rejected("Input is too long")

    mill.model.before = refuse


def test_a_part_that_fails_fails_its_job_and_says_which_pages() -> None:
    mill = Mill()
    mill.divide()
    fail_part(mill, 2)

    job = mill.finish()

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.code == "part_failed"
    assert f'of "{REPORT}"' in job.error.message
    assert job.error.message.startswith("part 2 of")
    assert "Input is too long" in job.error.message
    assert mill.events.told[-1].type is EventType.FAILED


def test_once_a_part_has_failed_the_others_are_not_paid_any_more() -> None:
    mill = Mill()
    mill.divide()
    fail_part(mill, 1)
    first, *others = mill.feed()

    mill.run(first)
    mill.feed()  # the job fails
    mill.feed()  # its parts are cancelled
    for task in others:
        assert isinstance(mill.run(task), ClaimRefused)

    assert {part.status for part in mill.part_rows[1:]} == {JobStatus.CANCELLED}
    assert len(mill.model.invocations) == 1


def test_a_redrive_pays_only_for_the_parts_that_were_not_done() -> None:
    mill = Mill()
    mill.divide()
    fail_part(mill, 2)
    mill.finish()
    for _ in range(3):
        mill.feed()
    mill.model.before = None
    mill.model.invocations.clear()
    done = [part.id for part in mill.part_rows if part.status is JobStatus.COMPLETED]

    mill.redrive()
    job = mill.finish()

    assert job.status is JobStatus.COMPLETED
    called = {call.job for call in mill.model.invocations}
    assert called == {part.id for part in mill.part_rows if part.id not in done} | {job.id}
    assert len(mill.model.invocations) == len(called)


def test_a_redrive_after_all_parts_are_done_pays_for_the_reduction_alone() -> None:
    mill = Mill()
    parent = mill.job.id

    def refuse(call: Invocation) -> None:
        if call.job == parent:
            raise rejected()

    mill.model.before = refuse
    assert mill.finish().status is JobStatus.FAILED
    mill.model.before = None
    mill.model.invocations.clear()

    mill.redrive()
    job = mill.finish()

    assert job.status is JobStatus.COMPLETED
    assert [call.job for call in mill.model.invocations] == [parent]


def test_a_cancel_ends_the_parts_and_tells_their_holders() -> None:
    mill = Mill()
    mill.divide()
    first, *_ = mill.feed()

    def cancel(_: Invocation) -> None:
        mill.cancel()
        mill.feed()

    mill.model.before = cancel
    with pytest.raises(Exception, match="has left epoch"):
        mill.run(first)

    assert mill.job.status is JobStatus.CANCELLED
    assert {part.status for part in mill.part_rows} == {JobStatus.CANCELLED}
    assert first.job_id in {fenced.job for fenced in mill.holders.told}
    assert len(mill.model.invocations) == 1


def test_a_part_whose_cancel_was_lost_ends_before_it_is_paid() -> None:
    mill = Mill()
    mill.divide()
    first, *_ = mill.feed()
    mill.cancel()

    part = mill.run(first)

    assert not isinstance(part, ClaimRefused)
    assert part.error is not None
    assert part.error.code == PARENT_OVER
    assert mill.model.invocations == []


def test_a_divided_job_expires_when_its_time_is_over_and_its_parts_end() -> None:
    mill = Mill(run_timeout=timedelta(seconds=20))
    mill.divide()
    tasks = mill.feed()

    mill.sweep_after(timedelta(seconds=21))
    mill.feed()

    assert mill.job.status is JobStatus.EXPIRED
    assert all(isinstance(mill.run(task), ClaimRefused) for task in tasks)


def test_a_divided_job_is_not_claimed_while_its_parts_run() -> None:
    mill = Mill()
    [task] = mill.feed()
    mill.run(task)
    mill.clock.advance(timedelta(hours=1))

    refused = mill.run(task)

    assert isinstance(refused, ClaimRefused)
    assert refused.status is JobStatus.RUNNING


def test_documents_that_nobody_can_read_end_the_job() -> None:
    mill = Mill()
    mill.reader.pages = {}

    job = mill.finish()

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("document_broken", False)


def test_documents_that_would_take_too_many_parts_end_the_job_unpaid() -> None:
    mill = Mill(most_parts=2)

    job = mill.finish()

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.code == "document_exceeds_context"
    assert mill.model.invocations == []


def test_a_part_may_not_be_paid_twice_where_its_job_may_not() -> None:
    mill = Mill(on_interrupted=OnInterrupted.FAIL)

    mill.divide()

    assert {part.on_interrupted for part in mill.part_rows} == {OnInterrupted.FAIL}


def test_a_conversation_is_asked_about_documents_too() -> None:
    asked = Prompt(messages=[{"role": "user", "content": [{"text": "What rose?"}]}])
    mill = Mill(prompt=Inline(text=asked.to_json()))

    assert mill.finish().status is JobStatus.COMPLETED

    for call in mill.model.invocations:
        assert call.prompt.messages is not None
        [message] = call.prompt.messages
        assert isinstance(message, dict)
        assert message["content"][1] == {"text": "What rose?"}


def test_a_store_that_is_away_makes_the_feed_read_its_records_again() -> None:
    mill = Mill()
    mill.divide()
    tasks = mill.feed()
    mill.run(tasks[0])
    note = mill.store.note_part

    def away(*_: object) -> object:
        raise Unavailable("store", "cannot be reached (test)")

    mill.store.note_part = away  # type: ignore[method-assign, assignment] # an outage
    with pytest.raises(Unavailable):
        mill.feed()
    mill.store.note_part = note  # type: ignore[method-assign]
    mill.feed()

    assert mill.job.division is not None
    assert mill.job.division.done == 1


def test_a_part_that_is_gone_is_planned_and_paid_again() -> None:
    mill = Mill()
    mill.divide()
    gone = mill.part(2).id
    del mill.store._jobs[gone]  # noqa: SLF001 - as DynamoDB deletes an item that expired

    mill.sweep_after(A_WHILE)
    job = mill.finish()

    assert job.status is JobStatus.COMPLETED
    assert mill.calls_of(gone) == 1


def test_a_plan_that_changed_leaves_no_part_of_the_old_one_to_be_paid() -> None:
    mill = Mill()
    mill.divide()
    waiting = mill.feed()
    del mill.store._jobs[mill.part(1).id]  # noqa: SLF001 - so that it is planned again
    mill.with_answers_of(tokens=500)
    mill.sweep_after(A_WHILE)
    mill.turn()

    old = [mill.run(task) for task in waiting]

    assert mill.model.invocations == []
    assert all(isinstance(one, ClaimRefused) or one.error is not None for one in old)
    assert mill.finish().status is JobStatus.COMPLETED


def test_parts_go_when_their_job_does() -> None:
    mill = Mill(retention=timedelta(minutes=1))
    job = mill.finish()
    mill.feed()

    assert job.ended_at is not None
    kept = {mill.store.kept_until[part.id] for part in mill.part_rows}
    assert kept == {job.ended_at + timedelta(minutes=1)}


def test_a_redrive_keeps_done_parts_until_its_end() -> None:
    mill = Mill(retention=timedelta(minutes=1))
    mill.divide()
    fail_part(mill, 2)
    mill.finish()
    mill.feed()
    mill.model.before = None

    mill.redrive()
    mill.turn()

    assert mill.store.kept_until[mill.part(1).id] is None
