import json
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import ManualClock, MemoryEvents
from jobs import seq
from jobs.events import Event, EventType, message_of
from jobs.job import Inline, JobError, Result
from jobs.narrate import BATCH_CHARACTERS, LONGEST_DELTA, Narrator
from jobs.outcome import Completed, Failed, Outcome, Retrying
from tests.builders import JOB_ID, NOW, a_claim, a_trace

MOMENT = timedelta(milliseconds=1)
ERROR = JobError(code="model_throttled", message="Too many requests", retryable=True)
# The characters that JSON writes longest: control characters, quotes, emoji, everything else.
WIDE_TEXT = st.text(
    st.sampled_from('\x00\x1f\x7f"\\\u2028\U0001f9ea\U0010ffffa') | st.characters(), max_size=200
)


class Told:
    """A narrator with what it told."""

    def __init__(self, *, epoch: int = 1) -> None:
        self.clock = ManualClock()
        self.bus = MemoryEvents()
        self.narrator = Narrator(
            claim=a_claim(epoch=epoch, attempt=epoch), events=self.bus, clock=self.clock
        )

    @property
    def events(self) -> list[Event]:
        return self.bus.told

    @property
    def texts(self) -> list[str | None]:
        return [event.text for event in self.bus.told]


def test_the_first_piece_is_told_at_once() -> None:
    told = Told()

    told.narrator.tell_delta("Hel")

    assert told.texts == ["Hel"]


def test_pieces_within_50_ms_of_the_last_event_wait_for_each_other() -> None:
    told = Told()

    told.narrator.tell_delta("a")
    for piece in ("b", "c", "d"):
        told.clock.advance(10 * MOMENT)
        told.narrator.tell_delta(piece)

    assert told.texts == ["a"]


def test_a_piece_that_comes_50_ms_after_the_last_event_takes_the_waiting_ones_along() -> None:
    told = Told()

    told.narrator.tell_delta("a")
    told.clock.advance(49 * MOMENT)
    told.narrator.tell_delta("b")
    told.clock.advance(MOMENT)
    told.narrator.tell_delta("c")

    assert told.texts == ["a", "bc"]


def test_4096_characters_do_not_wait() -> None:
    told = Told()

    told.narrator.tell_delta("a")
    told.narrator.tell_delta("b" * (BATCH_CHARACTERS - 1))
    assert told.texts == ["a"]
    told.narrator.tell_delta("c")

    assert told.texts == ["a", "b" * (BATCH_CHARACTERS - 1) + "c"]


def test_what_waits_is_told_by_a_flush_once() -> None:
    told = Told()

    told.narrator.tell_delta("a")
    told.narrator.tell_delta("b")
    told.narrator.flush()
    told.narrator.flush()

    assert told.texts == ["a", "b"]


def test_an_empty_flush_tells_nothing() -> None:
    told = Told()

    told.narrator.flush()

    assert told.events == []


def test_a_long_piece_is_split() -> None:
    told = Told()

    told.narrator.tell_delta("x" * (2 * LONGEST_DELTA + 1))

    assert [len(text or "") for text in told.texts] == [LONGEST_DELTA, LONGEST_DELTA, 1]


@pytest.mark.parametrize("worst", ["\x00", "\x1f", '"', "\\", "\U0001f9ea", "\u2028"])
def test_the_longest_delta_stays_under_64_kib_whatever_its_characters(worst: str) -> None:
    told = Told()

    told.narrator.tell_delta(worst * LONGEST_DELTA)

    (event,) = told.events
    message = json.dumps(message_of(event), ensure_ascii=False, separators=(",", ":"))
    assert len(message.encode()) < 64 * 1024


@settings(deadline=None)
@given(pieces=st.lists(st.tuples(WIDE_TEXT, st.integers(0, 100), st.integers(1, 60))))
def test_the_deltas_joined_are_the_text(pieces: list[tuple[str, int, int]]) -> None:
    told = Told(epoch=3)

    told.narrator.tell_started()
    for text, pause, times in pieces:
        told.narrator.tell_delta(text * times)
        told.clock.advance(pause * MOMENT)
    told.narrator.flush()

    deltas = told.events[1:]
    assert "".join(event.text or "" for event in deltas) == "".join(
        text * times for text, _, times in pieces
    )
    assert {event.type for event in deltas} <= {EventType.DELTA}
    assert [event.seq for event in told.events] == list(
        range(seq.first_in(3), seq.first_in(3) + len(told.events))
    )
    assert all(before.at <= after.at for before, after in pairwise(told.events))
    assert all(event.text for event in deltas)


def test_the_start_takes_the_number_that_the_claim_put_in_the_row() -> None:
    told = Told(epoch=2)

    told.narrator.tell_started()

    assert told.events == [
        Event(
            job=JOB_ID,
            user=a_claim().job.user,
            seq=2_000_001,
            type=EventType.STARTED,
            at=NOW,
            trace=a_trace(),
            attempt=2,
        )
    ]


def test_the_last_number_follows_the_last_delta() -> None:
    told = Told(epoch=2)

    told.narrator.tell_started()
    told.narrator.tell_delta("a")

    assert told.narrator.take_seq() == 2_000_003


@pytest.mark.parametrize(
    ("outcome", "kind", "error", "delay"),
    [
        (
            Completed(
                at=NOW,
                seq=9,
                steps=(),
                result=Result(payload=Inline(text="hi"), usage=None, stop_reason=None),
            ),
            EventType.COMPLETED,
            None,
            None,
        ),
        (Failed(at=NOW, seq=9, steps=(), error=ERROR), EventType.FAILED, ERROR, None),
        (
            Retrying(
                at=NOW, seq=9, steps=(), error=ERROR, delay=timedelta(seconds=3), retry_counts=(1,)
            ),
            EventType.RETRYING,
            ERROR,
            timedelta(seconds=3),
        ),
    ],
)
def test_each_outcome_has_its_event(
    outcome: Outcome, kind: EventType, error: JobError | None, delay: timedelta | None
) -> None:
    told = Told()

    told.narrator.announce(outcome)

    (event,) = told.events
    assert (event.type, event.seq, event.at) == (kind, 9, NOW)
    assert (event.text, event.error, event.delay) == (None, error, delay)


def test_a_block_of_numbers_follows_the_block_before_it() -> None:
    assert seq.first_in(0) == seq.QUEUED == 1
    assert [seq.first_in(2), seq.next_first(1)] == [2_000_001, 2_000_001]
    assert next(seq.numbers_after_first(2)) == 2_000_002
    assert [seq.epoch_of(number) for number in (1, 1_000_000, 1_000_001, 2_000_000)] == [0, 0, 1, 1]
    assert [seq.is_first(number) for number in (1, 2, 1_000_000, 1_000_001)] == [
        True,
        False,
        False,
        True,
    ]


@settings(deadline=None)
@given(epoch=st.integers(0, 2**53 // seq.BLOCK - 1))
def test_numbers_of_a_later_epoch_are_higher_and_fit_javascript(epoch: int) -> None:
    last_of_block = seq.first_in(epoch) + seq.BLOCK - 1

    assert last_of_block < seq.first_in(epoch + 1) <= 2**53
