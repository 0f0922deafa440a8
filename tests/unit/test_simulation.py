"""What always holds, in stories of crashes, stops, losses and doubles; and that a fault is noticed.

SIM_SEED=123 replays one seed and prints its story; SIM_SEEDS=10000 tries more than the default.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from jobs.errors import ClaimLost
from tests.simulation import Design, RecordedStore, simulate

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.claim import Claim, ClaimRefused, ClaimTerms
    from jobs.job import Job, JobId
    from jobs.outcome import Change, Outcome
    from jobs.timeline import Step

SEEDS = int(os.environ.get("SIM_SEEDS", "400"))
ONE_SEED = os.environ.get("SIM_SEED")


def test_what_always_holds_holds_whatever_breaks() -> None:
    seeds = range(SEEDS) if ONE_SEED is None else [int(ONE_SEED)]

    for seed in seeds:
        story = simulate(seed)
        if ONE_SEED is not None:
            print("", *story.lines, sep="\n")  # noqa: T201 - the story is what was asked for

        assert not story.violations, (
            f"replay with SIM_SEED={seed} pytest -s tests/unit/test_simulation.py:\n"
            + "\n".join(story.violations)
        )


def test_a_seed_always_tells_the_same_story() -> None:
    for seed in range(10):
        first, second = simulate(seed), simulate(seed)

        assert first == second
        assert len(first.lines) > 10


class SettlesWithoutFence(RecordedStore):
    """Takes an outcome from whoever brings one."""

    def settle(self, claim: Claim, outcome: Outcome) -> Job:
        row = self.get(claim.job_id)
        if row.status.is_terminal:
            return super().settle(claim, outcome)
        self._tokens[claim.job_id] = claim.token
        in_any_epoch = replace(claim, job=replace(claim.job, epoch=row.epoch))
        return super().settle(in_any_epoch, outcome)


class MarksWithoutFence(RecordedStore):
    """Lets a worker that woke up too late begin its call."""

    def mark_invoked(self, claim: Claim, invoked: Step) -> None:
        try:
            super().mark_invoked(claim, invoked)
        except ClaimLost:
            row = self.get(claim.job_id)
            self._write(replace(row, timeline=(*row.timeline, invoked)))


class ClaimsTwice(RecordedStore):
    """Gives a running job to whoever asks, whatever its lease."""

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        row = self.get(job_id)
        if row.lease_until is not None and self._tokens.get(job_id) != terms.token:
            self._jobs[job_id] = replace(row, lease_until=row.created_at)
        return super().claim(job_id, terms)


class ForgetsInterruptedCalls(RecordedStore):
    """Does not tell a claimant that an earlier call has no known end."""

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        self._invoked.pop(job_id, None)
        return super().claim(job_id, terms)


class ClaimsInTheOldEpoch(RecordedStore):
    """Does not raise the epoch at a claim, so numbers are given twice."""

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        row = self._jobs.get(job_id)
        if row is not None and row.epoch and self._tokens.get(job_id) != terms.token:
            self._jobs[job_id] = replace(row, epoch=row.epoch - 1)
        return super().claim(job_id, terms)


class CancelsWithoutFence(RecordedStore):
    """Leaves the claim to whoever held it when the job was taken from them."""

    def change(self, job: Job, change: Change) -> Job:
        token = self._tokens.get(job.id)
        after = super().change(job, change)
        if token is not None:
            self._tokens[job.id] = token
        return after

    def settle(self, claim: Claim, outcome: Outcome) -> Job:
        row = self.get(claim.job_id)
        if row.status.is_terminal and row.epoch == claim.epoch + 1:
            self._jobs[row.id] = replace(row, status=claim.job.status, epoch=claim.epoch)
        return super().settle(claim, outcome)


class NeverDueAgain(RecordedStore):
    """Forgets a claimed job's time to look again."""

    def _write(self, job: Job) -> None:
        super()._write(replace(job, due_at=None) if job.lease_until else job)


class CountsNoAttempts(RecordedStore):
    """Lets a job that crashes its workers be tried for ever."""

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        row = self._jobs.get(job_id)
        if row is not None and row.attempt and self._tokens.get(job_id) != terms.token:
            self._jobs[job_id] = replace(row, attempt=row.attempt - 1)
        return super().claim(job_id, terms)


BROKEN = {
    "an outcome without a fence": Design(store=SettlesWithoutFence),
    "a mark without a fence": Design(store=MarksWithoutFence),
    "no mark before the call": Design(has_mark=False),
    "no renewals": Design(has_renewals=False),
    "no sweep": Design(has_sweep=False),
    "a claim that ignores the lease": Design(store=ClaimsTwice),
    "interrupted calls forgotten": Design(store=ForgetsInterruptedCalls),
    "a claim in the old epoch": Design(store=ClaimsInTheOldEpoch),
    "a cancel without a fence": Design(store=CancelsWithoutFence),
    "a claimed job that is never due": Design(store=NeverDueAgain),
    "kept answers that nobody looks for": Design(has_recovery=False),
    "attempts not counted": Design(store=CountsNoAttempts),
}


@pytest.mark.parametrize("design", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_design_is_noticed(design: Design) -> None:
    noticed = first_bad_seed(lambda seed: simulate(seed, design=design).violations)

    assert noticed is not None


def first_bad_seed(violations_of: Callable[[int], tuple[str, ...]]) -> int | None:
    return next((seed for seed in range(SEEDS) if violations_of(seed)), None)
