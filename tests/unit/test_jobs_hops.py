"""Hops: the row's steps with the deliveries' woven in."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from jobs.announce import announcement_of
from jobs.delivery import SCHEDULE, TRY_LEASE, Answered, Delivery, after_try, replayed
from jobs.hops import MOST_DELIVERY_HOPS, hops_of, may_have_been_told
from jobs.job import JobStatus
from jobs.receiver import DeliveryKind, Receiver
from jobs.timeline import Step, StepName
from tests.builders import NOW, a_job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.hops import Hop
    from jobs.job import Job

URL = "https://receiver.example/hook"
WORKER = "worker@test:1"


def later(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def a_step(name: StepName, seconds: float, **changes: Any) -> Step:  # noqa: ANN401 - its fields
    step = Step(name=name, at=NOW + later(seconds), by=WORKER, attempt=1)
    return replace(step, **changes)


ROW = (
    a_step(StepName.ACCEPTED, 0, attempt=None, by="web@test:1"),
    a_step(StepName.CLAIMED, 1),
    a_step(StepName.INVOKED, 2),
    a_step(StepName.RETRYING, 5, error="model_throttled", until=NOW + later(8)),
    a_step(StepName.INVOKED, 9, attempt=2),
    a_step(StepName.COMPLETED, 19, attempt=2),
)


def an_ended_job(steps: Sequence[Step] = ROW) -> Job:
    return replace(
        a_job(),
        status=JobStatus.COMPLETED,
        timeline=tuple(steps),
        ended_at=steps[-1].at,
        webhook=URL,
        also_tell=(Receiver(kind=DeliveryKind.EVENTBRIDGE),),
    )


def deliveries_of(job: Job, *, made: float = 20) -> list[Delivery]:
    announcement = announcement_of(job)
    assert announcement is not None
    event = replace(announcement.event, at=job.ended_at or NOW)
    return [
        Delivery.of(event, receiver, now=NOW + later(made), by="feed@test:1")
        for receiver in announcement.receivers
    ]


def tried(delivery: Delivery, answered: Answered, *, began: float, took: float = 1) -> Delivery:
    return after_try(
        replace(delivery, tries=delivery.tries + 1),
        answered,
        began=NOW + later(began),
        now=NOW + later(began + took),
        schedule=SCHEDULE,
        by=WORKER,
    )


def names(hops: Sequence[Hop]) -> list[str]:
    return [hop.step.name for hop in hops]


def test_each_hop_says_how_long_after_the_one_before_it_came() -> None:
    hops = hops_of(an_ended_job(), ())

    assert [hop.step for hop in hops] == list(ROW)
    assert [hop.after.total_seconds() for hop in hops] == [0, 1, 1, 3, 4, 10]
    assert hops[3].step.until == NOW + later(8)


def test_the_end_of_a_call_says_how_long_the_call_took() -> None:
    took = {hop.step.name: hop.took for hop in hops_of(an_ended_job(), ()) if hop.took}

    assert took == {StepName.RETRYING: later(3), StepName.COMPLETED: later(10)}


def test_an_end_without_a_call_took_none() -> None:
    job = an_ended_job([*ROW[:2], a_step(StepName.FAILED, 3)])

    assert [hop.took for hop in hops_of(job, ())] == [None, None, None]


CANCELLED_ROW = (
    a_step(StepName.ACCEPTED, 0, attempt=None, by="web@test:1"),
    a_step(StepName.CLAIMED, 1),
    a_step(StepName.INVOKED, 2),
    a_step(StepName.CANCELLED, 5, attempt=None, by="web@test:1"),
    a_step(StepName.FIRST_TOKEN, 3),
    a_step(StepName.PARTIAL_KEPT, 6),
    a_step(StepName.REDRIVEN, 9, attempt=None, by="web@test:1"),
)


def test_what_a_worker_noted_after_a_cancel_stands_where_it_happened() -> None:
    hops = hops_of(an_ended_job(CANCELLED_ROW), ())

    assert names(hops)[2:] == ["invoked", "first_token", "cancelled", "partial_kept", "redriven"]
    assert [hop.after.total_seconds() for hop in hops][2:] == [1, 1, 2, 1, 3]
    assert hops[5].took == later(4)


def test_clocks_that_differ_turn_no_cause_around() -> None:
    late = (
        a_step(StepName.ACCEPTED, 0, attempt=None, by="web@test:1"),
        a_step(StepName.CLAIMED, 2),  # the worker's clock is ahead of the web's
        a_step(StepName.INVOKED, 3),
        a_step(StepName.CANCELLED, 1, attempt=None, by="web@test:1"),
        a_step(StepName.REDRIVEN, 0.5, attempt=None, by="web@test:2"),
        a_step(StepName.CLAIMED, 0.75, attempt=2, by="worker@test:2"),
    )

    assert [hop.step for hop in hops_of(an_ended_job(late), ())] == list(late)


WAITED_ROW = (
    a_step(StepName.ACCEPTED, 0, attempt=None, by="web@test:1"),
    a_step(StepName.WRITTEN, 0.001, attempt=None, by="web@test:1"),
    a_step(StepName.SWEPT, 35.064, attempt=None, by="feed@test:1"),
    a_step(StepName.SWEPT, 67.876, attempt=None, by="feed@test:1"),
    a_step(StepName.SEEN, 0.048, attempt=None, by="feed@test:1"),
    a_step(StepName.ENQUEUED, 0.048, attempt=None, by="feed@test:1"),
    a_step(StepName.CLAIMED, 116.7, attempt=None),
)


def test_a_task_that_waited_while_the_sweep_looked_stands_where_it_was_made() -> None:
    hops = hops_of(an_ended_job(WAITED_ROW), ())

    assert names(hops) == [
        *("accepted", "written", "seen", "enqueued", "swept", "swept", "claimed"),
    ]
    assert [hop.step.at for hop in hops] == sorted(hop.step.at for hop in hops)
    assert sum((hop.after for hop in hops), timedelta(0)) == later(116.7)


def test_a_task_that_outlived_a_cancel_stands_before_it() -> None:
    row = (
        *WAITED_ROW[:2],
        a_step(StepName.CANCELLED, 10, attempt=None, by="web@test:1"),
        a_step(StepName.REDRIVEN, 20, attempt=None, by="web@test:1"),
        *WAITED_ROW[4:],
    )

    hops = hops_of(an_ended_job(row), ())

    assert names(hops)[2:] == ["seen", "enqueued", "cancelled", "redriven", "claimed"]


@pytest.mark.parametrize("behind", [0.01, 0.9, 30])
def test_a_feed_whose_clock_is_behind_has_seen_no_job_before_it_was_written(behind: float) -> None:
    row = (
        *WAITED_ROW[:2],
        *(replace(step, at=step.at - later(behind)) for step in WAITED_ROW[4:6]),
        a_step(StepName.CLAIMED, 1),
    )

    hops = hops_of(an_ended_job(row), ())

    assert [hop.step for hop in hops] == list(row)
    assert all(hop.after >= timedelta(0) for hop in hops)


def test_a_little_skew_turns_no_retry_around() -> None:
    row = (
        *WAITED_ROW[:2],
        a_step(StepName.CLAIMED, 1),
        a_step(StepName.RETRYING, 2),
        a_step(StepName.SEEN, 1.5, attempt=None, by="feed@test:1"),
        a_step(StepName.ENQUEUED, 1.5, attempt=None, by="feed@test:1"),
        a_step(StepName.CLAIMED, 2.5),
    )

    assert [hop.step for hop in hops_of(an_ended_job(row), ())] == list(row)


def test_an_end_that_waited_for_the_store_tells_when_it_was_known_and_when_settled() -> None:
    row = (
        *ROW[:-1],
        a_step(StepName.SWEPT, 100, attempt=None, by="feed@test:1"),
        a_step(StepName.COMPLETED, 19, attempt=2, settled_at=NOW + later(338)),
    )
    job = replace(an_ended_job(row), ended_at=NOW + later(19))
    told = tried(deliveries_of(job, made=337.9)[0], Answered(status=204), began=339)

    hops = hops_of(job, [told])

    assert names(hops)[-5:] == ["completed", "swept", "settled", "announced", "delivered"]
    completed, _, settled, announced, _ = hops[-5:]
    assert (completed.step.at, completed.took) == (NOW + later(19), later(10))
    assert (settled.step.at, settled.took) == (NOW + later(338), later(319))
    assert (settled.step.by, settled.step.attempt) == (WORKER, 2)
    assert announced.after == timedelta(0)


def test_a_delivery_is_announced_then_tried_until_it_is_told() -> None:
    job = an_ended_job()
    hook, _ = deliveries_of(job)
    hook = tried(hook, Answered(status=500), began=21)
    hook = tried(hook, Answered(error="timeout"), began=27, took=15)
    hook = tried(hook, Answered(status=204), began=342)

    hops = hops_of(job, [hook])[len(ROW) :]

    assert names(hops) == ["announced", "delivery_failed", "delivery_failed", "delivered"]
    announced, refused, silent, told = hops
    assert (announced.step.by, announced.step.at) == ("feed@test:1", NOW + later(20))
    assert (refused.step.error, refused.step.by) == ("http_500", WORKER)
    assert (refused.step.at, refused.took) == (NOW + later(22), later(1))
    assert refused.step.until == NOW + later(27), "the next try's time, seen from afterwards"
    assert (silent.step.error, silent.took) == ("timeout", later(15))
    assert (told.step.error, told.step.until) == (None, None)
    assert [hop.told and hop.told.number for hop in hops] == [None, 1, 2, 3]
    assert [hop.told and hop.told.status for hop in hops] == [None, 500, None, 204]


def test_a_delivery_that_waits_says_until_when() -> None:
    job = an_ended_job()
    hook = tried(deliveries_of(job)[0], Answered(status=500), began=21)

    assert hops_of(job, [hook])[-1].step.until == NOW + later(22) + SCHEDULE[1]


def test_while_a_delivery_is_tried_its_wait_is_over_and_not_its_claim() -> None:
    job = an_ended_job()
    hook = tried(deliveries_of(job)[0], Answered(status=500), began=21)
    hook = replace(hook, tries=2, not_before=NOW + later(27) + TRY_LEASE)

    assert hops_of(job, [hook])[-1].step.until == NOW + later(27)


@pytest.mark.parametrize(
    ("status", "schedule", "words"), [(410, 10, "wants no more"), (500, 1, "given up")]
)
def test_a_delivery_that_is_over_says_why(status: int, schedule: int, words: str) -> None:
    job = an_ended_job()
    hook = after_try(
        replace(deliveries_of(job)[0], tries=1),
        Answered(status=status),
        began=NOW + later(21),
        now=NOW + later(22),
        schedule=SCHEDULE[:schedule],
        by=WORKER,
    )

    last = hops_of(job, [hook])[-1].step

    assert (last.name, last.until) == (StepName.DELIVERY_FAILED, None)
    assert words in (last.detail or "")
    assert "given up" not in (hops_of(job, [replayed(hook, NOW)])[-1].step.detail or "")


def test_several_receivers_stand_by_their_times() -> None:
    job = an_ended_job()
    hook, bus = deliveries_of(job)
    hook = tried(hook, Answered(status=204), began=30)
    bus = tried(bus, Answered(status=200), began=21)

    hops = hops_of(job, [hook, bus])[len(ROW) :]

    assert [(hop.step.name, hop.told and hop.told.kind) for hop in hops] == [
        ("announced", "webhook"),
        ("announced", "eventbridge"),
        ("delivered", "eventbridge"),
        ("delivered", "webhook"),
    ]


def test_a_feed_whose_clock_is_behind_announces_no_end_before_it_has_come() -> None:
    job = an_ended_job()

    hops = hops_of(job, deliveries_of(job, made=3)[:1])

    assert names(hops)[-2:] == ["completed", "announced"]
    assert hops[-1].after == timedelta(0)


def test_what_a_redrive_adds_stands_behind_the_round_that_was_announced() -> None:
    job = an_ended_job()
    hook = tried(deliveries_of(job)[0], Answered(status=204), began=21)
    again = (a_step(StepName.REDRIVEN, 50), a_step(StepName.FAILED, 60))

    hops = hops_of(replace(job, timeline=(*ROW, *again)), [hook])

    assert names(hops)[-5:] == ["completed", "announced", "delivered", "redriven", "failed"]


def test_only_the_last_tries_are_shown() -> None:
    job = an_ended_job()
    many = [
        replace(one, event=replace(one.event, seq=number), made_at=NOW + later(20 + number))
        for number in range(MOST_DELIVERY_HOPS)
        for one in deliveries_of(job)
    ]

    hops = hops_of(job, many)

    assert len(hops) == len(ROW) + MOST_DELIVERY_HOPS
    assert hops[-1].step.at == NOW + later(20 + MOST_DELIVERY_HOPS - 1)


def test_a_delivery_of_an_older_version_names_no_process() -> None:
    job = an_ended_job()
    hook = replace(deliveries_of(job)[0], made_at=None, made_by=None)

    announced = hops_of(job, [hook])[-1].step

    assert (announced.at, announced.by) == (job.ended_at, "-")


def test_deliveries_are_looked_for_where_there_can_be_some() -> None:
    ended = an_ended_job()
    running = replace(ended, status=JobStatus.RUNNING)
    redriven = replace(running, timeline=(*ROW, a_step(StepName.REDRIVEN, 30)))

    assert may_have_been_told(ended)
    assert may_have_been_told(redriven)
    assert not may_have_been_told(running)
    assert not may_have_been_told(replace(ended, webhook=None, also_tell=()))


def test_a_row_without_steps_has_no_hops() -> None:
    assert hops_of(replace(a_job(), timeline=()), ()) == []
