"""jobs.ports.Leases: the steady ones for tests, and the renewing ones on a real clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.clock import SystemClock
from adapters.memory import ManualClock, MemoryJobStore, SteadyLeases
from jobs.claim import Claim
from jobs.errors import ClaimLost
from tests.contracts.stories import a_job, terms
from tests.contracts.test_events import Silent
from tests.stack import wait_until
from workers.leases import RenewingLeases
from workers.timers import Timers

if TYPE_CHECKING:
    from jobs.ports import Clock, JobStore, Leases

LEASE = timedelta(milliseconds=300)


def renewing(store: JobStore, clock: Clock) -> RenewingLeases:
    log = Silent()
    return RenewingLeases(store=store, clock=clock, log=log, timers=Timers(clock=clock, log=log))


@pytest.fixture
def store() -> MemoryJobStore:
    return MemoryJobStore()


@pytest.fixture(params=["steady", "renewing"])
def leases(request: pytest.FixtureRequest, store: MemoryJobStore) -> Leases:
    return SteadyLeases() if request.param == "steady" else renewing(store, SystemClock())


def claimed(store: JobStore, clock: Clock | None = None) -> Claim:
    job = a_job()
    store.add(job)
    claim = store.claim(job.id, terms((clock or SystemClock()).now(), lease=LEASE))
    assert isinstance(claim, Claim)
    return claim


def take_over(store: JobStore, claim: Claim, clock: Clock) -> None:
    """Let another worker claim the job, as if the lease were over."""
    other = store.claim(claim.job_id, terms(clock.now() + timedelta(hours=1)))
    assert isinstance(other, Claim)


def test_a_claim_that_is_kept_passes_its_check(leases: Leases, store: MemoryJobStore) -> None:
    with leases.keep(claimed(store)) as lease:
        lease.check()


def test_nothing_is_broken_off_while_the_claim_is_ours(
    leases: Leases, store: MemoryJobStore
) -> None:
    calls: list[str] = []

    with leases.keep(claimed(store)) as lease:
        lease.on_end(lambda: calls.append("broken off"))
        lease.check()

    assert calls == []


def test_a_claim_is_renewed_again_and_again_until_the_block_ends(store: MemoryJobStore) -> None:
    claim = claimed(store)
    ends = [store.get(claim.job_id).lease_until]

    def moved() -> bool:
        until = store.get(claim.job_id).lease_until
        if until != ends[-1]:
            ends.append(until)
        return len(ends) == 4

    with renewing(store, SystemClock()).keep(claim) as lease:
        wait_until(moved, "three renewals", within=10)
        lease.check()


def test_whoever_loses_the_claim_is_broken_off_from_another_thread(store: MemoryJobStore) -> None:
    claim, calls = claimed(store), []

    with renewing(store, SystemClock()).keep(claim) as lease:
        lease.on_end(lambda: calls.append("broken off"))
        take_over(store, claim, SystemClock())

        wait_until(lambda: calls, "the break-off", within=10)
        with pytest.raises(ClaimLost):
            lease.check()

    assert calls == ["broken off"]


def test_who_asks_to_be_told_after_the_loss_is_told_at_once(store: MemoryJobStore) -> None:
    claim, calls, clock = claimed(store, ManualClock()), [], ManualClock()

    with renewing(store, clock).keep(claim) as lease:
        clock.advance(LEASE * 2)
        take_over(store, claim, clock)
        with pytest.raises(ClaimLost):
            lease.check()

        lease.on_end(lambda: calls.append("broken off"))

        wait_until(lambda: calls == ["broken off"], "the break-off")


def test_a_process_that_slept_beyond_its_lease_renews_before_it_goes_on(
    store: MemoryJobStore,
) -> None:
    clock = ManualClock()
    claim = claimed(store, clock)

    with renewing(store, clock).keep(claim) as lease:
        clock.advance(LEASE * 2)

        lease.check()

        assert store.get(claim.job_id).lease_until == clock.now() + LEASE
