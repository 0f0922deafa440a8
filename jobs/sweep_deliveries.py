"""Sweep deliveries: trigger those whose time has come, the next try's or that of a lost task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.delivery import HINT_GRACE

if TYPE_CHECKING:
    from jobs.delivery import DeliveryKey
    from jobs.delivery_ports import DeliveryQueue, DueDeliveries
    from jobs.ports import Clock, Log

BATCH_OF_DELIVERIES = 200


@dataclass(frozen=True, kw_only=True)
class SweepDeliveriesParts:
    """What sweeping deliveries needs."""

    due: DueDeliveries
    queue: DeliveryQueue
    clock: Clock
    log: Log


def sweep_deliveries(parts: SweepDeliveriesParts) -> int:
    """Trigger a batch of what is due and say how many there were. Raises Unavailable."""
    now = parts.clock.now()
    deliveries = parts.due.find(now, limit=BATCH_OF_DELIVERIES)
    keys: list[DeliveryKey] = []
    try:
        for delivery in deliveries:
            if parts.due.put_off(delivery, now + HINT_GRACE):
                key = delivery.key
                keys.append(key)
                parts.log.info(
                    "delivery_swept", job_id=key.job, delivery_id=key.delivery, trace_id=key.trace
                )
    finally:
        parts.queue.enqueue(keys)  # what was put off must be triggered, whatever came after it
    return len(deliveries)
