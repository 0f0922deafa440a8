"""jobs.answer's ports, in memory, on S3, on disk and in either: each promise they make."""

from __future__ import annotations

import os
import stat
import threading
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.kept_answers import AnswersInEither, AnswersInObjects
from adapters.memory import ManualClock, MemoryObjectStore
from adapters.s3 import S3ObjectStore
from adapters.spool import AnswerSpool
from jobs.answer import PaidAnswer
from jobs.bring_home import bring_home
from jobs.errors import Unavailable
from jobs.job import JobId, ObjectKey, new_job_id
from jobs.trace import TraceId
from tests.builders import NOW, RecordingLog, ShakyObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from jobs.answer import KeptAnswers
    from jobs.ports import ObjectStore
    from tests.stack import Clients, LocalStack

JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where answers are kept, and a way to put something else where one would be."""

    kept: KeptAnswers
    log: RecordingLog
    objects: ObjectStore | None = None
    folder: Path | None = None

    def plant(self, answer: PaidAnswer, content: str) -> None:
        if self.folder is not None:
            (self.folder / f"{answer.job}.{answer.attempt}.json").write_text(content)
        if self.objects is not None:
            key = ObjectKey(f"answers/{answer.job}/{answer.attempt}.json")
            self.objects.put(key, content, content_type=JSON)


@pytest.fixture(params=["memory", "s3", "spool", "either", "either, while S3 is away"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    log, folder = RecordingLog(), tmp_path / "bucket"
    spool = AnswerSpool(folder, clock=ManualClock(), log=log)
    objects: ObjectStore = MemoryObjectStore()
    match request.param:
        case "memory":
            return Place(kept=in_objects(objects, log), log=log, objects=objects)
        case "s3":
            objects = request.getfixturevalue("s3")
            return Place(kept=in_objects(objects, log), log=log, objects=objects)
        case "spool":
            return Place(kept=spool, log=log, folder=folder)
        case "either":
            home = in_objects(objects, log)
        case _:
            home = in_objects(ShakyObjectStore(put=[away()] * 99), log)
            objects = home.objects
    return Place(
        kept=AnswersInEither(home=home, spool=spool),
        log=log,
        folder=folder if "away" in request.param else None,
        objects=None if "away" in request.param else objects,
    )


@pytest.fixture
def s3(clients: Clients, stand_ins: LocalStack) -> ObjectStore:
    return S3ObjectStore(client=clients.s3, bucket=stand_ins.environ["LONGHAUL_BUCKET"])


def in_objects(objects: ObjectStore, log: RecordingLog) -> AnswersInObjects:
    return AnswersInObjects(objects=objects, log=log)


def away() -> Unavailable:
    return Unavailable("objects", "cannot be reached (test)")


def an_answer(**changes: Any) -> PaidAnswer:  # noqa: ANN401 - a PaidAnswer's own fields
    answer = PaidAnswer(
        job=new_job_id(NOW, uuid.uuid4().bytes),
        attempt=1,
        text="Zoë drinks ☕ with 👩‍🚀\r\n\x00",
        usage=(7, 3),
        stop_reason="end_turn",
        trace_id=TraceId("1-6922915b-0123456789abcdef01234567"),
    )
    return replace(answer, **changes)


def test_what_was_kept_is_found_as_it_was(place: Place) -> None:
    answer = an_answer()

    place.kept.keep(answer)

    assert place.kept.find(answer.job, 1) == answer


@given(text=st.text(st.characters(exclude_categories=())), usage=st.none() | st.just((0, 2**40)))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_answer_is_found_as_it_was(
    place: Place, text: str, usage: tuple[int, int] | None
) -> None:
    answer = an_answer(text=text, usage=usage, stop_reason=None)

    place.kept.keep(answer)

    assert place.kept.find(answer.job, 1) == answer


def test_a_native_answer_is_found_with_its_own_json(place: Place) -> None:
    answer = an_answer(raw='{"completion": "Zoë ☕ \\ud83d"}')

    place.kept.keep(answer)

    assert place.kept.find(answer.job, 1) == answer


def test_what_nobody_kept_is_not_found(place: Place) -> None:
    answer = an_answer()
    place.kept.keep(answer)

    assert place.kept.find(answer.job, 2) is None
    assert place.kept.find(an_answer().job, 1) is None
    assert place.log.count("answer_unreadable") == 0


def test_each_attempts_answer_is_kept_by_itself(place: Place) -> None:
    first = an_answer()
    second = replace(first, attempt=2, text="another")

    place.kept.keep(first)
    place.kept.keep(second)

    assert place.kept.find(first.job, 1) == first
    assert place.kept.find(first.job, 2) == second


def test_keeping_again_changes_nothing(place: Place) -> None:
    answer = an_answer()

    place.kept.keep(answer)
    place.kept.keep(answer)
    place.kept.forget(answer)

    assert place.kept.find(answer.job, 1) is None


def test_what_was_forgotten_is_not_found(place: Place) -> None:
    answer, other = an_answer(), an_answer()
    place.kept.keep(answer)
    place.kept.keep(other)

    place.kept.forget(answer)

    assert place.kept.find(answer.job, 1) is None
    assert place.kept.find(other.job, 1) == other


def test_what_is_not_there_can_be_forgotten(place: Place) -> None:
    place.kept.forget(an_answer())


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '"text"',
        "{}",
        an_answer().to_json(),
        an_answer().to_json()[:-9],
        '{"job": 1, "attempt": "1", "text": null, "usage": [], "stop_reason": 0}',
    ],
    ids=[
        "nothing",
        "half",
        "a list",
        "a text",
        "no fields",
        "another job's",
        "cut short",
        "other types",
    ],
)
def test_what_is_not_this_calls_answer_is_passed_over_with_a_warning(
    place: Place, content: str
) -> None:
    answer = an_answer()
    place.kept.keep(answer)

    place.plant(answer, content)

    assert place.kept.find(answer.job, 1) is None
    assert place.log.count("answer_unreadable") == 1


def test_another_attempts_answer_under_this_ones_name_is_passed_over(place: Place) -> None:
    answer = an_answer()
    place.kept.keep(answer)

    place.plant(answer, replace(answer, attempt=2).to_json())

    assert place.kept.find(answer.job, 1) is None


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "bucket"


@pytest.fixture
def spool(folder: Path, clock: ManualClock, log: RecordingLog) -> AnswerSpool:
    return AnswerSpool(folder, clock=clock, log=log)


def left_in(spool: AnswerSpool) -> list[PaidAnswer]:
    return list(spool.find_left())


def test_the_spool_is_its_owners_alone(folder: Path, spool: AnswerSpool) -> None:
    spool.keep(an_answer())

    [file] = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_is_made_before_something_is_kept(folder: Path, spool: AnswerSpool) -> None:
    assert left_in(spool) == []
    assert spool.find(an_answer().job, 1) is None
    spool.forget(an_answer())
    assert not folder.exists()


def test_a_spool_that_holds_enough_takes_no_more(folder: Path, log: RecordingLog) -> None:
    first = an_answer(text="x" * 900)
    spool = AnswerSpool(folder, clock=ManualClock(), log=log, most_bytes=1500)
    spool.keep(first)

    with pytest.raises(Unavailable):
        spool.keep(an_answer(text="x" * 900))

    assert left_in(spool) == [first]


def test_a_disk_that_is_full_is_unavailable_and_leaves_nothing(
    folder: Path, spool: AnswerSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.spool.os.fsync", disk_full)

    with pytest.raises(Unavailable):
        spool.keep(an_answer())

    assert list(folder.iterdir()) == []


def disk_full(_handle: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path, log: RecordingLog) -> None:
    (tmp_path / "file").write_text("in the way")
    spool = AnswerSpool(tmp_path / "file" / "bucket", clock=ManualClock(), log=log)

    with pytest.raises(Unavailable):
        spool.keep(an_answer())

    assert spool.find(an_answer().job, 1) is None


def test_a_spool_says_whether_it_can_be_used(
    tmp_path: Path, folder: Path, spool: AnswerSpool, log: RecordingLog
) -> None:
    (tmp_path / "file").write_text("in the way")
    spool.prepare()
    spool.prepare()

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []
    with pytest.raises(Unavailable):
        AnswerSpool(tmp_path / "file" / "bucket", clock=ManualClock(), log=log).prepare()


def test_an_id_that_is_no_name_for_a_file_is_not_spooled(spool: AnswerSpool) -> None:
    climber = JobId("../../etc/job")

    with pytest.raises(Unavailable):
        spool.keep(an_answer(job=climber))

    assert spool.find(climber, 1) is None


def test_an_answer_is_on_the_disk_whole_or_not_at_all(
    folder: Path, spool: AnswerSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def look(_handle: int) -> None:
        seen.append([file.suffix for file in folder.iterdir()])

    monkeypatch.setattr("adapters.spool.os.fsync", look)

    spool.keep(an_answer())

    assert seen == [[".unfinished"], [".json"]]


def test_what_is_left_is_given_whoever_kept_it(
    folder: Path, spool: AnswerSpool, clock: ManualClock, log: RecordingLog
) -> None:
    answers = [an_answer(), an_answer(attempt=3)]
    for answer in answers:
        AnswerSpool(folder, clock=clock, log=log).keep(answer)

    assert sorted(left_in(spool), key=answers.index) == answers


def test_files_of_others_are_left_alone(folder: Path, spool: AnswerSpool) -> None:
    answer = an_answer()
    spool.keep(answer)
    theirs = folder / "notes.txt"
    theirs.write_text("not ours")

    assert left_in(spool) == [answer]
    assert theirs.exists()


def test_a_file_that_cannot_be_read_is_warned_of_once_and_stays(
    folder: Path, spool: AnswerSpool, log: RecordingLog
) -> None:
    answer = an_answer()
    spool.keep(answer)
    [file] = folder.iterdir()
    file.write_text("spoiled")

    assert left_in(spool) == left_in(spool) == []

    assert log.count("answer_unreadable") == 1
    assert file.exists()


def test_what_is_too_old_goes(folder: Path, spool: AnswerSpool, clock: ManualClock) -> None:
    spool.keep(an_answer())
    [file] = folder.iterdir()
    unfinished = folder / "tmp123.unfinished"
    unfinished.write_text("half")
    young, old = clock.now() - timedelta(days=6), clock.now() - timedelta(days=8)

    for at, gone in ((young, False), (old, True)):
        for each in (file, unfinished):
            os.utime(each, (at.timestamp(), at.timestamp()))
        assert len(left_in(spool)) == (0 if gone else 1)
        assert [each.exists() for each in (file, unfinished)] == [not gone] * 2


def home_of(log: RecordingLog, put: Iterable[Exception] = ()) -> AnswersInObjects:
    return in_objects(ShakyObjectStore(put=put), log)


def test_what_was_left_is_brought_home(spool: AnswerSpool, log: RecordingLog) -> None:
    answers, home = [an_answer(), an_answer()], home_of(log)
    for answer in answers:
        spool.keep(answer)

    assert bring_home(spool, home, log) == 2

    assert left_in(spool) == []
    assert [home.find(answer.job, 1) for answer in answers] == answers


def test_what_cannot_be_brought_home_stays(spool: AnswerSpool, log: RecordingLog) -> None:
    answer = an_answer()
    spool.keep(answer)
    home = home_of(log, put=[away()])

    with pytest.raises(Unavailable):
        bring_home(spool, home, log)

    assert left_in(spool) == [answer]
    assert bring_home(spool, home, log) == 1


def test_what_was_brought_home_meanwhile_is_forgotten_there(
    spool: AnswerSpool, log: RecordingLog
) -> None:
    home = home_of(log, put=[away()])
    either, answer = AnswersInEither(home=home, spool=spool), an_answer()
    either.keep(answer)
    bring_home(spool, home, log)

    assert either.find(answer.job, 1) == answer
    either.forget(answer)

    assert home.find(answer.job, 1) is None


def test_many_threads_may_keep_and_carry_at_once(spool: AnswerSpool, log: RecordingLog) -> None:
    answers, home = [an_answer() for _ in range(40)], home_of(log)
    carriers = [threading.Thread(target=bring_home, args=(spool, home, log)) for _ in range(4)]
    keepers = [threading.Thread(target=spool.keep, args=(answer,)) for answer in answers]

    for thread in (*keepers, *carriers):
        thread.start()
    for thread in (*keepers, *carriers):
        thread.join()
    bring_home(spool, home, log)

    assert [home.find(answer.job, 1) for answer in answers] == answers
