"""The delivery: one announcement on its way to one receiver, until it is told or given up.

due --a try: 2xx--> delivered        --410--> disabled        --no more tries--> given_up
 ^        | anything else: due again, later                          |
 +--------+-------------------------- replay -------------------------+
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, NewType, Self

from jobs.events import Event  # noqa: TC001 - a dataclass's field types stay readable at runtime
from jobs.receiver import DeliveryKind, Receiver

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.job import JobId
    from jobs.trace import TraceId

EventId = NewType("EventId", str)
DeliveryId = NewType("DeliveryId", str)

# Standard Webhooks' own: before each try, after the one before it.
SCHEDULE = tuple(
    timedelta(seconds=seconds)
    for seconds in (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
TRY_LEASE = timedelta(seconds=60)  # far above the longest call
HINT_GRACE = timedelta(seconds=30)  # how long the task of a delivery may take to come
MOST_TRIES_KEPT = 20  # of a delivery's log
_LONGEST_RETRY_AFTER = timedelta(hours=24)


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    DUE = "due"
    DELIVERED = "delivered"
    DISABLED = "disabled"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryKey:
    """Which delivery; what its task names. `trace` is for logs."""

    job: JobId
    delivery: DeliveryId
    trace: TraceId


def is_success(status: int) -> bool:
    """Whether a receiver that answers so has taken what it was told."""
    return HTTPStatus(200) <= status < HTTPStatus(300)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What a receiver answered: an HTTP status, the error in its place, or both from AWS."""

    status: int | None = None
    error: str | None = None
    retry_after: timedelta | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """One line of a delivery's log; `by` is the process that told, None in an old row."""

    number: int
    at: datetime
    took: timedelta
    status: int | None
    error: str | None
    by: str | None = None

    @property
    def is_success(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and is_success(self.status)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One announcement for one receiver.

    `event` says how the job ended, whatever becomes of the row. `tries` counts claims ever;
    `failures` counts failed tries since the delivery was made or replayed. `not_before` is when it
    may be tried, `due_at` when the sweep is to look at it; both are None once nothing is due.
    `made_by` is the process that made it, at `made_at`; None in an old row.
    """

    receiver: Receiver
    event: Event
    state: DeliveryState = DeliveryState.DUE
    tries: int = 0
    failures: int = 0
    not_before: datetime | None = None
    due_at: datetime | None = None
    log: tuple[Try, ...] = ()
    made_at: datetime | None = None
    made_by: str | None = None

    @classmethod
    def of(cls, event: Event, receiver: Receiver, *, now: datetime, by: str) -> Self:
        """Make the delivery of an event that can be told from now on."""
        return cls(
            receiver=receiver,
            event=event,
            not_before=now,
            due_at=now + HINT_GRACE,
            made_at=now,
            made_by=by,
        )

    @property
    def id(self) -> DeliveryId:
        """Name the delivery among its job's: an event has one a kind of receiver.

        A webhook's is the event's id alone, as it was before there were other kinds.
        """
        if self.kind is DeliveryKind.WEBHOOK:
            return DeliveryId(self.event_id)
        return DeliveryId(f"{self.event_id}.{self.kind}")

    @property
    def event_id(self) -> EventId:
        """Name the event for its receivers, the same for all and at every try."""
        return event_id(self.event)

    @property
    def kind(self) -> DeliveryKind:
        """How the receiver is told."""
        return self.receiver.kind

    @property
    def key(self) -> DeliveryKey:
        """Say which delivery it is."""
        return DeliveryKey(job=self.event.job, delivery=self.id, trace=self.event.trace_id)


def event_id(event: Event) -> EventId:
    """Name an event: numbers are a job's own and never given twice (jobs/seq.py)."""
    return EventId(f"{event.job}.{event.seq}")


def after_try(  # noqa: PLR0913 - one try's whole story, by name
    delivery: Delivery,
    answered: Answered,
    *,
    began: datetime,
    now: datetime,
    schedule: Sequence[timedelta],
    by: str,
) -> Delivery:
    """Decide what becomes of a delivery that was tried, by process `by`."""
    noted = Try(
        number=delivery.tries,
        at=began,
        took=max(now - began, timedelta(0)),
        status=answered.status,
        error=answered.error,
        by=by,
    )
    delivery = replace(delivery, log=(*delivery.log, noted)[-MOST_TRIES_KEPT:])
    if noted.is_success:
        return _over(delivery, DeliveryState.DELIVERED)
    delivery = replace(delivery, failures=delivery.failures + 1)
    if answered.status == HTTPStatus.GONE:
        return _over(delivery, DeliveryState.DISABLED)
    if delivery.failures >= len(schedule):
        return _over(delivery, DeliveryState.GIVEN_UP)
    asked = min(answered.retry_after or timedelta(0), _LONGEST_RETRY_AFTER)
    again_at = now + max(schedule[delivery.failures], asked)
    return replace(delivery, not_before=again_at, due_at=again_at)


def replayed(delivery: Delivery, now: datetime) -> Delivery:
    """Let a delivery be told again, whatever has become of it."""
    return replace(delivery, state=DeliveryState.DUE, failures=0, not_before=now, due_at=now)


def _over(delivery: Delivery, state: DeliveryState) -> Delivery:
    return replace(delivery, state=state, not_before=None, due_at=None)
