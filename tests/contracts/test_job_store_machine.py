"""Both job stores side by side through stories that nobody thought of: same answers, same rows."""

from __future__ import annotations

from dataclasses import dataclass
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

from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from jobs.claim import Claim
from jobs.errors import LonghaulError
from tests.contracts.stories import (
    LEASE,
    START,
    a_job,
    completed,
    failed,
    invoked,
    new_id,
    retrying,
    terms,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.stateful import MultipleResults

    from jobs.claim import ClaimTerms
    from jobs.outcome import Outcome
    from jobs.ports import JobStore
    from jobs.timeline import Step
    from tests.stack import Clients

ENDS: dict[str, Callable[..., Outcome]] = {
    "completed": completed,
    "failed": failed,
    "retrying": retrying,
}
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
    claims = Bundle("claims")

    @initialize()
    def add(self) -> None:
        self.now = START
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

    @rule(duration=st.sampled_from(STEPS_OF_TIME))
    def wait(self, duration: timedelta) -> None:
        self.now += duration

    @invariant()
    def rows_are_equal(self) -> None:
        rows = [store.get(self.job_id) for store in self.stores]
        assert rows[0] == rows[1]

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
    class Machine(TwoStores):
        stores = (
            MemoryJobStore(),
            DynamoDBJobStore(client=clients.dynamodb, table=table, retention=timedelta(days=30)),
        )

    few = settings(
        max_examples=25,
        stateful_step_count=20,
        deadline=None,
        phases=[Phase.reuse, Phase.generate],  # shrinking a failure would take minutes
    )

    run_state_machine_as_test(Machine, settings=few)
