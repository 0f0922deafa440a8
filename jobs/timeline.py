"""The timeline: each step of a job with its time, kept in the row."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class StepName(StrEnum):
    """What happened; in the order in which a job meets them."""

    ACCEPTED = "accepted"
    WRITTEN = "written"
    SEEN = "seen"
    SWEPT = "swept"
    ENQUEUED = "enqueued"
    CLAIMED = "claimed"
    DOCUMENTS_READ = "documents_read"
    INVOKED = "invoked"
    FIRST_TOKEN = "first_token"  # noqa: S105 - a model's token, not a credential
    INTERRUPTED = "interrupted"
    DIVIDED = "divided"
    GATHERED = "gathered"
    RECOVERED = "recovered"
    STORED = "stored"
    RETRYING = "retrying"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARTIAL_KEPT = "partial_kept"
    EXPIRED = "expired"
    REDRIVEN = "redriven"
    # Never in a row: they are told from another step, or the job's deliveries (jobs/hops.py).
    SETTLED = "settled"
    ANNOUNCED = "announced"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"


# A row has 400 KB in all. A job waits, is swept and is run in bounded steps; what a caller can
# repeat at will ends here.
MOST_STEPS_TO_REDRIVE = 200
MOST_SWEEPS_NOTED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step: `by` is the process that took it, `error` an error code, `detail` for people.

    `until` is when what failed here may be tried again. Of an outcome `at` is when it was known,
    and `settled_at` when the write of the row began that was taken.
    """

    name: StepName
    at: datetime
    by: str
    attempt: int | None = None
    error: str | None = None
    detail: str | None = None
    until: datetime | None = None
    settled_at: datetime | None = None


def unended_calls(timeline: Sequence[Step]) -> list[int]:
    """Give the attempts of this round whose calls began, and of whose ends nothing is written.

    A round begins at a redrive.
    """
    begun: dict[int, None] = {}
    for step in timeline:
        if step.name is StepName.REDRIVEN:
            begun.clear()
        elif step.attempt is not None and step.name is StepName.INVOKED:
            begun[step.attempt] = None
        elif step.attempt is not None and step.name is StepName.RETRYING:
            begun.pop(step.attempt, None)
    return list(begun)
