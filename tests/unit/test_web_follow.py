"""Following: whatever is lost between a job and its watcher, nothing is silently missing."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.memory import ManualClock, MemoryObjectStore
from jobs import seq
from jobs.division import Division, PlanId
from jobs.events import Event, EventType, message_of
from jobs.job import Inline, Job, JobStatus, ObjectKey, Result, Stored
from jobs.ports import Heard, topic_of_job
from tests.builders import NOW, a_job
from web.follow import CatchUp, Place, Verdict
from web.job_json import JobWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST = seq.first_in(1)
TEXT = "".join(chr(97 + n % 26) for n in range(60))
WRITER = JobWriter(
    objects=MemoryObjectStore(), clock=ManualClock(), url_lifetime=timedelta(hours=1)
)


def heard(number: int, kind: EventType = EventType.DELTA, text: str | None = None) -> Heard:
    job = a_job()
    event = Event(
        job=job.id,
        user=job.user,
        seq=number,
        type=kind,
        at=NOW,
        trace=job.trace,
        attempt=1,
        text=text,
    )
    return Heard(
        topic=topic_of_job(job.id),
        job=job.id,
        seq=number,
        kind=kind,
        message=json.dumps(message_of(event)),
    )


def completed(number: int, text: str = TEXT, *, epoch: int = 1) -> Job:
    return a_job(
        status=JobStatus.COMPLETED,
        epoch=epoch,
        attempt=epoch,
        seq=number,
        started_at=NOW,
        ended_at=NOW,
        result=Result(payload=Inline(text=text), usage=None, stop_reason="end_turn"),
    )


def life(pieces: Sequence[str], *, epoch: int = 1) -> list[Heard]:
    """Give all events of a job that completes in its attempt of this epoch."""
    first = seq.first_in(epoch)
    deltas = [heard(first + n, text=piece) for n, piece in enumerate(pieces, 1)]
    end = first + len(pieces) + 1
    started = heard(first, EventType.STARTED)
    return [heard(1, EventType.QUEUED), started, *deltas, heard(end, EventType.COMPLETED)]


def catch_up(place: Place, job: Job, logged: Sequence[Heard]) -> list[dict[str, Any]]:
    return [json.loads(told.message) for told in CatchUp(place, job, WRITER).run(logged)]


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["event"] for message in messages]


PIECES = [TEXT[at : at + 10] for at in range(0, 60, 10)]
EVENTS = life(PIECES)
END = EVENTS[-1].seq


def test_who_goes_from_number_to_number_misses_nothing() -> None:
    place = Place()
    place.told = place.seen = 1

    assert [place.hear(event) for event in EVENTS[1:]] == [Verdict.TELL] * (len(EVENTS) - 1)
    assert place.hear(EVENTS[3]) is Verdict.DROP


def test_a_hole_is_caught_up_from_the_log() -> None:
    place = Place(told=EVENTS[2].seq, seen=EVENTS[2].seq)
    assert place.hear(EVENTS[5]) is Verdict.CATCH_UP

    messages = catch_up(place, a_job(status=JobStatus.RUNNING, epoch=1), EVENTS[2:6])

    assert [message["seq"] for message in messages] == [event.seq for event in EVENTS[3:6]]


def test_an_ended_job_without_a_log_is_told_from_its_row() -> None:
    messages = catch_up(Place(), completed(END), [])

    assert kinds(messages) == ["job.queued", "job.started", "job.delta", "job.completed"]
    assert messages[2]["text"] == TEXT
    assert (messages[2]["seq_from"], messages[2]["seq"]) == (EVENTS[2].seq, END - 1)


def test_a_long_text_is_told_in_pieces_that_fit_an_event() -> None:
    text = "x" * 20_000
    messages = catch_up(Place(), completed(1_000_001 + 10, text), [])

    deltas = [message for message in messages if message["event"] == "job.delta"]
    assert "".join(delta["text"] for delta in deltas) == text
    assert [delta["seq"] for delta in deltas] == [1_000_008, 1_000_009, 1_000_010]
    assert [delta["seq_from"] for delta in deltas] == [1_000_002, 1_000_009, 1_000_010]


def test_a_result_in_the_object_store_is_told_by_reference() -> None:
    job = completed(END)
    assert job.result is not None
    stored = replace(job.result, payload=Stored(key=ObjectKey("results/1"), size=10**6))

    messages = catch_up(Place(), replace(job, result=stored), [])

    assert kinds(messages) == ["job.queued", "job.started", "stream.gap", "job.completed"]
    assert messages[3]["result"]["url"].startswith("https://")


def test_who_comes_back_in_mid_text_after_the_log_is_gone_gets_the_result() -> None:
    place = Place(told=EVENTS[4].seq, seen=EVENTS[4].seq)

    gap, end = catch_up(place, completed(END), [])

    told = (gap["event"], gap["seq_from"], gap["seq"])
    assert told == ("stream.gap", EVENTS[5].seq, END - 1)
    assert (end["event"], end["seq"]) == ("job.completed", END)
    assert end["result"] == {"text": TEXT, "bytes": len(TEXT)}


def test_who_comes_back_right_before_the_end_without_a_log_gets_the_result_with_it() -> None:
    [end] = catch_up(Place.after(END - 1, completed(END)), completed(END), [])

    assert (end["event"], end["result"]["text"]) == ("job.completed", TEXT)


def test_who_comes_back_in_mid_text_while_the_log_is_there_goes_on() -> None:
    job = a_job(status=JobStatus.RUNNING, epoch=1, seq=1_000_001)
    place = Place.after(EVENTS[4].seq, job)
    logged = [event for event in EVENTS if event.seq >= place.reads_from]

    messages = catch_up(place, job, logged[:-1])

    assert [message["seq"] for message in messages] == [event.seq for event in EVENTS[5:-1]]
    assert place.hear(EVENTS[-1]) is Verdict.TELL


def test_a_log_that_was_lost_in_mid_job_is_a_gap_and_the_text_comes_with_the_end() -> None:
    place = Place(told=EVENTS[3].seq, seen=EVENTS[3].seq)
    running = a_job(status=JobStatus.RUNNING, epoch=1, seq=1_000_001)

    gap = catch_up(place, running, EVENTS[6:7])
    assert kinds(gap) == ["stream.gap"]  # and the delta is kept back: its text is not whole
    assert place.hear(EVENTS[7]) is Verdict.DROP
    assert place.hear(EVENTS[8]) is Verdict.CATCH_UP

    messages = catch_up(place, completed(END), EVENTS[6:])
    assert kinds(messages) == ["job.completed"]
    assert messages[0]["result"]["text"] == TEXT


def test_a_new_attempt_makes_the_text_whole_again() -> None:
    place = Place(told=EVENTS[3].seq, seen=EVENTS[6].seq, is_whole=False)
    again = life(PIECES, epoch=2)

    assert [place.hear(event) for event in again[1:]] == [Verdict.TELL] * (len(again) - 1)


RUNNING = a_job(status=JobStatus.RUNNING, epoch=1, seq=1_000_001)


def test_who_comes_back_in_mid_text_after_the_log_was_lost_is_told_so() -> None:
    place = Place.after(EVENTS[4].seq, RUNNING)
    catch_up_ = CatchUp(place, RUNNING, WRITER)
    assert catch_up_.run([]) == []
    assert catch_up_.has_gap
    assert place.hear(EVENTS[5]) is Verdict.CATCH_UP

    [gap] = catch_up(place, RUNNING, EVENTS[5:6])

    assert (gap["event"], gap["seq_from"], gap["seq"]) == ("stream.gap", *[EVENTS[5].seq] * 2)
    assert place.hear(EVENTS[6]) is Verdict.DROP
    [end] = catch_up(place, completed(END), EVENTS[5:])
    assert end["result"]["text"] == TEXT


@pytest.mark.parametrize("after", [EVENTS[-1].seq + 5, 1_999_999, 2_000_000, 9_007_199_254_740_991])
def test_a_number_that_cannot_be_yet_silences_nothing(after: int) -> None:
    place = Place.after(after, RUNNING)

    assert catch_up(place, RUNNING, EVENTS[1:4]) == []
    assert place.hear(EVENTS[3]) is Verdict.DROP
    assert place.hear(EVENTS[4]) is Verdict.CATCH_UP
    messages = catch_up(place, RUNNING, EVENTS[1:5])

    assert [message["seq"] for message in messages] == [EVENTS[4].seq]
    assert [place.hear(event) for event in EVENTS[5:]] == [Verdict.TELL] * len(EVENTS[5:])


@pytest.mark.parametrize("after", [EVENTS[-1].seq + 5, 1_999_999])
def test_a_number_that_cannot_be_yet_does_not_hide_what_came_all_at_once(after: int) -> None:
    place = Place.after(after, RUNNING)
    assert catch_up(place, RUNNING, EVENTS[1:4]) == []

    messages = catch_up(place, completed(END), EVENTS[1:])

    assert [message["seq"] for message in messages] == [event.seq for event in EVENTS[4:]]


def test_who_knows_more_than_a_log_that_lost_its_end_hears_of_no_number_twice() -> None:
    place = Place.after(EVENTS[5].seq, RUNNING)
    catch_up_ = CatchUp(place, RUNNING, WRITER)
    assert catch_up_.run(EVENTS[1:4]) == []
    assert not catch_up_.has_gap
    assert place.hear(EVENTS[6]) is Verdict.CATCH_UP

    [gap] = catch_up(place, RUNNING, [*EVENTS[1:4], EVENTS[6]])

    assert (gap["event"], gap["seq_from"], gap["seq"]) == ("stream.gap", *[EVENTS[6].seq] * 2)


def test_who_knows_more_than_a_log_that_lost_its_end_hears_a_new_attempt_from_its_first() -> None:
    place = Place.after(EVENTS[5].seq, RUNNING)
    assert catch_up(place, RUNNING, EVENTS[1:4]) == []
    again = life(PIECES, epoch=2)

    assert [place.hear(event) for event in again[1:]] == [Verdict.TELL] * (len(again) - 1)


def test_a_number_that_cannot_be_yet_does_not_hide_the_end_either() -> None:
    place = Place.after(1_999_999, RUNNING)
    assert catch_up(place, RUNNING, []) == []
    assert place.hear(EVENTS[5]) is Verdict.DROP
    assert place.hear(EVENTS[-1]) is Verdict.CATCH_UP

    [end] = catch_up(place, completed(END), [])

    assert (end["event"], end["seq"], end["result"]["text"]) == ("job.completed", END, TEXT)
    assert place.hear(EVENTS[-1]) is Verdict.DROP


def divided(number: int) -> Job:
    division = Division(plan=PlanId("plan"), total=5)
    return a_job(status=JobStatus.RUNNING, epoch=1, seq=number, division=division)


def test_a_jobs_progress_stands_for_the_progress_before_it() -> None:
    place = Place(told=FIRST, seen=FIRST)

    verdicts = [place.hear(heard(FIRST + n, EventType.PROGRESS)) for n in (2, 1, 3)]

    assert verdicts == [Verdict.TELL, Verdict.DROP, Verdict.TELL]


def test_progress_in_a_block_of_which_nothing_was_told_is_caught_up() -> None:
    place = Place(told=1, seen=1)

    assert place.hear(heard(FIRST + 2, EventType.PROGRESS)) is Verdict.CATCH_UP


def test_who_comes_back_to_a_divided_job_misses_nothing_where_progress_was_superseded() -> None:
    job = divided(FIRST + 4)
    place = Place.after(FIRST + 2, job)
    log = [heard(FIRST + n, EventType.PROGRESS) for n in (2, 4)]

    told = catch_up(place, job, [heard(FIRST, EventType.STARTED), *log])

    assert [(one["event"], one["seq"]) for one in told] == [("job.progress", FIRST + 4)]


def test_a_block_of_text_after_progress_is_whole() -> None:
    job = completed(2_000_003, "ab", epoch=2)
    place = Place(told=FIRST + 3, seen=FIRST + 3)
    log = [
        heard(FIRST + 3, EventType.PROGRESS),
        heard(2_000_001, EventType.STARTED),
        heard(2_000_002, text="ab"),
        heard(2_000_003, EventType.COMPLETED),
    ]

    told = catch_up(place, job, log)

    assert [one["event"] for one in told] == ["job.started", "job.delta", "job.completed"]


@dataclass
class Client:
    """A watcher as the docs tell people to write one: it keeps what it was told."""

    text: str = ""
    last: int = 0
    has_ended: bool = False
    gaps: int = 0
    numbers: list[int] = field(default_factory=list)

    def take(self, message: dict[str, Any]) -> None:
        assert message["seq"] > self.last, "numbers rise strictly"
        self.last = message["seq"]
        self.numbers.append(self.last)
        match message["event"]:
            case "job.retrying" | "job.started":
                self.text = ""
            case "job.delta":
                self.text += message["text"]
            case "stream.gap":
                self.gaps += 1
                self.text = ""
            case "job.completed":
                self.text = message.get("result", {"text": self.text})["text"]
                self.has_ended = True


@dataclass
class Story:
    """A job that is told while events, logs and connections are lost; `chance` says which."""

    chance: random.Random
    pieces: list[str]
    epoch: int
    client: Client = field(default_factory=Client)
    place: Place = field(default_factory=Place)
    log: list[Heard] = field(default_factory=list)
    has_ended: bool = False

    def run(self) -> Client:
        for event in life(self.pieces, epoch=self.epoch):
            self.has_ended = event.kind is EventType.COMPLETED
            if self.happens(0.95):  # otherwise an outbox overflowed
                self.log.append(event)
            if self.happens(0.08):  # Redis was wiped
                self.log.clear()
            if self.happens(0.15):  # the watcher goes away and comes back where it was
                self.place = Place.after(self.client.last, self.job)
                self.read_on()
            elif self.happens(0.8):
                self.hear(event)
        self.read_on()
        return self.client

    def happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    @property
    def job(self) -> Job:
        first = seq.first_in(self.epoch)
        if not self.has_ended:
            return a_job(status=JobStatus.RUNNING, epoch=self.epoch, seq=first)
        end = first + len(self.pieces) + 1
        return completed(end, "".join(self.pieces), epoch=self.epoch)

    def hear(self, event: Heard) -> None:
        match self.place.hear(event):
            case Verdict.TELL:
                self.client.take(json.loads(event.message))
            case Verdict.CATCH_UP:
                self.read_on()

    def read_on(self) -> None:
        logged = [event for event in self.log if event.seq >= self.place.reads_from]
        for message in catch_up(self.place, self.job, logged):
            self.client.take(message)


@pytest.mark.parametrize("comes_back", [False, True])
def test_who_has_seen_the_end_misses_nothing_of_a_redrive_though_the_log_was_lost(
    comes_back: bool,  # noqa: FBT001 - pytest's way
) -> None:
    ended = replace(completed(END), status=JobStatus.FAILED, result=None)
    place = Place.after(END, ended) if comes_back else Place()
    catch_up(place, ended, [])
    redriven = a_job(epoch=2, seq=2_000_001)

    messages = catch_up(place, redriven, [heard(2_000_001, EventType.QUEUED)])

    assert kinds(messages) == ["job.queued"]


def test_who_has_seen_an_end_and_misses_a_redrive_is_told_so() -> None:
    place = Place(told=END, seen=END, has_ended=True)
    again = a_job(status=JobStatus.RUNNING, epoch=3, seq=3_000_001)

    messages = catch_up(place, again, [heard(3_000_001, EventType.STARTED)])

    assert kinds(messages) == ["stream.gap", "job.started"]


@settings(max_examples=1000, deadline=None)
@example(seed=3928, pieces=["a"] * 5, epoch=1)  # the log lost its end to one who had heard it
@given(
    seed=st.integers(0, 2**32),
    pieces=st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=12),
    epoch=st.integers(1, 3),
)
def test_whatever_is_lost_the_watcher_ends_with_the_whole_text(
    seed: int, pieces: list[str], epoch: int
) -> None:
    story = Story(random.Random(seed), pieces, epoch)  # noqa: S311 - replayable

    client = story.run()

    assert client.has_ended
    assert client.text == "".join(pieces)
