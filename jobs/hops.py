"""Hops: a job's whole way, the steps of its row with those of its deliveries woven in.

The row is not written for a delivery: it has a row of its own, and both are brought together when
someone looks. What is read is bounded: a row's steps are, and so are a job's ends, the receivers of
each, and the tries that a delivery keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from jobs.delivery import TRY_LEASE, DeliveryState
from jobs.timeline import Step, StepName

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from jobs.delivery import Delivery, DeliveryId, Try
    from jobs.job import Job
    from jobs.receiver import DeliveryKind

MOST_DELIVERY_HOPS = 200  # the last ones
_ENDS_A_CALL = frozenset(
    {
        StepName.COMPLETED,
        StepName.FAILED,
        StepName.EXPIRED,
        StepName.RETRYING,
        StepName.PARTIAL_KEPT,
    }
)
_FOLLOWS_NOTHING = frozenset({StepName.ACCEPTED, StepName.WRITTEN})
_NOTED_BY_A_CLAIM = frozenset({StepName.SEEN, StepName.ENQUEUED})
_TAKEN_BESIDE_A_RUN = frozenset({StepName.SWEPT, StepName.CANCELLED})
_NOTED_AT_ONCE = _TAKEN_BESIDE_A_RUN | {StepName.CLAIMED, StepName.REDRIVEN}
_BEFORE_IT_IS_TOLD = frozenset({StepName.SWEPT, StepName.SETTLED})
_CLOCKS_DIFFER = timedelta(seconds=1)  # by so much; see "Clocks" in docs/operations.md
_NO_TIME = timedelta(0)
_NOBODY_KNOWS = "-"  # a delivery of an older version


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """Which delivery a hop belongs to; a try has a number, and a status where it was answered."""

    id: DeliveryId
    kind: DeliveryKind
    number: int | None = None
    status: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """A step with what is known once all are seen together.

    `after` is the time since the hop before. `took` is how long the call took that ended here: a
    model's, from its `invoked` on, or a try to tell a receiver; and of `settled` how long the row
    was waited for. Clocks of several machines are compared; no span is below zero.
    """

    step: Step
    after: timedelta
    took: timedelta | None = None
    told: Told | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Telling:
    step: Step
    told: Told
    ended_at: datetime  # of the job, in the round that is announced
    took: timedelta | None = None


def may_have_been_told(job: Job) -> bool:
    """Whether deliveries may be there: someone wants to be told, and the job has ended once."""
    has_ended = job.status.is_terminal or any(
        step.name is StepName.REDRIVEN for step in job.timeline
    )
    return bool(job.receivers) and has_ended


def hops_of(job: Job, deliveries: Sequence[Delivery]) -> list[Hop]:
    """Give all hops in the order in which they were made."""
    steps = _in_order([one for step in job.timeline for one in _with_its_write(step)])
    woven: list[tuple[Step, timedelta | None, Told | None]] = [
        (step, took, None) for step, took in zip(steps, _calls_of(steps), strict=True)
    ]
    tellings = [telling for one in deliveries for telling in _tellings_of(one)]
    tellings.sort(key=lambda telling: telling.step.at)
    for telling in tellings[-MOST_DELIVERY_HOPS:]:
        place = _place_of(telling, [step for step, _, _ in woven])
        woven.insert(place, (telling.step, telling.took, telling.told))
    befores = [woven[0][0].at, *(step.at for step, _, _ in woven)] if woven else []
    return [
        Hop(step=step, after=max(step.at - before, _NO_TIME), took=took, told=told)
        for before, (step, took, told) in zip(befores, woven, strict=False)
    ]


def _with_its_write(step: Step) -> Iterator[Step]:
    """Tell of an outcome when it was known, and when the row took it."""
    yield step
    if step.settled_at is not None:
        yield Step(name=StepName.SETTLED, at=step.settled_at, by=step.by, attempt=step.attempt)


def _in_order(timeline: Sequence[Step]) -> list[Step]:
    """Put what was written late where its time says that it belongs.

    A row's writes follow from each other, so their order holds whatever the clocks of several
    machines say. Only some steps are written by a later write than the one that they belong to.
    """
    steps: list[Step] = []
    for step in timeline:
        place = len(steps)
        while place and _came_before(step, steps[place - 1]):
            place -= 1
        steps.insert(place, step)
    return steps


def _came_before(late: Step, noted: Step) -> bool:
    """Tell whether a step was taken before one that was written before it.

    A claim writes when its task was made: that may have waited while the row went on, and follows
    from nothing but the job. A run writes at its end what it did, and does not see that it was
    cancelled or swept meanwhile.
    """
    if late.name in _NOTED_BY_A_CLAIM:
        is_one_clock = late.by == noted.by
        margin = _NO_TIME if is_one_clock else _CLOCKS_DIFFER
        return noted.name not in _FOLLOWS_NOTHING and late.at + margin < noted.at
    if late.name in _NOTED_AT_ONCE:
        return False
    return noted.name in _TAKEN_BESIDE_A_RUN and late.at < noted.at


def _calls_of(timeline: Sequence[Step]) -> Iterator[timedelta | None]:
    """Say of each step how long the call took that it ended, or the wait for the row's write."""
    begun: dict[int, datetime] = {}
    known_at: datetime | None = None
    for step in timeline:
        took = None
        if step.settled_at is not None:
            known_at = step.at
        if step.name is StepName.SETTLED and known_at is not None:
            took = max(step.at - known_at, _NO_TIME)
        elif step.attempt is not None:
            if step.name is StepName.INVOKED:
                begun[step.attempt] = step.at
            elif step.name in _ENDS_A_CALL and (began := begun.pop(step.attempt, None)):
                took = max(step.at - began, _NO_TIME)
        yield took


def _tellings_of(delivery: Delivery) -> Iterator[_Telling]:
    ended_at = delivery.event.at
    yield _Telling(
        step=Step(
            name=StepName.ANNOUNCED,
            at=delivery.made_at or ended_at,
            by=delivery.made_by or _NOBODY_KNOWS,
            detail=delivery.kind,
        ),
        told=Told(id=delivery.id, kind=delivery.kind),
        ended_at=ended_at,
    )
    nexts = [*(one.at for one in delivery.log[1:]), _next_try_at(delivery)]
    for one, next_at in zip(delivery.log, nexts, strict=False):
        is_last = one is delivery.log[-1]
        yield _Telling(
            step=Step(
                name=StepName.DELIVERED if one.is_success else StepName.DELIVERY_FAILED,
                at=one.at + one.took,
                by=one.by or _NOBODY_KNOWS,
                error=None if one.is_success else _error_of(one),
                detail=_detail_of(delivery, is_last=is_last),
                until=None if one.is_success else next_at,
            ),
            told=Told(id=delivery.id, kind=delivery.kind, number=one.number, status=one.status),
            ended_at=ended_at,
            took=one.took,
        )


def _next_try_at(delivery: Delivery) -> datetime | None:
    """Say when the try after the last one noted may begin, or did."""
    if delivery.state is not DeliveryState.DUE or delivery.not_before is None:
        return None
    is_being_tried = not delivery.log or delivery.tries > delivery.log[-1].number
    return delivery.not_before - TRY_LEASE if is_being_tried else delivery.not_before


def _error_of(one: Try) -> str:
    return one.error or ("no_answer" if one.status is None else f"http_{one.status}")


def _detail_of(delivery: Delivery, *, is_last: bool) -> str:
    if is_last and delivery.state is DeliveryState.GIVEN_UP:
        return f"{delivery.kind}: given up, no more tries"
    if is_last and delivery.state is DeliveryState.DISABLED:
        return f"{delivery.kind}: the receiver wants no more ({HTTPStatus.GONE:d})"
    return str(delivery.kind)


def _place_of(telling: _Telling, steps: Sequence[Step]) -> int:
    """Find where it belongs: by its time, but never before the end that it tells of."""
    ends = [index for index, step in enumerate(steps) if step.at == telling.ended_at]
    first = ends[-1] + 1 if ends else 0
    while ends and first < len(steps) and steps[first].name in _BEFORE_IT_IS_TOLD:
        first += 1
    later = (
        index for index, step in enumerate(steps) if index >= first and step.at > telling.step.at
    )
    return next(later, len(steps))
