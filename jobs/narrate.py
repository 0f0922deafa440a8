"""Narrate: number a claim's events and tell them to whoever watches."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from jobs import seq
from jobs.events import Event, EventType
from jobs.job import JobError
from jobs.outcome import Completed, Divided, Expired, Failed, Retrying

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from jobs.claim import Claim
    from jobs.outcome import Outcome
    from jobs.ports import Clock, EventBus

BATCH_TIME = timedelta(milliseconds=50)
BATCH_CHARACTERS = 4_096
INTERRUPTED = JobError(
    code="interrupted", message="its worker went away in mid-call", retryable=True
)
LONGEST_DELTA = 8_000  # characters: at JSON's worst, six bytes each, an event stays under 64 KiB


class Mute:
    """jobs.ports.EventBus of a part: its job's watchers are told how many are done, and no more."""

    def publish(self, event: Event) -> None:
        """Say nothing."""

    def flush(self) -> None:
        """Return: nothing was said."""


class Narrator:
    """Tells one claim's events in order; used by one thread at a time.

    The first piece of text goes out at once; after that, pieces that come within BATCH_TIME of
    the last event wait for the next piece or the end, so a fast model costs no message a token.
    """

    def __init__(self, *, claim: Claim, events: EventBus, clock: Clock) -> None:
        self._claim = claim
        self._events = events
        self._clock = clock
        self._numbers: Iterator[int] = seq.numbers_after_first(claim.epoch)
        self._batch: list[str] = []
        self._batched = 0
        self._last_told: datetime | None = None

    def tell_started(self) -> None:
        """Tell `job.started`; the claim's write has put the block's first number in the row.

        Where an earlier claim's call has no known end, its text is void: `job.retrying` says so.
        """
        number, now = seq.first_in(self._claim.epoch), self._clock.now()
        if self._claim.interrupted_at is not None:
            self._tell(EventType.RETRYING, number, now, error=INTERRUPTED, delay=timedelta(0))
            number = next(self._numbers)
        self._tell(EventType.STARTED, number, now)

    def tell_delta(self, text: str) -> None:
        """Tell a piece of text, perhaps a little later, together with the next."""
        self._batch.append(text)
        self._batched += len(text)
        now = self._clock.now()
        due = self._last_told is None or now - self._last_told >= BATCH_TIME
        if due or self._batched >= BATCH_CHARACTERS:
            self.flush()
            self._last_told = now

    def flush(self) -> None:
        """Tell what waits."""
        text = "".join(self._batch)
        self._batch.clear()
        self._batched = 0
        for start in range(0, len(text), LONGEST_DELTA):
            piece = text[start : start + LONGEST_DELTA]
            self._tell(EventType.DELTA, next(self._numbers), self._clock.now(), text=piece)

    def take_seq(self) -> int:
        """Take the number of the claim's last event, which is told once it is in the row."""
        return next(self._numbers)

    def announce(self, outcome: Outcome) -> None:
        """Tell how the attempt ended; only after the row says so."""
        match outcome:
            case Completed():
                self._tell(EventType.COMPLETED, outcome.seq, outcome.at)
            case Failed():
                self._tell(EventType.FAILED, outcome.seq, outcome.at, error=outcome.error)
            case Expired():
                self._tell(EventType.EXPIRED, outcome.seq, outcome.at, error=outcome.error)
            case Retrying():
                self._tell(
                    EventType.RETRYING,
                    outcome.seq,
                    outcome.at,
                    error=outcome.error,
                    delay=outcome.delay,
                )
            case Divided():
                self._tell_divided(outcome)
            case _:
                assert_never(outcome)

    def _tell_divided(self, outcome: Divided) -> None:
        job = self._claim.job
        self._events.publish(
            Event(
                job=job.id,
                user=job.user,
                seq=outcome.seq,
                type=EventType.PROGRESS,
                at=outcome.at,
                trace=job.trace,
                attempt=job.attempt,
                done=0,
                total=outcome.total,
            )
        )

    def _tell(  # noqa: PLR0913 - an event's own fields
        self,
        kind: EventType,
        number: int,
        at: datetime,
        *,
        text: str | None = None,
        error: JobError | None = None,
        delay: timedelta | None = None,
    ) -> None:
        job = self._claim.job
        self._events.publish(
            Event(
                job=job.id,
                user=job.user,
                seq=number,
                type=kind,
                at=at,
                trace=job.trace,
                attempt=job.attempt,
                text=text,
                error=error,
                delay=delay,
            )
        )
