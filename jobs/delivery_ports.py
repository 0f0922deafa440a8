"""What announcing needs from outside: the deliveries, their tasks, and those who tell receivers.

The promises of jobs/ports.py hold here, too: one suite a port, and any method may raise
`Unavailable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.delivery import Answered, Delivery, DeliveryId, DeliveryKey
    from jobs.job import JobId


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedDelivery:
    """The right to try a delivery once; `token` fences out whoever had it before."""

    delivery: Delivery
    token: str


class Deliveries(Protocol):
    """The table of deliveries."""

    def add(self, delivery: Delivery) -> None:
        """Keep a new delivery, durable when this returns; one that is there stays as it is."""

    def of_job(self, job_id: JobId) -> Sequence[Delivery]:
        """Give a job's deliveries, the oldest first, with every write that returned before."""

    def claim(self, key: DeliveryKey, *, now: datetime, until: datetime) -> ClaimedDelivery | None:
        """Take a delivery that may be tried now, for one claimant only; None where it may not.

        Until `until` nobody else gets it.
        """

    def settle(self, claimed: ClaimedDelivery, delivery: Delivery) -> None:
        """Write what became of a try, under this claim alone. Raises DeliveryMoved."""

    def replay(self, job_id: JobId, delivery: DeliveryId, now: datetime) -> Delivery:
        """Let a delivery be told again and give it. Raises DeliveryNotFound.

        Whoever is trying it is fenced out.
        """


class DueDeliveries(Protocol):
    """The deliveries whose time has come; the sweep's view of their table."""

    def find(self, now: datetime, *, limit: int) -> Sequence[Delivery]:
        """Find up to `limit` deliveries whose time to look again has come."""

    def put_off(self, delivery: Delivery, until: datetime) -> bool:
        """Move the time to look again, and say whether it was still as in `delivery`.

        Of sweepers that race with the same delivery in hand, one is told yes.
        """


class DeliveryQueue(Protocol):
    """Celery; a task is a trigger and may come twice or never."""

    def enqueue(self, keys: Sequence[DeliveryKey]) -> None:
        """Hand a task for each to the broker; when it returns, the broker has them all."""


class Announcer(Protocol):
    """Tells receivers of one kind; a receiver knows by the event's id what it has heard before."""

    def tell(self, delivery: Delivery, body: str) -> Answered:
        """Tell once, in bounded time; whatever goes wrong is in what it gives."""
