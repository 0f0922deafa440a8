"""A job's life through its ports, in every order that several actors can think of.

Workers claim, mark, call, renew and settle with the product's own steps; callers submit, cancel and
redrive; the sweep expires and triggers; time passes. After each step stands what design.md says
always holds.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from adapters.memory import ManualClock, MemoryEvents, MemoryJobStore, MemoryTaskQueue
from jobs.answer import PaidAnswer
from jobs.cancel import cancel_job
from jobs.claim import Claim
from jobs.conclude import complete, expire, hand_over, over_before_the_call, retry_or_fail
from jobs.due import LONGEST_GRACE, is_first_look
from jobs.errors import ClaimLost, JobMoved, NotRedrivable
from jobs.expire import expire_job, expiry_of
from jobs.job import Inline, JobStatus, OnInterrupted
from jobs.redrive import redrive_job
from jobs.run import claim_job, keep_partial
from jobs.running import Run
from jobs.submit import submit_job
from jobs.sweep import sweep
from tests.builders import (
    LEASE,
    FixedChance,
    a_request,
    a_task,
    cancel_parts,
    expire_parts,
    redrive_parts,
    rejected,
    run_parts,
    stream_broke,
    submit_parts,
    sweep_parts,
    throttled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.stateful import MultipleResults

    from jobs.job import Job
    from jobs.outcome import Outcome

MOMENT = timedelta(milliseconds=1)
STEPS_OF_TIME = [
    MOMENT,
    timedelta(seconds=3),
    LEASE / 3,
    LEASE / 2,
    LEASE + MOMENT,
    timedelta(minutes=5),
]
TIMEOUTS = st.sampled_from([None, None, timedelta(seconds=40), timedelta(minutes=4)])
ENDS: dict[str, Callable[[Run], Outcome]] = {
    "completed": lambda run: complete(
        run,
        PaidAnswer(
            job=run.claim.job_id,
            attempt=run.claim.attempt,
            text=f"of epoch {run.claim.epoch}",
            usage=(7, 3),
            stop_reason="end_turn",
        ),
        Inline(text=f"of epoch {run.claim.epoch}"),
    ),
    "throttled": lambda run: retry_or_fail(run, throttled()),
    "stream broke": lambda run: retry_or_fail(run, stream_broke()),
    "rejected": lambda run: retry_or_fail(run, rejected()),
    "handed over": hand_over,
    "expired": expire,
}


class _Ours:
    """jobs.ports.Lease that finds nothing wrong: the store alone decides here."""

    def check(self) -> None:
        """Find nothing wrong."""

    def on_end(self, break_off: object) -> None:
        """Never call it."""


@dataclass(eq=False)
class Holder:
    """A worker with a claim that it believes in, however late it is."""

    run: Run
    outcome: Outcome | None = None

    @property
    def claim(self) -> Claim:
        return self.run.claim


class JobsLife(RuleBasedStateMachine):
    """One job, one store, any number of actors."""

    holders = Bundle("holders")
    readers = Bundle("readers")

    @initialize(
        on_interrupted=st.sampled_from(OnInterrupted), start_timeout=TIMEOUTS, run_timeout=TIMEOUTS
    )
    def submit(
        self,
        on_interrupted: OnInterrupted,
        start_timeout: timedelta | None,
        run_timeout: timedelta | None,
    ) -> None:
        self.clock = ManualClock()
        self.store = MemoryJobStore()
        self.events = MemoryEvents()
        self.queue = MemoryTaskQueue()
        shared = {"store": self.store, "events": self.events, "clock": self.clock}
        self.parts = run_parts(**shared, chance=FixedChance())
        request = a_request(
            on_interrupted=on_interrupted, start_timeout=start_timeout, run_timeout=run_timeout
        )
        submitting = submit_parts(**shared, feed=self.events, max_attempts=3)
        self.row = submit_job(request, submitting)
        changing = {"events": self.events, "clock": self.clock}
        self.cancelling = cancel_parts(self.store, **changing)
        self.expiring = expire_parts(self.store, **changing)
        self.redriving = redrive_parts(self.store, **changing, feed=self.events, attempts=3)
        self.sweeping = sweep_parts(self.store, **changing, queue=self.queue)
        self.calls: list[tuple[int, bool]] = []  # epoch, and whether nobody knows its end
        self.doubted: set[int] = set()  # epochs whose marked call nobody settled in time
        self.marked: int | None = None  # the epoch whose call is open, by the oracle's own books
        self.retries = self.doubts = 0  # in this round

    # workers

    @rule(target=holders)
    def claim(self) -> Holder | MultipleResults[Holder]:
        before = self.row
        claim = claim_job(a_task(before), self.parts)
        now = self.clock.now()
        waits = before.status.is_pending and (before.not_before or now) <= now
        lapsed = before.lease_until is not None and before.lease_until < now
        assert isinstance(claim, Claim) == (waits or lapsed)
        if not isinstance(claim, Claim):
            return multiple()
        if self.marked is not None:
            self.doubted.add(self.marked)
            self.doubts += 1
            self.marked = None
        self.moved(JobStatus.RUNNING, epochs=1)
        assert (claim.interrupted_at is not None) == bool(self.doubted)
        return Holder(Run(claim=claim, lease=_Ours(), parts=self.parts))

    @rule(target=holders)
    def claim_what_another_let_lapse(self) -> Holder | MultipleResults[Holder]:
        self.clock.advance(LEASE + MOMENT)
        return self.claim()

    @rule(holder=holders)
    def mark_and_call(self, holder: Holder) -> None:
        """Do what comes right before the call and, if that goes well, pay."""
        if holder.run.has_invoked:
            return
        if over_before_the_call(holder.run) is not None:
            return
        try:
            holder.run.mark_invoked()
        except ClaimLost:
            assert not self.is_held_by(holder)
            return
        assert self.is_held_by(holder)
        self.marked = holder.claim.epoch
        self.calls.append((holder.claim.epoch, bool(self.doubted)))
        self.same_state()

    @rule(holder=holders)
    def renew(self, holder: Holder) -> None:
        until = self.clock.now() + LEASE
        try:
            self.store.renew(holder.claim, until)
        except ClaimLost:
            assert not self.is_held_by(holder)
        else:
            assert self.is_held_by(holder)
            assert self.store.get(self.row.id).due_at == until
        self.same_state()

    @rule(holder=holders, end=st.sampled_from(sorted(ENDS)))
    def settle(self, holder: Holder, end: str) -> None:
        """End the attempt; one that is over before its call ends as the product says."""
        if holder.outcome is not None:
            return
        if not holder.run.has_invoked:
            over = over_before_the_call(holder.run)
            if over is None and end not in {"handed over", "expired"}:
                return
            outcome = over or ENDS[end](holder.run)
        else:
            outcome = ENDS[end](holder.run)
        self.write(holder, outcome)

    @rule(holder=holders)
    def settle_again_because_the_answer_was_lost(self, holder: Holder) -> None:
        if holder.outcome is not None:
            before = self.row
            with contextlib.suppress(ClaimLost):
                self.store.settle(holder.claim, holder.outcome)
            assert self.store.get(before.id) == before

    @rule(holder=holders)
    def keep_what_had_come(self, holder: Holder) -> None:
        """Do what a run does that finds its claim lost in mid-call."""
        if not holder.run.has_invoked:
            return
        holder.run.has_stream = True
        holder.run.came = [f"of epoch {holder.claim.epoch}"]
        keep_partial(holder.run)
        self.same_state()

    @rule(holder=consumes(holders))
    def die(self, holder: Holder) -> None:
        """Be gone without a word; the row does not know."""

    # callers, and the sweep

    @rule(target=readers)
    def read(self) -> Job:
        return self.row

    @rule()
    def cancel(self) -> None:
        self.clock.advance(MOMENT)  # see tests/contracts: one change a millisecond
        had_ended = self.row.status.is_terminal
        cancel_job(self.row, self.cancelling)
        self.changed(None if had_ended else JobStatus.CANCELLED)

    @rule(job=readers)
    def cancel_by_an_old_reading(self, job: Job) -> None:
        self.clock.advance(MOMENT)  # see tests/contracts: one change a millisecond
        had_ended = job.status.is_terminal or self.row.status.is_terminal
        after = cancel_job(job, self.cancelling)
        assert after.status.is_terminal
        self.changed(None if had_ended else JobStatus.CANCELLED)

    @rule(job=readers)
    def expire_by_an_old_reading(self, job: Job) -> None:
        self.clock.advance(MOMENT)  # see tests/contracts: one change a millisecond
        due = expiry_of(job, self.clock.now()) is not None
        fits = (job.epoch, job.status) == (self.row.epoch, self.row.status)
        try:
            expire_job(job, self.expiring)
        except JobMoved:
            assert not fits
        self.changed(JobStatus.EXPIRED if due and fits else None)

    @rule(job=readers)
    def redrive_by_an_old_reading(self, job: Job) -> None:
        self.clock.advance(MOMENT)  # see tests/contracts: one change a millisecond
        fits = (job.epoch, job.status) == (self.row.epoch, self.row.status)
        may = job.status in {JobStatus.FAILED, JobStatus.EXPIRED, JobStatus.CANCELLED}
        try:
            redrive_job(job, self.redriving)
        except NotRedrivable:
            assert not (fits and may)
            self.changed(None)
        else:
            assert fits
            assert may
            self.changed(JobStatus.PENDING)
            self.calls, self.retries, self.doubts = [], 0, 0

    @rule()
    def redrive(self) -> None:
        self.redrive_by_an_old_reading(self.row)

    @rule()
    def sweep(self) -> None:
        self.clock.advance(MOMENT)  # see tests/contracts: one change a millisecond
        now, before, told = self.clock.now(), self.row, len(self.queue.tasks)
        is_due = before.due_at is not None and before.due_at <= now
        moves = is_due and not is_first_look(before)
        expires = expiry_of(before, now) is not None
        assert sweep(self.sweeping) == is_due
        if moves and expires:
            self.changed(JobStatus.EXPIRED)
            return
        self.same_state()
        assert len(self.queue.tasks) - told == moves
        assert self.row.due_at is None or self.row.due_at > now

    @rule(duration=st.sampled_from(STEPS_OF_TIME))
    def wait(self, duration: timedelta) -> None:
        self.clock.advance(duration)

    # what always holds

    @invariant()
    def somebody_will_look_again(self) -> None:
        due = self.row.due_at
        assert (due is None) == self.row.status.is_terminal
        if due is not None:
            waits_for = max(self.clock.now(), self.row.not_before or self.clock.now())
            assert due <= waits_for + LONGEST_GRACE

    @invariant()
    def no_call_is_paid_beyond_the_bound(self) -> None:
        assert len(self.calls) <= 3
        assert len(self.calls) <= 1 + self.retries + self.doubts
        if self.row.on_interrupted is OnInterrupted.FAIL:
            assert not any(in_doubt for _, in_doubt in self.calls)

    @invariant()
    def no_number_is_given_twice(self) -> None:
        told = {(event.seq, event.type, event.text) for event in self.events.told}
        assert len(told) == len({number for number, _, _ in told})

    @invariant()
    def a_result_is_its_own_attempts(self) -> None:
        assert self.row.result is not None or self.row.status is not JobStatus.COMPLETED
        if self.row.result is not None:
            assert self.row.status in {JobStatus.COMPLETED, JobStatus.CANCELLED}
            epoch = self.row.epoch - (self.row.status is JobStatus.CANCELLED)
            assert self.row.result.payload == Inline(text=f"of epoch {epoch}")

    # the books

    def is_held_by(self, holder: Holder) -> bool:
        return (self.row.status, self.row.epoch) == (JobStatus.RUNNING, holder.claim.epoch)

    def write(self, holder: Holder, outcome: Outcome) -> None:
        held = self.is_held_by(holder)
        try:
            after = self.store.settle(holder.claim, outcome)
        except ClaimLost:
            assert not held
            self.same_state()
            return
        assert held
        holder.outcome = outcome
        self.marked = None
        self.doubted.clear()
        self.retries += after.status is JobStatus.PENDING_RETRY
        self.moved(after.status, epochs=0)
        holder.run.narrator.announce(outcome)

    def changed(self, status: JobStatus | None) -> None:
        """Take note that the job was taken from its holder, or (None) that it was not."""
        if status is None:
            self.same_state()
            return
        self.marked = None
        self.doubted.clear()
        self.moved(status, epochs=1)

    def moved(self, status: JobStatus, *, epochs: int) -> None:
        before, self.row = self.row, self.store.get(self.row.id)
        assert self.row.status is status
        assert self.row.epoch == before.epoch + epochs
        assert self.row.seq > before.seq
        assert before.status is not JobStatus.COMPLETED
        if before.status.is_terminal:
            assert status is JobStatus.PENDING

    def same_state(self) -> None:
        before, self.row = self.row, self.store.get(self.row.id)
        assert (self.row.status, self.row.epoch, self.row.seq) == (
            before.status,
            before.epoch,
            before.seq,
        )


def test_what_always_holds_holds_in_every_order() -> None:
    some = settings(max_examples=150, stateful_step_count=40, deadline=None)

    run_state_machine_as_test(JobsLife, settings=some)
