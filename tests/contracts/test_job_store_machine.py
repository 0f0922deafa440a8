"""Both job stores side by side through stories that nobody thought of: same answers, same rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from adapters.dynamodb_due import DynamoDBDueJobs
from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from jobs import seq
from jobs.claim import Claim
from jobs.division import Division, PlanId
from jobs.due import next_due_at
from jobs.errors import LonghaulError
from jobs.job import JobError, JobStatus
from jobs.outcome import Cancelled, Expired, Failed, Gathered, Redriven
from jobs.timeline import StepName
from tests.builders import RecordingLog
from tests.contracts.stories import (
    LEASE,
    START,
    a_job,
    completed,
    divided,
    failed,
    invoked,
    new_id,
    partial,
    retrying,
    step,
    terms,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hypothesis.stateful import MultipleResults

    from jobs.claim import ClaimTerms
    from jobs.job import Job
    from jobs.outcome import Change, Outcome
    from jobs.ports import DueJobs, JobStore
    from jobs.timeline import Step
    from tests.stack import Clients


def expired(of: Claim, at: datetime) -> Expired:
    return replace(expired_change(of.job, at), seq=seq.first_in(of.epoch) + 3)


def given_back(of: Claim, at: datetime) -> Outcome:
    return replace(retrying(of, at, delay=timedelta(0)), gives_back=True)


def cancelled_change(job: Job, at: datetime) -> Cancelled:
    number = seq.next_first(job.epoch)
    return Cancelled(at=at, seq=number, steps=(step(StepName.CANCELLED, at),))


def expired_change(job: Job, at: datetime) -> Expired:
    return Expired(
        at=at,
        seq=seq.next_first(job.epoch),
        error=JobError(code="run_timeout", message="too late", retryable=True),
        steps=(step(StepName.EXPIRED, at),),
    )


def redriven_change(job: Job, at: datetime) -> Redriven:
    return Redriven(
        at=at,
        seq=seq.next_first(job.epoch),
        max_attempts=job.attempt + 5,
        steps=(step(StepName.REDRIVEN, at),),
    )


def failed_change(job: Job, at: datetime) -> Failed:
    error = JobError(code="part_failed", message="part 2 of 3", retryable=False)
    number = seq.next_first(job.epoch)
    return Failed(at=at, seq=number, error=error, steps=(step(StepName.FAILED, at),))


def gathered_change(job: Job, at: datetime) -> Gathered:
    number = seq.next_first(job.epoch)
    return Gathered(at=at, seq=number, steps=(step(StepName.GATHERED, at),))


ENDS: dict[str, Callable[..., Outcome]] = {
    "completed": completed,
    "failed": failed,
    "retrying": retrying,
    "expired": expired,
    "given back": given_back,
    "divided": divided,
}
CHANGES: dict[str, Callable[[Job, datetime], Change]] = {
    "cancelled": cancelled_change,
    "expired": expired_change,
    "redriven": redriven_change,
    "failed": failed_change,
    "gathered": gathered_change,
}
COMPLETED = JobStatus.COMPLETED
MOMENT = timedelta(milliseconds=1)
STEPS_OF_TIME = [
    timedelta(milliseconds=1),
    timedelta(seconds=3),
    LEASE / 2,
    LEASE + timedelta(milliseconds=1),
]


@dataclass
class Held:
    """A claim that both stores gave, with what was last done under it."""

    terms: ClaimTerms
    claim: Claim
    marked: Step | None = None
    outcome: Outcome | None = None


class TwoStores(RuleBasedStateMachine):
    """One job in each store; every rule does the same to both."""

    stores: tuple[JobStore, JobStore]
    due: tuple[DueJobs, DueJobs]
    claims = Bundle("claims")
    readings = Bundle("readings")
    found = Bundle("found")

    @initialize()
    def add(self) -> None:
        self.now = START
        self.last_change: tuple[Job, Change] | None = None
        self.job_id = new_id()
        job = a_job(self.job_id)
        self.both(lambda store: store.add(job))

    @rule(target=claims)
    def claim(self) -> Held | MultipleResults[Held]:
        asked = terms(self.now)
        answer = self.both(lambda store: store.claim(self.job_id, asked))
        return Held(asked, answer) if isinstance(answer, Claim) else multiple()

    @rule(held=claims)
    def claim_with_the_same_terms(self, held: Held) -> None:
        self.both(lambda store: store.claim(self.job_id, held.terms))

    @rule(held=claims)
    def mark(self, held: Held) -> None:
        step = held.marked = invoked(self.now)
        self.both(lambda store: store.mark_invoked(held.claim, step))

    @rule(held=claims)
    def repeat_the_mark(self, held: Held) -> None:
        if (step := held.marked) is not None:
            self.both(lambda store: store.mark_invoked(held.claim, step))

    @rule(held=claims, total=st.integers(2, 3))
    def begin_to_divide(self, held: Held, total: int) -> None:
        division = Division(plan=PlanId(f"plan {total}"), total=total)
        self.both(lambda store: store.mark_divided(held.claim, division))

    @rule(held=claims)
    def divide(self, held: Held) -> None:
        self.begin_to_divide(held, 2)
        self.settle(held, "divided")

    @rule(job=readings, number=st.integers(1, 3))
    def note_a_part(self, job: Job, number: int) -> None:
        if job.division is not None:
            self.both(lambda store: store.note_part(job, number, self.now))

    @rule(number=st.integers(1, 3))
    def note_a_part_of_the_row_as_it_is(self, number: int) -> None:
        self.note_a_part(self.stores[0].get(self.job_id), number)

    @rule(held=claims)
    def renew(self, held: Held) -> None:
        until = self.now + LEASE
        self.both(lambda store: store.renew(held.claim, until))

    @rule(held=claims, end=st.sampled_from(sorted(ENDS)))
    def settle(self, held: Held, end: str) -> None:
        outcome = held.outcome = ENDS[end](held.claim, self.now)
        self.both(lambda store: store.settle(held.claim, outcome))

    @rule(held=claims)
    def repeat_the_outcome(self, held: Held) -> None:
        if (outcome := held.outcome) is not None:
            self.both(lambda store: store.settle(held.claim, outcome))

    @rule(held=claims)
    def keep_partial(self, held: Held) -> None:
        kept = partial(held.claim, self.now)
        self.both(lambda store: store.keep_partial(held.claim, kept))

    @rule(target=readings)
    def read(self) -> Job:
        return self.stores[0].get(self.job_id)

    @rule(job=readings, change=st.sampled_from(sorted(CHANGES)))
    def change_by_an_old_reading(self, job: Job, change: str) -> None:
        self.change(job, change)

    @rule(change=st.sampled_from(sorted(CHANGES)))
    def change_the_row_as_it_is(self, change: str) -> None:
        self.change(self.stores[0].get(self.job_id), change)

    def change(self, job: Job, change: str) -> None:
        """Change only what the verbs would: they redrive what has ended, and end what has not."""
        if change == "gathered" and not job.is_divided:
            return
        if job.status.is_terminal == (change == "redriven") and job.status is not COMPLETED:
            self.now += MOMENT  # two who change a job in one millisecond cannot be told apart
            made = CHANGES[change](job, self.now)
            self.last_change = (job, made)
            self.both(lambda store: store.change(job, made))

    @rule()
    def repeat_the_change(self) -> None:
        if self.last_change is not None:
            job, made = self.last_change
            self.both(lambda store: store.change(job, made))

    @rule(target=found)
    def find(self) -> Job | MultipleResults[Job]:
        rows = [self.find_in(due) for due in self.due]
        assert rows[0] == rows[1]
        return rows[0][0] if rows[0] else multiple()

    def find_in(self, due: DueJobs) -> list[Job]:
        return [job for job in due.find(self.now, limit=1_000) if job.id == self.job_id]

    @rule(job=found)
    def put_off(self, job: Job) -> None:
        swept = step(StepName.SWEPT, self.now)
        until = next_due_at(job, self.now)
        was_ours = [due.put_off(job, until, swept) for due in self.due]
        assert was_ours[0] == was_ours[1]

    @rule(duration=st.sampled_from(STEPS_OF_TIME))
    def wait(self, duration: timedelta) -> None:
        self.now += duration

    @invariant()
    def rows_are_equal(self) -> None:
        rows = [store.get(self.job_id) for store in self.stores]
        assert rows[0] == rows[1]

    def teardown(self) -> None:
        """Take the job out of the index, so that the next story finds only its own."""
        if not hasattr(self, "job_id"):
            return
        for store in self.stores:
            job = store.get(self.job_id)
            if not job.status.is_terminal:
                store.change(job, cancelled_change(job, self.now))

    def both(self, act: Callable[[JobStore], object]) -> object:
        """Do the same to both, compare what they answer, and give it."""
        answers = [answer_of(act, store) for store in self.stores]
        assert answers[0] == answers[1]
        return answers[0]


def answer_of(act: Callable[[JobStore], object], store: JobStore) -> object:
    try:
        return act(store)
    except LonghaulError as error:
        return type(error)


@pytest.fixture(scope="module")
def table(clients: Clients) -> str:
    return clients.make_tables("Contract_JobStoreMachine")


def test_both_stores_answer_alike_whatever_happens(clients: Clients, table: str) -> None:
    memory = MemoryJobStore()
    dynamodb = clients.dynamodb

    class Machine(TwoStores):
        stores = (
            memory,
            DynamoDBJobStore(client=dynamodb, table=table, retention=timedelta(days=30)),
        )
        due = (memory, DynamoDBDueJobs(client=dynamodb, table=table, log=RecordingLog()))

    few = settings(
        max_examples=25,
        stateful_step_count=20,
        deadline=None,
        phases=[Phase.reuse, Phase.generate],  # shrinking a failure would take minutes
    )

    run_state_machine_as_test(Machine, settings=few)
