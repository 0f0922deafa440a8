"""Announce: make the deliveries of each end, one for each who wants to be told of it.

The row is the outbox, and says who is told. The feed makes the deliveries when it sees the row
turn terminal, before its checkpoint moves. And because a stream is trimmed after a day, the
terminal write itself leaves the row in the sweep's index for a moment more (jobs/transitions.py):
the sweep makes the same deliveries once again, which changes nothing, and only then lets the row
go. A redrive before that makes them, too. So no end is lost, and none is told under two ids.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobs.delivery import Delivery
from jobs.events import terminal_event
from jobs.tracing import UNTRACED, SpanKind, messaging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.delivery_ports import Deliveries, DeliveryQueue
    from jobs.events import Event
    from jobs.job import Job
    from jobs.ports import Clock, Log
    from jobs.receiver import Receiver
    from jobs.tracing import Tracer


@dataclass(frozen=True, kw_only=True, slots=True)
class Announcement:
    """That a job ended, and who wants to be told."""

    event: Event
    receivers: Sequence[Receiver]


@dataclass(frozen=True, kw_only=True)
class AnnounceParts:
    """What announcing needs; without `queue` the sweep triggers the deliveries."""

    deliveries: Deliveries
    clock: Clock
    log: Log
    process: str
    queue: DeliveryQueue | None = None
    tracer: Tracer = UNTRACED


def announcement_of(job: Job) -> Announcement | None:
    """Say what is to be announced of a row; None where it has not ended or nobody wants it."""
    event = terminal_event(job)
    if event is None or not job.receivers:
        return None
    return Announcement(event=event, receivers=job.receivers)


def announce(announcements: Sequence[Announcement], parts: AnnounceParts) -> None:
    """Make a delivery for each receiver, then their tasks; repeatable. Raises Unavailable."""
    with ExitStack() as spans:
        _announce(announcements, parts, spans)


def _announce(
    announcements: Sequence[Announcement], parts: AnnounceParts, spans: ExitStack
) -> None:
    now = parts.clock.now()
    made = [
        Delivery.of(
            _under_span(one.event, parts.tracer, spans), receiver, now=now, by=parts.process
        )
        for one in announcements
        for receiver in one.receivers
    ]
    for delivery in made:
        parts.deliveries.add(delivery)
        parts.log.info(
            "delivery_made",
            job_id=delivery.event.job,
            trace_id=delivery.event.trace_id,
            delivery_id=delivery.id,
        )
    if made and parts.queue is not None:
        parts.queue.enqueue([delivery.key for delivery in made])


def _under_span(event: Event, tracer: Tracer, spans: ExitStack) -> Event:
    """Let a delivery go on under the span that makes it."""
    facts = messaging("send", "longhaul.announce", event.job)
    name = "send longhaul.announce"
    span = spans.enter_context(tracer.begin(name, SpanKind.PRODUCER, event.trace, facts=facts))
    return replace(event, trace=span.trace)
