"""Following: how one watcher goes through one job's events, each once, in order, no gap unsaid.

Numbers have no holes within a block (jobs/seq.py), so a watcher that goes from one number to the
next, or to the first of a block, has missed nothing; anything else is a hole, and the log is read.
`job.progress` stands for those before it: in its block are no others, and feeds that note parts
side by side may tell them out of order. What the log no longer has is told as `stream.gap`: the
text so far is void, no more of it is told, and `job.completed` carries the result. Pure decisions;
WebSocket and SSE share them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from jobs import seq
from jobs.events import (
    Event,
    EventType,
    message_of,
    queued_event,
    started_event,
    terminal_event,
)
from jobs.job import Inline, JobStatus
from jobs.narrate import LONGEST_DELTA
from web.json_text import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jobs.job import Job
    from jobs.ports import Heard
    from web.job_json import JobWriter


class Verdict(Enum):
    """What a watcher does with an event that it hears."""

    TELL = auto()
    DROP = auto()
    CATCH_UP = auto()


@dataclass(slots=True, kw_only=True)
class Place:
    """How far a watcher has come in a job's events.

    `told` is the last number that was told; `seen` runs ahead of it while deltas are kept back
    because the text before them is missing (`is_whole` is false). Whether a client that comes back
    in mid-text has all of it is not known (`is_whole` is None) until the log says that it had it.
    `owes_gap` says that the text is not whole, and that the client does not know. `log_end` is
    where the log ends before a number that the client names. `has_ended` says that the job had
    ended there: nothing but a redrive, which begins the next block, comes after.
    """

    told: int = 0
    seen: int = 0
    is_whole: bool | None = True
    owes_gap: bool = False
    log_end: int = 0
    has_ended: bool = False

    @classmethod
    def after(cls, number: int | None, job: Job) -> Place:
        """Begin after a number that a client names; one that cannot be yet must not silence."""
        highest = job.seq
        if job.status is JobStatus.RUNNING:
            highest = seq.next_first(job.epoch) - 1
        number = min(number or 0, highest)
        is_at_beginning = number == 0 or seq.is_first(number)
        return cls(
            told=number,
            seen=number,
            is_whole=True if is_at_beginning else None,
            has_ended=job.status.is_terminal and number == job.seq,
        )

    @property
    def reads_from(self) -> int:
        """The number from which the log is to be read."""
        if self.is_whole is None:
            return seq.first_in(seq.epoch_of(self.seen))
        return max(1, self.seen)

    def hear(self, heard: Heard) -> Verdict:
        """Take an event that comes live."""
        if self.is_whole is None and heard.seq > self.log_end and not seq.is_first(heard.seq):
            return Verdict.CATCH_UP
        if heard.seq <= self.seen:
            return Verdict.CATCH_UP if self._was_ahead_of(heard) else Verdict.DROP
        if seq.is_first(heard.seq):
            self.is_whole, self.owes_gap = True, False
        elif (
            not self.is_next(heard.seq, heard.kind)
            or (heard.kind is EventType.COMPLETED and not self.is_whole)
            or (heard.kind is EventType.DELTA and self.owes_gap)
        ):
            return Verdict.CATCH_UP
        self.seen, self.has_ended = heard.seq, heard.kind.is_terminal
        if heard.kind is EventType.DELTA and not self.is_whole:
            return Verdict.DROP
        self.told = heard.seq
        return Verdict.TELL

    def is_next(self, number: int, kind: EventType) -> bool:
        """Tell whether nothing can lie between the place and an event."""
        is_redrive = self.has_ended and number == seq.next_first(seq.epoch_of(self.seen))
        if number == self.seen + 1 or is_redrive:
            return True
        is_same_block = self.seen > 0 and seq.epoch_of(number) == seq.epoch_of(self.seen)
        return kind is EventType.PROGRESS and is_same_block

    def _was_ahead_of(self, heard: Heard) -> bool:
        """Tell whether a client has named a number that lies behind its job's end."""
        is_same_block = seq.epoch_of(heard.seq) == seq.epoch_of(self.seen)
        return heard.kind.is_terminal and is_same_block and heard.seq < self.seen


@dataclass(frozen=True, slots=True)
class Told:
    """A message for a watcher, with the number that a client names to go on after it."""

    seq: int
    kind: EventType
    message: str


class CatchUp:
    """Brings a watcher from its place to the present: by the log first, then by the row.

    The row must have been read before the log: what it says was published before.
    """

    def __init__(self, place: Place, job: Job, writer: JobWriter) -> None:
        self._place = place
        self._job = job
        self._writer = writer
        self.has_gap = False

    def run(self, logged: Iterable[Heard]) -> list[Told]:
        """Give what is to be told; `logged` are the log's events from `Place.reads_from` on.

        They begin at the place or before it, so a log that goes on without a break can be told
        from one that begins later.
        """
        place = self._place
        logged = list(logged)
        if self._is_in_doubt(logged):
            return []
        told: list[Told] = []
        is_covered = False
        before = place.reads_from - 1
        for heard in logged:
            if heard.seq <= place.seen and heard.seq == before + 1:
                before = heard.seq
            if heard.seq > place.seen:
                self._decide(before)
                told += self._advance(Told(heard.seq, heard.kind, heard.message), is_covered)
            is_covered = True
        self._decide(before)
        ending = terminal_event(self._job)
        if ending is not None:
            if self._is_behind(ending.seq):
                place.seen = place.told = ending.seq - 1
                place.is_whole = False
            if ending.seq > place.seen:
                told += self._advance(_told(ending), is_covered)
        return told

    def _is_in_doubt(self, logged: list[Heard]) -> bool:
        """Tell whether a client names a number behind the log's end, and nothing says why yet.

        The next event does: if it lies before that number, the number had not been given; if
        behind it, it had, and the log has lost its end, as a Redis that is killed may.
        """
        place = self._place
        if place.is_whole is not None or not logged or not self._is_behind(logged[-1].seq):
            return False
        end, place.log_end = place.log_end, logged[-1].seq
        if 0 < end < place.log_end:
            place.seen = place.told = end
            return False
        return not self._job.status.is_terminal

    def _is_behind(self, number: int) -> bool:
        """Tell whether the place lies behind a last number, in the same block."""
        seen = self._place.seen
        return number < seen and seq.epoch_of(number) == seq.epoch_of(seen)

    def _advance(self, event: Told, is_covered: bool) -> Iterator[Told]:  # noqa: FBT001 - private, two callers
        """Tell one event, and before it what is missing."""
        place = self._place
        is_next = place.is_next(event.seq, event.kind)
        if not is_next and not (is_covered and seq.is_first(event.seq)):
            yield from self._bridge(event)
        if seq.is_first(event.seq):
            place.is_whole, place.owes_gap = True, False
        place.seen, place.has_ended = event.seq, event.kind.is_terminal
        if event.kind is EventType.DELTA and not place.is_whole:
            if place.owes_gap:
                yield self._gap(event.seq)
            return
        place.told = event.seq
        if event.kind is EventType.COMPLETED and not place.is_whole:
            place.is_whole = True
            event = self._with_result(event)
        yield event

    def _decide(self, before: int) -> None:
        """Decide whether a client that came back in mid-text has all of it: if the log had."""
        if self._place.is_whole is None:
            # While a divided job's parts run, there is no text that could be missing.
            self._place.is_whole = before >= self._place.seen or self._job.is_divided
            self._place.owes_gap = not self._place.is_whole
            self.has_gap = self._place.owes_gap and not self._job.status.is_terminal

    def _bridge(self, event: Told) -> Iterator[Told]:
        """Tell what lies before an event: from the row where it can be, or else as a gap."""
        first = seq.first_in(seq.epoch_of(event.seq))
        if seq.is_first(event.seq):
            yield from self._reach(event.seq)
        elif event.kind is EventType.COMPLETED and self._place.told < first:
            yield from self._reach(first)
            yield from self._fold(first, event.seq)
        else:
            yield self._gap(event.seq - 1)

    def _reach(self, first: int) -> Iterator[Told]:
        """Tell what lies before a block: of a new job that it was queued, otherwise a gap."""
        place = self._place
        if first == seq.first_in(1):
            if place.told == 0:
                queued = replace(queued_event(self._job), seq=seq.QUEUED, attempt=0)
                yield _told(replace(queued, at=self._job.created_at))
        elif place.told < first - 1:
            yield self._gap(first - 1)

    def _fold(self, first: int, end: int) -> Iterator[Told]:
        """Tell a completed attempt from its beginning, its text in as few deltas as can be."""
        started = started_event(self._job)
        if started is not None:
            yield _told(started)
            self._place.told = started.seq
        self._place.is_whole = True
        pieces = self._pieces()
        if pieces is None or len(pieces) > end - 1 - first:
            if end - 1 > self._place.told:
                yield self._gap(end - 1)
            self._place.is_whole = False
            return
        covered = first
        for number, text in enumerate(pieces, start=end - len(pieces)):
            yield self._delta(number, text, covers_from=covered + 1)
            covered = number

    def _pieces(self) -> list[str] | None:
        """Cut an inline text; what lies in the object store is told by reference."""
        result = self._job.result
        if result is None or not isinstance(result.payload, Inline):
            return None
        text = result.payload.text
        return [text[at : at + LONGEST_DELTA] for at in range(0, len(text), LONGEST_DELTA)]

    def _delta(self, number: int, text: str, *, covers_from: int) -> Told:
        event = self._event(EventType.DELTA, number, text=text)
        message = {**message_of(event), "seq_from": covers_from}
        return Told(number, EventType.DELTA, write_json(message))

    def _gap(self, number: int) -> Told:
        """Say that all from the place up to a number is missing, and with it the text."""
        self.has_gap = True
        event = self._event(EventType.GAP, number)
        message = {**message_of(event), "seq_from": self._place.told + 1}
        self._place.told, self._place.is_whole, self._place.owes_gap = number, False, False
        return Told(number, EventType.GAP, write_json(message))

    def _with_result(self, event: Told) -> Told:
        """Let the end tell the result, for whom the text is not whole."""
        message = json.loads(event.message)
        message["result"] = self._writer.write_result(self._job)
        return replace(event, message=write_json(message))

    def _event(self, kind: EventType, number: int, *, text: str | None = None) -> Event:
        job = self._job
        return Event(
            job=job.id,
            user=job.user,
            seq=number,
            type=kind,
            at=job.ended_at or job.updated_at or job.created_at,
            trace=job.trace,
            attempt=job.attempt,
            text=text,
        )


def _told(event: Event) -> Told:
    return Told(event.seq, event.type, write_json(message_of(event)))
