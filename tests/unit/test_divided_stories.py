"""Divided jobs through stories that nobody thought of: deaths, lost and doubled records, cancels.

Whatever happens, the job ends, and no part is paid for more often than workers died of it.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import ClaimLost
from jobs.job import JobStatus
from tests.builders import LEASE, stream_broke
from tests.mill import Mill

if TYPE_CHECKING:
    from jobs.events import EventType
    from jobs.job import JobId
    from jobs.ports import Invocation
    from jobs.task import Task

REDRIVABLE = {JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.EXPIRED}
ACTIONS = ["run"] * 8 + ["feed"] * 4 + ["die before", "die after", "break off", "lose records"]
ACTIONS += ["read again", "sweep", "sweep", "cancel", "redrive"]


class Died(BaseException):
    """A worker process is gone: nothing catches this, and nothing is written any more."""


class Story:
    """One divided job, and what happens to it."""

    def __init__(self) -> None:
        self.mill = Mill()
        self.waiting: list[Task] = []
        self.excuses: Counter[JobId] = Counter()  # calls that more than one may be paid for
        self.fate: str | None = None
        self.mill.model.before = self._meet_fate
        settle = self.mill.store.settle

        def settle_or_die(claim, outcome):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - the store's
            if self.fate == "die after" and self.mill.calls_of(claim.job_id):
                self.fate = None
                self.excuses[claim.job_id] += 1
                raise Died
            return settle(claim, outcome)

        self.mill.store.settle = settle_or_die  # type: ignore[method-assign]

    def _meet_fate(self, call: Invocation) -> None:
        fate, self.fate = self.fate, None if self.fate != "die after" else self.fate
        if fate in {"die before", "break off"}:
            self.excuses[call.job] += 1
        if fate == "die before":
            raise Died
        if fate == "break off":
            raise stream_broke()

    def act(self, action: str, choice: int) -> None:
        mill = self.mill
        match action:
            case "run":
                self.run(choice)
            case "feed":
                self.waiting += mill.feed()
            case "die before" | "die after" | "break off":
                self.fate = action
                self.run(choice)
                self.fate = None
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

    def run(self, choice: int) -> None:
        if not self.waiting:
            return
        task = self.waiting.pop(choice % len(self.waiting))
        try:
            self.mill.run(task)
        except (ClaimLost, Died):
            return

    def finish(self) -> None:
        """Let nothing more go wrong, and everyone do their part until all has ended."""
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
