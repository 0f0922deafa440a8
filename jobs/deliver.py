"""Deliver: try one delivery once, and write down what came of it.

A task names the delivery; the claim decides whether it may be tried now. Between the call and the
last write a worker may die: then it is tried again, and the receiver knows the event by its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.cloud_event import fits, write_body
from jobs.delivery import TRY_LEASE, DeliveryState, after_try
from jobs.errors import DeliveryMoved, JobNotFound, RecordUnreadable
from jobs.job import Inline, ObjectKey, Stored
from jobs.times import written_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from jobs.delivery import Delivery, DeliveryKey
    from jobs.delivery_ports import Announcer, ClaimedDelivery, Deliveries
    from jobs.job import Job, Payload
    from jobs.ports import Clock, JobStore, Log, ObjectStore
    from jobs.receiver import DeliveryKind


@dataclass(frozen=True, kw_only=True)
class DeliverParts:
    """What delivering needs; `source` names this deployment to receivers, `process` us."""

    deliveries: Deliveries
    announcers: Mapping[DeliveryKind, Announcer]
    store: JobStore
    objects: ObjectStore
    clock: Clock
    log: Log
    schedule: Sequence[timedelta]
    url_lifetime: timedelta
    source: str
    process: str


def deliver(key: DeliveryKey, parts: DeliverParts) -> Delivery | None:
    """Try the delivery if it is due, and give it as it is then. Raises Unavailable.

    What a part that is away cuts short does not count as a failure: the delivery is due again when
    the claim's time is over.
    """
    began = parts.clock.now()
    claimed = parts.deliveries.claim(key, now=began, until=began + TRY_LEASE)
    if claimed is None:
        parts.log.info("delivery_not_due", **_keys(key))
        return None
    announcer = parts.announcers.get(claimed.delivery.kind)
    if announcer is None:
        parts.log.warning("delivery_without_announcer", **_keys(key), kind=claimed.delivery.kind)
        return None  # this worker is not set up for it; due again when the claim is over
    body = _compose(claimed.delivery, parts)
    answered = announcer.tell(claimed.delivery, body)
    settled = after_try(
        claimed.delivery,
        answered,
        began=began,
        now=parts.clock.now(),
        schedule=parts.schedule,
        by=parts.process,
    )
    return _settle(claimed, settled, parts)


def _settle(claimed: ClaimedDelivery, settled: Delivery, parts: DeliverParts) -> Delivery | None:
    try:
        parts.deliveries.settle(claimed, settled)
    except DeliveryMoved:
        parts.log.info("delivery_fenced", **_keys(settled.key))
        return None
    last = settled.log[-1]
    tell = parts.log.info if settled.state is DeliveryState.DELIVERED else parts.log.warning
    tell(
        "delivery_tried",
        **_keys(settled.key),
        kind=settled.kind,
        state=settled.state,
        number=last.number,
        status=last.status,
        error=last.error,
    )
    return settled


def _compose(delivery: Delivery, parts: DeliverParts) -> str:
    """Write the body, under 64 KiB: what is too big in it goes by reference."""
    job = _row_at(delivery, parts)
    payload = job.result.payload if job and job.result else None
    body = _write(delivery, job, payload, parts)
    if not fits(body) and isinstance(payload, Inline):
        payload = _place(delivery, payload, parts)
        body = _write(delivery, job, payload, parts)
    if not fits(body):  # metadata may take six bytes a character once it is written
        body = _write(delivery, job, payload, parts, with_metadata=False)
    return body


def _write(
    delivery: Delivery,
    job: Job | None,
    payload: Payload | None,
    parts: DeliverParts,
    *,
    with_metadata: bool = True,
) -> str:
    result = None if payload is None else _write_payload(payload, parts)
    return write_body(
        delivery, job, source=parts.source, result=result, with_metadata=with_metadata
    )


def _row_at(delivery: Delivery, parts: DeliverParts) -> Job | None:
    """Give the row if it is still at the end that is announced; it may be gone, or redriven."""
    try:
        job = parts.store.get(delivery.event.job)
    except (JobNotFound, RecordUnreadable):
        return None
    return job if job.status.is_terminal and job.seq == delivery.event.seq else None


def _place(delivery: Delivery, payload: Inline, parts: DeliverParts) -> Stored:
    """Put a result that stands in the row where a URL can lead to it; the same place each time."""
    event = delivery.event
    key = ObjectKey(f"results/{event.job}/announced-{event.seq}.txt")
    parts.objects.put(key, payload.text, content_type="text/plain; charset=utf-8")
    return Stored(key=key, size=payload.size)


def _write_payload(payload: Payload, parts: DeliverParts) -> dict[str, object]:
    match payload:
        case Inline(text=text):
            return {"text": text, "bytes": payload.size}
        case Stored(key=key, size=size):
            expires_at = parts.clock.now() + parts.url_lifetime
            return {
                "url": parts.objects.sign(key, lifetime=parts.url_lifetime),
                "url_expires_at": written_time(expires_at),
                "bytes": size,
            }


def _keys(key: DeliveryKey) -> dict[str, object]:
    return {"job_id": key.job, "delivery_id": key.delivery, "trace_id": key.trace}
