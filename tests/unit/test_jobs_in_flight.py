"""The ceiling on jobs in flight: who is let in, who is looked at again, and what it cannot stop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from adapters.memory import ManualClock, MemoryJobStore
from adapters.memory_limits import MemoryOpenJobs
from adapters.memory_lists import MemoryKeyedJobs
from jobs.errors import NotRedrivable, TooManyJobs, Unavailable
from jobs.idempotency import RequestKey
from jobs.in_flight import LOOK_EVERY, SUBMIT_TAKES, Ceiling
from jobs.job import Job, JobId, JobStatus, UserId
from jobs.outage import Outage
from jobs.redrive import redrive_job
from jobs.submit import Submitted, submit_job, submit_once
from tests.builders import RecordingLog, a_request, redrive_parts, submit_parts

ADA = UserId("ada")


class ShakyOpenJobs(MemoryOpenJobs):
    """jobs.in_flight.OpenJobs that can be away."""

    is_away = False

    def add(self, user: UserId, job_id: JobId, *, most: int) -> bool:
        if self.is_away:
            raise Unavailable("events", "away (test)")
        return super().add(user, job_id, most=most)


@dataclass
class Desk:
    """Where jobs are submitted, two in flight at most."""

    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryJobStore = field(default_factory=MemoryJobStore)
    log: RecordingLog = field(default_factory=RecordingLog)

    def __post_init__(self) -> None:
        self.open_jobs = ShakyOpenJobs(self.clock)
        self.ceiling = Ceiling(
            open_jobs=self.open_jobs,
            store=self.store,
            outage=Outage("ceiling", clock=self.clock, log=self.log),
            most=2,
        )
        self.parts = submit_parts(store=self.store, clock=self.clock, ceiling=self.ceiling)
        self.keyed = MemoryKeyedJobs(self.store)

    def submit(self, user: str = "ada") -> Job:
        return submit_job(a_request(user=UserId(user)), self.parts)

    def submit_under(self, name: str) -> Submitted:
        key = RequestKey.of(user=ADA, route="POST /v1/jobs", key=name, body={})
        return submit_once(a_request, key, self.parts, self.keyed)

    def end(self, job: Job) -> None:
        ended = replace(job, status=JobStatus.FAILED, ended_at=self.clock.now())
        self.store._write(ended)  # noqa: SLF001 - as if a worker had settled it

    def wait(self) -> None:
        self.clock.advance(SUBMIT_TAKES + LOOK_EVERY)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_each_user_has_so_many_jobs_in_flight(desk: Desk) -> None:
    for _ in range(2):
        desk.submit()

    with pytest.raises(TooManyJobs, match="2 jobs"):
        desk.submit()
    assert desk.submit("bob").user == "bob"
    assert len(desk.store.jobs_of(ADA)) == 2


def test_a_job_that_was_removed_makes_room(desk: Desk) -> None:
    first = desk.submit()
    desk.submit()

    desk.open_jobs.remove([(ADA, first.id)])

    assert desk.submit().user == "ada"


def test_who_seems_to_be_at_the_ceiling_is_looked_at_before_they_are_refused(desk: Desk) -> None:
    desk.end(desk.submit())  # and nobody has said so
    desk.submit()
    desk.wait()

    assert desk.submit().user == "ada"
    with pytest.raises(TooManyJobs):
        desk.submit()


def test_a_job_without_a_row_is_no_job(desk: Desk) -> None:
    desk.ceiling.admit(ADA, JobId("job_of_a_process_that_died"))
    desk.submit()
    with pytest.raises(TooManyJobs):
        desk.submit()  # it may still be on its way
    desk.wait()

    assert desk.submit().user == "ada"


def test_a_refused_user_costs_few_reads_however_often_they_come(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        desk.submit()
    desk.wait()
    reads: list[JobId] = []
    get = desk.store.get

    def counted(job_id: JobId) -> Job:
        reads.append(job_id)
        return get(job_id)

    monkeypatch.setattr(desk.store, "get", counted)

    for _ in range(10):
        with pytest.raises(TooManyJobs):
            desk.submit()

    assert len(reads) == 2


def test_a_job_that_could_not_be_written_is_not_in_flight(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def refuse(job: Job) -> None:
            raise Unavailable("store", f"no {job.id} (test)")

        patch.setattr(desk.store, "add", refuse)
        for _ in range(3):
            with pytest.raises(Unavailable):
                desk.submit()

    for _ in range(2):
        desk.submit()


def test_a_request_that_comes_again_is_not_refused(desk: Desk) -> None:
    first = desk.submit_under("one")
    desk.submit_under("two")

    again = desk.submit_under("one")

    assert (again.job.id, again.is_replay) == (first.job.id, True)
    with pytest.raises(TooManyJobs):
        desk.submit_under("three")


def test_of_equal_requests_that_race_one_is_in_flight(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = desk.submit_under("one")
    with monkeypatch.context() as patch:  # as if it had come a moment before the first was written
        patch.setattr(MemoryKeyedJobs, "find", lambda *_: None)
        patch.setattr(MemoryKeyedJobs, "add", lambda *_: first.job.id)
        assert desk.submit_under("one").is_replay

    assert desk.submit().user == "ada"


def test_a_redriven_job_is_in_flight_again(desk: Desk) -> None:
    job = desk.submit()
    desk.end(job)
    desk.open_jobs.remove([(ADA, job.id)])
    parts = replace(redrive_parts(desk.store), ceiling=desk.ceiling)
    for _ in range(2):
        desk.submit()

    with pytest.raises(TooManyJobs):
        redrive_job(desk.store.get(job.id), parts)
    desk.open_jobs.remove([(ADA, other.id) for other in desk.store.jobs_of(ADA)])
    assert redrive_job(desk.store.get(job.id), parts).status is JobStatus.PENDING
    with pytest.raises(NotRedrivable):
        redrive_job(desk.store.get(job.id), parts)


def test_without_the_counts_nobody_is_refused_and_it_is_told_once(desk: Desk) -> None:
    desk.open_jobs.is_away = True

    for _ in range(5):
        desk.submit()
        desk.clock.advance(timedelta(seconds=3))

    assert [line.event for line in desk.log.lines] == ["part_away"]
    desk.open_jobs.is_away = False
    desk.submit()
    assert [line.event for line in desk.log.lines] == ["part_away", "part_back"]


def test_a_row_that_cannot_be_read_counts_as_open(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        desk.submit()
    desk.wait()

    def refuse(job_id: JobId) -> Job:
        raise Unavailable("store", f"no {job_id} (test)")

    monkeypatch.setattr(desk.store, "get", refuse)
    with pytest.raises(TooManyJobs):
        desk.submit()
