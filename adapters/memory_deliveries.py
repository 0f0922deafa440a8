"""The deliveries' ports in memory, for tests; they pass the contract suites of the real ones."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.delivery import DeliveryState, replayed
from jobs.delivery_ports import ClaimedDelivery
from jobs.errors import DeliveryMoved, DeliveryNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.delivery import Delivery, DeliveryId, DeliveryKey
    from jobs.job import JobId


class MemoryDeliveries:
    """jobs.delivery_ports.Deliveries and DueDeliveries under one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deliveries: dict[tuple[JobId, DeliveryId], Delivery] = {}
        self._tokens: dict[tuple[JobId, DeliveryId], int] = {}

    def add(self, delivery: Delivery) -> None:
        """Keep a new delivery; one that is there stays as it is."""
        with self._lock:
            self._deliveries.setdefault((delivery.event.job, delivery.id), delivery)

    def of_job(self, job_id: JobId) -> list[Delivery]:
        """Give a job's deliveries, the oldest first."""
        with self._lock:
            found = [one for one in self._deliveries.values() if one.event.job == job_id]
        return sorted(found, key=lambda delivery: (delivery.event.seq, delivery.id))

    def claim(self, key: DeliveryKey, *, now: datetime, until: datetime) -> ClaimedDelivery | None:
        """Take a delivery that may be tried now."""
        with self._lock:
            place = (key.job, key.delivery)
            found = self._deliveries.get(place)
            if found is None or found.state is not DeliveryState.DUE:
                return None
            if found.not_before is None or found.not_before > now:
                return None
            taken = replace(found, not_before=until, due_at=until, tries=found.tries + 1)
            self._deliveries[place] = taken
            return ClaimedDelivery(delivery=taken, token=self._next_token(place))

    def settle(self, claimed: ClaimedDelivery, delivery: Delivery) -> None:
        """Write what became of a try, under this claim alone."""
        with self._lock:
            place = (delivery.event.job, delivery.id)
            if str(self._tokens.get(place)) != claimed.token:
                raise DeliveryMoved(f"delivery {delivery.id} was taken by another")
            self._next_token(place)
            self._deliveries[place] = delivery

    def replay(self, job_id: JobId, delivery: DeliveryId, now: datetime) -> Delivery:
        """Let a delivery be told again; whoever is trying it is fenced out."""
        with self._lock:
            place = (job_id, delivery)
            if place not in self._deliveries:
                raise DeliveryNotFound(f"job {job_id} has no announcement {delivery}")
            self._next_token(place)
            self._deliveries[place] = replayed(self._deliveries[place], now)
            return self._deliveries[place]

    def find(self, now: datetime, *, limit: int) -> list[Delivery]:
        """Find due deliveries."""
        with self._lock:
            due = [one for one in self._deliveries.values() if one.due_at and one.due_at <= now]
            return due[:limit]

    def put_off(self, delivery: Delivery, until: datetime) -> bool:
        """Move the time to look again, if it is still as in `delivery`."""
        with self._lock:
            place = (delivery.event.job, delivery.id)
            found = self._deliveries.get(place)
            if found is None or found.due_at is None or found.due_at != delivery.due_at:
                return False
            self._deliveries[place] = replace(found, due_at=until)
            return True

    def _next_token(self, place: tuple[JobId, DeliveryId]) -> str:
        self._tokens[place] = self._tokens.get(place, 0) + 1
        return str(self._tokens[place])


class MemoryDeliveryQueue:
    """jobs.delivery_ports.DeliveryQueue that keeps what it is handed."""

    def __init__(self) -> None:
        self.keys: list[DeliveryKey] = []

    def enqueue(self, keys: Sequence[DeliveryKey]) -> None:
        """Keep the keys."""
        self.keys.extend(keys)
