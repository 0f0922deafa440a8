"""Divided jobs through stories that nobody thought of: deaths, lost and doubled records, cancels.

Whatever happens, the job ends, and no part is paid for more often than workers died of it.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryJobStore
from jobs.errors import ClaimLost
from jobs.job import JobStatus
from tests.builders import LEASE, stream_broke
from tests.mill import Mill

if TYPE_CHECKING:
    from jobs.events import EventType
    from jobs.job import Job, JobId
    from jobs.model_ports import Invocation
    from jobs.task import Task

REDRIVABLE = {JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED}
ACTIONS = ["run"] * 8 + ["feed"] * 4 + ["die"] * 3 + ["break off", "lose records", "read again"]
ACTIONS += ["sweep", "sweep", "cancel", "redrive"]


class Died(BaseException):
    """A process is gone: nothing catches this, and nothing is written any more."""


class MortalStore(MemoryJobStore):
    """A store whose caller dies at its `dies_at`-th write: right before it, or right after."""

    def __init__(self) -> None:
        super().__init__()
        self.dies_at: int | None = None
        self.dies_after = False

    def _write(self, job: Job) -> None:
        is_last = self.dies_at == 1
        if self.dies_at is not None:
            self.dies_at -= 1
        if is_last and not self.dies_after:
            raise Died
        super()._write(job)
        if is_last:
            raise Died


class Story:
    """One divided job, and what happens to it."""

    def __init__(self) -> None:
        self.store = MortalStore()
        self.mill = Mill(store=self.store)
        self.waiting: list[Task] = []
        self.excuses: Counter[JobId] = Counter()  # calls that more than one may be paid for
        self.breaks_off = False
        self.mill.model.before = self._break_off

    def _break_off(self, call: Invocation) -> None:
        if self.breaks_off:
            self.breaks_off = False
            self.excuses[call.job] += 1
            raise stream_broke()

    def act(self, action: str, choice: int) -> None:
        match action:
            case "die":
                self.store.dies_at, self.store.dies_after = choice % 9 + 1, choice % 2 == 0
            case "break off":
                self.breaks_off = True
            case _:
                self.take_part(action, choice)
                self.store.dies_at = None

    def take_part(self, action: str, choice: int) -> None:
        """Let one process act, perhaps for the last time."""
        mill = self.mill
        try:
            match action:
                case "run":
                    self.run(choice)
                case "feed":
                    self.waiting += mill.feed()
                case "lose records":
                    mill.skip_records()
                case "read again":
                    mill.read_again()
                case "sweep":
                    self.waiting += mill.sweep_after((timedelta(seconds=7), LEASE)[choice % 2])
                case "cancel":
                    mill.cancel()
                case "redrive" if mill.job.status in REDRIVABLE:
                    mill.redrive()
        except Died:
            return  # who asked asks again, and what was not written down is read again

    def run(self, choice: int) -> None:
        if not self.waiting:
            return
        task = self.waiting.pop(choice % len(self.waiting))
        called = self.mill.calls_of(task.job_id)
        try:
            self.mill.run(task)
        except ClaimLost:
            return
        except Died:
            self.excuses[task.job_id] += self.mill.calls_of(task.job_id) - called
            raise

    def finish(self) -> None:
        """Let nothing more go wrong, and everyone do their part until all has ended."""
        self.store.dies_at, self.breaks_off = None, False
        for _ in range(80):
            self.waiting += self.mill.feed()
            while self.waiting:
                self.run(0)
            rows = [self.mill.job, *(self.mill.part_rows if self.mill.job.division else [])]
            if all(row.status.is_terminal for row in rows):
                return
            self.waiting += self.mill.sweep_after(LEASE)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 99)), max_size=60))
def test_a_divided_job_ends_and_no_part_is_paid_twice_without_a_death(
    story: list[tuple[str, int]],
) -> None:
    told = Story()
    mill = told.mill

    for action, choice in story:
        told.act(action, choice)
    redrives = sum(step.name == "redriven" for step in mill.job.timeline)
    told.finish()

    job = mill.job
    assert job.status.is_terminal
    for row in mill.part_rows if job.division else []:
        assert row.status.is_terminal
        again = sum(step.name == "redriven" for step in row.timeline)
        assert mill.calls_of(row.id) <= 1 + told.excuses[row.id] + again
    assert mill.calls_of(job.id) <= 1 + told.excuses[job.id] + redrives
    if job.status is JobStatus.COMPLETED:
        assert {row.status for row in mill.part_rows} == {JobStatus.COMPLETED}
        check_report(mill)
    check_events(mill)


def check_report(mill: Mill) -> None:
    report = [call for call in mill.model.invocations if call.job == mill.job.id][-1]
    asked = report.prompt.text or ""
    assert all(f"[page {number}]" in asked for number in range(1, 13))


def check_events(mill: Mill) -> None:
    meanings: dict[int, tuple[EventType, str | None, int | None]] = {}
    for event in mill.told():
        assert event.job == mill.job.id
        meaning = (event.type, event.text, event.done)
        assert meanings.setdefault(event.seq, meaning) == meaning
