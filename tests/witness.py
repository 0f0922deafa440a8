"""A watcher that believes nothing: it holds each event against what was really told of the job."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from jobs import seq
from jobs.events import EventType
from tests.watching import TERMINAL, fetch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.events import Event
    from jobs.ports import EventBus

ENDED = {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"}
VOIDING = {EventType.STARTED, EventType.RETRYING}


@dataclass(kw_only=True)
class Record:
    """What was told of one job, as a log would have it that loses nothing.

    `losses` counts how often Redis lost some of it. `result` is what the row is about to say.
    """

    numbers: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)
    losses: int = 0
    result: str | None = None

    @property
    def last(self) -> int:
        return self.numbers[-1] if self.numbers else 0

    def take(self, event: Event) -> None:
        """Take an event that is about to be published; a late word of a fenced worker is none."""
        if event.seq <= self.last:
            return
        text = "" if event.type in VOIDING else self.texts.get(self.last, "")
        self.texts[event.seq] = text + (event.text or "")
        self.numbers.append(event.seq)
        if event.type.is_state:
            self.states.append(event.seq)

    def states_between(self, one: int, other: int) -> list[int]:
        """Give the numbers of the state events between two numbers."""
        return [number for number in self.states if one < number < other]

    def following(self, number: int) -> int | None:
        """Give the number of the event that follows a number, if it was told already."""
        at = bisect.bisect_right(self.numbers, number)
        return self.numbers[at] if at < len(self.numbers) else None


class RecordingBus:
    """jobs.ports.EventBus that records what it passes on."""

    def __init__(self, bus: EventBus, record: Record) -> None:
        self._bus = bus
        self._record = record

    def publish(self, event: Event) -> None:
        self._record.take(event)
        self._bus.publish(event)

    def flush(self) -> None:
        self._bus.flush()


@dataclass(kw_only=True)
class Witness:
    """A client by the rules of docs/api.md, who fails at the first untrue word.

    `is_void` says that it was told of a gap in the text; `is_sure` that its text and number are
    what a client can have: one that names a number which cannot be yet is only owed the end.
    """

    record: Record
    base: str
    text: str = ""
    last: int = 0
    named: int = 0
    end: str | None = None
    is_void: bool = False
    is_sure: bool = True
    is_folded: bool = False
    losses_at_start: int = 0
    has_recovered: bool | None = None
    story: list[str] = field(default_factory=list)

    def go_on_after(self, number: int) -> None:
        """Be a client who has seen everything up to a number that was told."""
        self.last, self.text = number, self.record.texts.get(number, "")
        self.end, self.is_void, self.is_sure, self.is_folded = None, False, True, False

    def mistake(self, number: int) -> None:
        """Be a client who names a number that was never told."""
        self.last, self.text = number, ""
        self.end, self.is_void, self.is_sure = None, True, False

    def connect(self) -> int:
        """Begin a connection, and give the number that it is to go on after."""
        self.story.append(f"goes on after {self.last}")
        self.losses_at_start = self.record.losses
        self.has_recovered = None
        after = self.named = self.last
        if not self.is_sure:
            self.last = 0  # what it named is corrected: its numbers may begin below
        return after

    def take_opening(self, opening: Mapping[str, Any]) -> None:
        """Take `subscribed`."""
        self.has_recovered = opening["recovered"]
        if opening["job"]["status"] in ENDED and self.named >= opening["seq"]:
            self.end = "known"  # it need not be told
        self.story.append(f"recovered {self.has_recovered}")
        if self.is_sure and not self.record.losses:
            assert self.has_recovered, f"nothing was lost: {self}"

    def take(self, event: Mapping[str, Any]) -> None:
        """Take one event, and hold it against the record."""
        number, kind = event["seq"], EventType(event["event"])
        first = event.get("seq_from", number)
        self.story.append(f"{kind} {first}-{number}")
        assert self.last < first <= number, f"numbers do not rise: {self}"
        if self.is_sure:
            self._follow(first, number, kind)
        self.last = number
        match kind:
            case EventType.STARTED | EventType.RETRYING:
                self.text, self.is_void, self.is_sure, self.is_folded = "", False, True, False
            case EventType.DELTA:
                assert not (self.is_void and self.is_sure), f"text after a gap: {self}"
                self.text += event["text"]
                self.is_folded = self.is_folded or first < number
                self._compare(number)
            case EventType.GAP:
                assert self.is_sure is False or self._may_have_gap(), f"nothing was lost: {self}"
                self.text, self.is_void = "", True
            case EventType.COMPLETED:
                if result := event.get("result"):
                    self.text, self.is_sure = self._read(result), True
                if self.is_sure:
                    assert self.text == self.record.result, f"not the result: {self}"
        self.end = kind if kind in TERMINAL else None

    def _follow(self, first: int, number: int, kind: EventType) -> None:
        """Check that nothing between the last number and this one is passed over in silence."""
        is_next = first == self.last + 1
        begins_block = kind is not EventType.GAP and seq.is_first(first)
        is_kept_back = self.is_void and not self.record.states_between(self.last, first)
        is_covered = is_next or begins_block or is_kept_back
        assert is_covered, f"a silent hole before {first}: {self}"
        is_ahead = kind in TERMINAL and number > self.record.last  # read from the row
        if not self.record.losses and not is_ahead:
            assert self.record.following(self.last) == first, f"an event is missing: {self}"

    def _may_have_gap(self) -> bool:
        return bool(self.record.losses) and (
            self.has_recovered is not True or self.record.losses > self.losses_at_start
        )

    def _compare(self, number: int) -> None:
        """Check a text in mid-job; one that is told in few deltas is checked at the end."""
        if self.is_sure and not self.is_folded and number in self.record.texts:
            assert self.text == self.record.texts[number], f"not the text at {number}: {self}"

    def _read(self, result: Mapping[str, str]) -> str:
        return result["text"] if "text" in result else fetch(urljoin(self.base, result["url"]))

    def __str__(self) -> str:
        story = " | ".join(self.story[-40:])
        return f"{story}\n  the record: {self.record.numbers[-40:]}, {self.record.losses} losses"
