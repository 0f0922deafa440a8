import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest

from adapters.clock import SystemClock
from adapters.memory import ManualClock
from jobs.cancel import cancel_job
from jobs.claim import Claim
from jobs.errors import ClaimLost, DeadlinePassed, HandedOver
from jobs.fenced import Fenced
from jobs.job import Job, JobId
from tests.builders import (
    JOB_ID,
    LEASE,
    NOW,
    HeldTimers,
    RecordingLog,
    ShakyJobStore,
    a_job,
    cancel_parts,
    claim_terms,
    lost,
    store_away,
)
from tests.stack import wait_until
from workers.leases import KeptLease, RenewingLeases
from workers.timers import Timers

if TYPE_CHECKING:
    from concurrent.futures import Future

THIRD = LEASE / 3
MOMENT = timedelta(seconds=2)
DEADLINE = 10.0  # seconds until a test gives up on a condition


class Kept:
    """A claim in a store, and what keeps it."""

    def __init__(self, job: Job | None = None, **failures: list[Exception]) -> None:
        self.store = ShakyJobStore(**failures)
        self.clock = ManualClock()
        self.log = RecordingLog()
        self.timers = HeldTimers(self.clock, self.log)
        self.leases = RenewingLeases(
            store=self.store, clock=self.clock, log=self.log, timers=self.timers
        )
        self.store.add(job or a_job())
        claim = self.store.claim(JOB_ID, claim_terms())
        assert isinstance(claim, Claim)
        self.claim = claim
        self.broken_off = 0

    def lease(self) -> KeptLease:
        return KeptLease(self.claim, store=self.store, clock=self.clock, log=self.log)

    def move_to_next_renewal(self) -> None:
        """Move the clock to the next renewal, and wait for its end, however it ends."""
        renewal = cast("Future[None]", self.timers.move_to_next())
        renewal.exception(timeout=DEADLINE)

    def break_off(self) -> None:
        self.broken_off += 1

    @property
    def renewals(self) -> int:
        return self.store.calls.count("renew")

    @property
    def lease_until(self) -> datetime | None:
        return self.store.get(JOB_ID).lease_until


def test_a_claim_is_renewed_every_third_of_its_lease() -> None:
    kept = Kept()

    with kept.leases.keep(kept.claim):
        for renewal in range(1, 7):
            assert [at for at, _ in kept.timers.held] == [NOW + renewal * THIRD]
            kept.move_to_next_renewal()
            assert kept.lease_until == NOW + renewal * THIRD + LEASE

    assert kept.renewals == 6


def test_the_end_of_the_run_stops_the_renewals() -> None:
    kept = Kept()

    with kept.leases.keep(kept.claim):
        kept.move_to_next_renewal()
    kept.move_to_next_renewal()

    assert kept.renewals == 1
    assert kept.timers.held == []


def test_a_run_that_breaks_stops_the_renewals_too() -> None:
    kept = Kept()

    with pytest.raises(RuntimeError), kept.leases.keep(kept.claim):
        raise RuntimeError
    kept.move_to_next_renewal()

    assert kept.renewals == 0
    assert kept.timers.held == []


def test_a_refused_renewal_breaks_the_run_off_once() -> None:
    kept = Kept(renew=[lost()])

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
        kept.move_to_next_renewal()
        for _ in range(2):
            with pytest.raises(ClaimLost):
                lease.check()

    assert kept.broken_off == 1
    assert kept.timers.held == []
    assert kept.log.count("run_must_end") == 1


def test_whoever_asks_after_the_loss_is_broken_off_at_once() -> None:
    kept = Kept(renew=[lost()])

    with kept.leases.keep(kept.claim) as lease:
        kept.move_to_next_renewal()
        lease.on_end(kept.break_off)

    assert kept.broken_off == 1


def test_a_claim_that_another_took_is_found_lost() -> None:
    kept = Kept()

    with kept.leases.keep(kept.claim) as lease:
        kept.clock.advance(2 * LEASE)
        kept.store.claim(JOB_ID, claim_terms(at=kept.clock.now(), token="other"))
        with pytest.raises(ClaimLost):
            lease.check()


def test_a_store_that_is_away_is_asked_again_in_a_moment() -> None:
    kept = Kept(renew=[store_away()])

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
        kept.move_to_next_renewal()
        assert kept.log.count("renewal_failed") == 1
        kept.move_to_next_renewal()
        lease.check()

    assert kept.lease_until == NOW + THIRD + MOMENT + LEASE
    assert kept.broken_off == 0


def test_a_claim_that_took_long_to_be_given_is_renewed_a_third_after_its_terms() -> None:
    kept = Kept()
    kept.clock.advance(timedelta(seconds=50))

    with kept.leases.keep(kept.claim):
        assert [at for at, _ in kept.timers.held] == [NOW + THIRD]


def test_a_renewal_that_breaks_unforeseen_is_logged_and_tried_again() -> None:
    kept = Kept(renew=[RuntimeError("unforeseen")])

    with kept.leases.keep(kept.claim):
        kept.move_to_next_renewal()

        assert [at for at, _ in kept.timers.held] == [NOW + THIRD + MOMENT]
        assert [line.level for line in kept.log.lines] == ["warning"]


def test_a_claim_within_its_lease_is_checked_without_asking_the_store() -> None:
    kept = Kept()
    lease = kept.lease()

    lease.check()
    kept.clock.advance(LEASE)
    lease.check()

    assert kept.renewals == 0


def test_a_lapsed_lease_is_renewed_before_anything_else_is_said() -> None:
    kept = Kept()
    lease = kept.lease()

    kept.clock.advance(LEASE + timedelta(milliseconds=1))
    lease.check()
    lease.check()

    assert kept.renewals == 1
    assert kept.lease_until == kept.clock.now() + LEASE


def test_a_lapsed_lease_that_is_refused_is_lost() -> None:
    kept = Kept(renew=[lost()])
    lease = kept.lease()
    lease.on_end(kept.break_off)

    kept.clock.advance(2 * LEASE)
    with pytest.raises(ClaimLost):
        lease.check()

    assert lease.is_over
    assert kept.broken_off == 1


def test_a_lapsed_lease_of_a_store_that_is_away_goes_on_in_doubt() -> None:
    """What is paid for is kept: the pre-flight write and the outcome are conditional anyway."""
    kept = Kept(renew=[store_away(), store_away()])
    lease = kept.lease()
    lease.on_end(kept.break_off)

    kept.clock.advance(2 * LEASE)
    lease.check()
    kept.clock.advance(timedelta(seconds=3))
    lease.check()
    kept.clock.advance(timedelta(seconds=3))
    lease.check()

    assert kept.renewals == 3
    assert kept.log.count("renewal_failed") == 2
    assert kept.lease_until == kept.clock.now() + LEASE
    assert kept.broken_off == 0


def test_a_lapsed_lease_in_doubt_does_not_ask_the_store_at_every_token() -> None:
    kept = Kept(renew=[store_away()] * 9)
    lease = kept.lease()

    kept.clock.advance(2 * LEASE)
    for _ in range(100):
        lease.check()
    kept.clock.advance(timedelta(seconds=2))
    lease.check()
    assert kept.renewals == 1
    kept.clock.advance(timedelta(milliseconds=1))
    lease.check()

    assert kept.renewals == 2


def test_a_lapsed_lease_in_doubt_is_lost_once_the_store_says_so() -> None:
    kept = Kept(renew=[store_away(), lost()])
    lease = kept.lease()
    lease.on_end(kept.break_off)

    kept.clock.advance(2 * LEASE)
    lease.check()
    kept.clock.advance(timedelta(seconds=3))
    with pytest.raises(ClaimLost):
        lease.check()

    assert kept.broken_off == 1


def test_nothing_is_broken_off_after_the_end() -> None:
    kept = Kept(renew=[lost()])
    lease = kept.lease()
    lease.on_end(kept.break_off)

    lease.end()
    with pytest.raises(ClaimLost):
        lease.renew()

    assert kept.broken_off == 0
    assert kept.log.lines == []


def test_a_claim_of_a_real_clock_is_renewed_while_its_job_runs() -> None:
    renewed = threading.Event()

    class NotingStore(ShakyJobStore):
        def renew(self, claim: Claim, until: datetime) -> None:
            super().renew(claim, until)
            if self.calls.count("renew") == 2:
                renewed.set()

    store, clock, log = NotingStore(), SystemClock(), RecordingLog()
    leases = RenewingLeases(store=store, clock=clock, log=log, timers=Timers(clock=clock, log=log))
    store.add(a_job())
    claim = store.claim(JOB_ID, claim_terms(at=clock.now(), lease=timedelta(milliseconds=30)))
    assert isinstance(claim, Claim)

    with leases.keep(claim):
        assert renewed.wait(DEADLINE)


HOUR = timedelta(hours=1)


@pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_clock_that_is_set_holds_up_no_renewal_and_ends_no_lease(step: timedelta) -> None:
    kept = Kept()

    with kept.leases.keep(kept.claim) as lease:
        kept.clock.step(step)
        lease.check()
        assert (lease.left, kept.renewals) == (LEASE, 0)
        kept.clock.advance(THIRD)
        kept.timers.held.clear()
        lease.renew()

        assert lease.left == LEASE
        assert kept.lease_until == NOW + THIRD + LEASE + max(step, timedelta(0))


def test_a_lease_is_on_its_old_time_again_after_a_clock_was_set_and_set_back() -> None:
    kept = Kept()
    lease = kept.lease()

    kept.clock.step(HOUR)
    lease.renew()
    kept.clock.step(-HOUR)
    kept.clock.advance(THIRD)
    lease.renew()

    assert kept.lease_until == NOW + THIRD + LEASE


def test_a_claim_is_kept_no_longer_than_a_lease_where_the_clock_was_set_back_before() -> None:
    kept = Kept()
    kept.clock.step(-HOUR)

    assert kept.lease().left == LEASE


RUN_TIME = timedelta(seconds=25)


def test_a_job_whose_time_is_over_is_broken_off_in_mid_call() -> None:
    kept = Kept(a_job(run_timeout=RUN_TIME))

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
        (deadline,) = [held for held in kept.timers.held if held[0] == NOW + RUN_TIME]
        lease.check()
        assert kept.broken_off == 0
        deadline[1]()
        with pytest.raises(DeadlinePassed):
            lease.check()

    assert kept.broken_off == 1


def test_a_job_without_a_time_has_no_deadline() -> None:
    kept = Kept()

    with kept.leases.keep(kept.claim):
        assert [at for at, _ in kept.timers.held] == [NOW + THIRD]


def test_a_deadline_counts_from_the_jobs_first_claim() -> None:
    kept = Kept(a_job(run_timeout=RUN_TIME, started_at=NOW - timedelta(seconds=5)))

    with kept.leases.keep(kept.claim):
        assert NOW + timedelta(seconds=20) in [at for at, _ in kept.timers.held]


def test_a_deadline_after_the_end_ends_nothing() -> None:
    kept = Kept(a_job(run_timeout=RUN_TIME))

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
    for _, call in kept.timers.held:
        call()

    assert kept.broken_off == 0
    assert kept.log.lines == []


def test_a_run_that_must_end_is_kept_until_it_has() -> None:
    """It still has its outcome to write, and nobody else may take the job before."""
    kept = Kept()

    with kept.leases.keep(kept.claim) as lease:
        lease.hand_over()
        kept.move_to_next_renewal()
        assert not lease.is_over

    assert kept.renewals == 1
    assert lease.is_over


def test_handing_over_ends_every_run_and_counts_them() -> None:
    kept = Kept()

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
        assert kept.leases.hand_over_all() == 1
        with pytest.raises(HandedOver):
            lease.check()

    assert kept.broken_off == 1
    assert kept.leases.hand_over_all() == 0


def test_a_run_that_begins_after_the_handing_over_ends_at_once() -> None:
    kept = Kept()
    kept.leases.hand_over_all()

    with kept.leases.keep(kept.claim) as lease, pytest.raises(HandedOver):
        lease.check()


def test_whoever_asks_after_the_handing_over_is_broken_off_at_once() -> None:
    kept = Kept()
    kept.leases.hand_over_all()

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)

    assert kept.broken_off == 1


def test_the_first_reason_to_end_stays() -> None:
    kept = Kept()
    lease = kept.lease()

    lease.pass_deadline()
    lease.hand_over()

    with pytest.raises(DeadlinePassed):
        lease.check()


def test_a_lost_claim_outdoes_every_other_reason() -> None:
    kept = Kept(renew=[lost()])
    lease = kept.lease()

    lease.hand_over()
    with pytest.raises(ClaimLost):
        lease.renew()
    lease.pass_deadline()

    with pytest.raises(ClaimLost):
        lease.check()
    assert lease.is_over


def test_the_reason_to_end_is_logged_with_the_job() -> None:
    kept = Kept()

    kept.lease().hand_over()

    (line,) = kept.log.lines
    assert (line.event, line.keys["reason"]) == ("run_must_end", "handed_over")
    assert (line.keys["job_id"], line.keys["trace_id"]) == (JOB_ID, a_job().trace.id)


HINT = Fenced(job=JOB_ID, epoch=2)


def test_a_hint_that_a_job_was_cancelled_breaks_its_call_off_at_once() -> None:
    kept = Kept()

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
        cancel_job(kept.store.get(JOB_ID), cancel_parts(kept.store))
        lease.check()  # nobody has told it yet
        kept.leases.look_at(HINT)
        wait_until(lambda: kept.broken_off, "the break-off")
        with pytest.raises(ClaimLost):
            lease.check()

    assert kept.clock.now() == NOW


def test_without_a_hint_a_cancel_is_learnt_at_the_next_renewal() -> None:
    """Redis may be away: the row is the truth."""
    kept = Kept()

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
        cancel_job(kept.store.get(JOB_ID), cancel_parts(kept.store))
        kept.move_to_next_renewal()

    assert (kept.broken_off, kept.clock.now()) == (1, NOW + THIRD)


def test_a_wrong_hint_costs_one_renewal_and_the_run_goes_on() -> None:
    kept = Kept()

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
        kept.leases.look_at(HINT)
        wait_until(lambda: kept.renewals == 1, "the look")
        lease.check()
        assert [at for at, _ in kept.timers.held] == [NOW + THIRD]  # its turn is what it was

    assert kept.broken_off == 0


def test_a_hint_that_comes_again_costs_nothing_more() -> None:
    kept = Kept(renew=[lost()])

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
        for _ in range(5):
            kept.leases.look_at(HINT)
            wait_until(lambda: kept.broken_off, "the break-off")

    assert (kept.renewals, kept.broken_off) == (1, 1)


@pytest.mark.parametrize(
    "hint", [Fenced(job=JobId("job_other"), epoch=2), Fenced(job=JOB_ID, epoch=1)]
)
def test_a_hint_of_another_job_or_an_earlier_claim_is_passed_over(hint: Fenced) -> None:
    kept = Kept()

    with kept.leases.keep(kept.claim):
        kept.leases.look_at(hint)
        kept.leases._pool.shutdown(wait=True)  # noqa: SLF001 - the only way to see that nothing comes

    assert kept.renewals == 0


def test_a_hint_while_the_store_is_away_leaves_it_to_the_next_renewal() -> None:
    kept = Kept(renew=[store_away(), lost()])

    with kept.leases.keep(kept.claim) as lease:
        lease.on_end(kept.break_off)
        kept.leases.look_at(HINT)
        wait_until(lambda: kept.log.count("renewal_failed"), "the look to fail")
        assert kept.broken_off == 0
        kept.move_to_next_renewal()

    assert kept.broken_off == 1
