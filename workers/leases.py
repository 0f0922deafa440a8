"""Keeping claims: each is renewed every third of its lease while its job runs.

A lease's end stands in the row in the holder's time, and others compare it with theirs. So a holder
whose clock is set while its job runs goes on in the time in which the claim was given: it renews
when it is time to, and its lease does not end earlier than it did before.

This is also where a run learns that it must end: the claim is lost, the job's time is over, or the
worker drains. A claim that was lost is found so at its next renewal, or at once by a hint.
"""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from structlog.contextvars import bound_contextvars

from jobs.errors import ClaimLost, DeadlinePassed, HandedOver, LonghaulError, Unavailable
from jobs.sketch import sketch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.claim import Claim
    from jobs.fenced import Fenced
    from jobs.ports import Clock, JobStore, Log
    from workers.timers import Timers

_RENEWERS = 8  # threads: a slow store must not make one renewal wait for all others
RENEWALS_A_LEASE = 3
_TRY_AGAIN = timedelta(seconds=2)  # after a renewal that failed, and between a run's own tries


class RenewingLeases:
    """jobs.ports.Leases over the store, on one timer thread and a few renewing ones."""

    def __init__(self, *, store: JobStore, clock: Clock, log: Log, timers: Timers) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._timers = timers
        self._pool = ThreadPoolExecutor(_RENEWERS, thread_name_prefix="renew")
        self._kept: set[KeptLease] = set()
        self._lock = threading.Lock()
        self._draining = False

    @contextmanager
    def keep(self, claim: Claim) -> Iterator[KeptLease]:
        """Renew the claim until the block ends, or its job's time does."""
        lease = KeptLease(claim, store=self._store, clock=self._clock, log=self._log)
        with self._lock:
            self._kept.add(lease)
            draining = self._draining
        if draining:
            lease.hand_over()
        self._schedule(lease)
        if (run_by := claim.job.run_by) is not None:
            self._timers.call_at(run_by, _weakly(lease.pass_deadline))
        try:
            with bound_contextvars(attempt=claim.attempt):  # for lines of libraries, too
                yield lease
        finally:
            lease.end()
            with self._lock:
                self._kept.discard(lease)

    def look_at(self, fenced: Fenced) -> None:
        """Renew now what a hint says is lost, and so learn from the row whether it is; no waiting.

        A hint that is wrong costs that renewal, and one for a job that does not run here nothing.
        """
        with self._lock:
            kept = [lease for lease in self._kept if _is_of(lease.claim, fenced)]
        for lease in kept:
            self._pool.submit(self._look, lease)

    def hand_over_all(self) -> int:
        """Let every run release its claim at once, and those that begin later too; count them."""
        with self._lock:
            self._draining = True
            kept = list(self._kept)
        for lease in kept:
            lease.hand_over()
        return len(kept)

    def _schedule(self, lease: KeptLease) -> None:
        """Renew a third of the lease after it was given, or renewed; at once if that is past."""
        after = lease.left - lease.claim.lease * (1 - 1 / RENEWALS_A_LEASE)
        self._timers.call_after(after, lambda: self._pool.submit(self._renew, lease))

    def _look(self, lease: KeptLease) -> None:
        """Renew out of turn; where that fails, the next renewal in turn finds out."""
        if lease.is_over:
            return
        try:
            lease.renew()
        except ClaimLost:
            return
        except Exception as error:  # noqa: BLE001 - see above
            self._log.warning("renewal_failed", reason=sketch(error), **_keys(lease.claim))

    def _renew(self, lease: KeptLease) -> None:
        if lease.is_over:
            return
        try:
            lease.renew()
        except ClaimLost:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the next renewal may work
            self._log.warning("renewal_failed", reason=sketch(error), **_keys(lease.claim))
            self._timers.call_after(_TRY_AGAIN, lambda: self._pool.submit(self._renew, lease))
        else:
            self._schedule(lease)


def _keys(claim: Claim) -> dict[str, object]:
    return {"job_id": claim.job_id, "attempt": claim.attempt, "trace_id": claim.job.trace.id}


def _is_of(claim: Claim, fenced: Fenced) -> bool:
    return claim.job_id == fenced.job and claim.epoch < fenced.epoch


def _weakly(method: Callable[[], object]) -> Callable[[], object]:
    """Call a method of something that may be gone by then: a timer must not keep a job's prompt."""
    weak = weakref.WeakMethod(method)

    def call() -> None:
        if (alive := weak()) is not None:
            alive()

    return call


class KeptLease:
    """jobs.ports.Lease."""

    def __init__(self, claim: Claim, *, store: JobStore, clock: Clock, log: Log) -> None:
        self.claim = claim
        self._store = store
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        elapsed, now = clock.elapsed(), clock.now()  # in this order a stop in between ends it early
        left = min((claim.job.lease_until or now) - now, claim.lease)
        self._lapses_at = elapsed + left  # in elapsed time, as is all that follows
        self._tried_at = self._lapses_at - _TRY_AGAIN
        self._zero = (claim.job.lease_until or now) - self._lapses_at
        self._reason: LonghaulError | None = None
        self._ended = False
        self._break_off: Callable[[], object] | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to keep; a run that must end is kept until it has."""
        return self._ended or isinstance(self._reason, ClaimLost)

    @property
    def left(self) -> timedelta:
        """How long the lease lasts yet without renewal; negative when it has lapsed."""
        return self._lapses_at - self._clock.elapsed()

    def check(self) -> None:
        """Raise why the run must end, if it must.

        A lapsed claim is renewed first, if it can be: a process that was stopped for longer than
        its lease finds out here, before it says or pays anything more.
        """
        if self._reason is not None:
            raise self._reason
        if self._clock.elapsed() > max(self._lapses_at, self._tried_at + _TRY_AGAIN):
            self._renew_if_the_store_answers()

    def _renew_if_the_store_answers(self) -> None:
        """Renew, or go on in doubt: what is paid for is kept, and its outcome is conditional."""
        self._tried_at = self._clock.elapsed()
        try:
            self.renew()
        except Unavailable as error:
            self._log.warning("renewal_failed", reason=str(error), **_keys(self.claim))

    def renew(self) -> None:
        """Renew once. Raises ClaimLost, Unavailable."""
        elapsed = self._clock.elapsed()
        # By the later of two clocks: as this one went when the claim was given, and as it goes now.
        # The first is the later one after a step back; the second if the machine has slept.
        now = max(self._zero + elapsed, self._clock.now())
        try:
            self._store.renew(self.claim, now + self.claim.lease)
        except ClaimLost as error:
            self._must_end(error)
            raise
        self._lapses_at = elapsed + self.claim.lease

    def pass_deadline(self) -> None:
        """End the run because the job's time is over."""
        self._must_end(DeadlinePassed(f"job {self.claim.job_id} did not finish in its time"))

    def hand_over(self) -> None:
        """End the run because another worker is to go on."""
        self._must_end(HandedOver(f"job {self.claim.job_id} is handed over"))

    def on_end(self, break_off: Callable[[], object]) -> None:
        """Call `break_off` as soon as the run must end."""
        with self._lock:
            self._break_off = break_off
            must_end = self._reason is not None
        if must_end:
            break_off()

    def end(self) -> None:
        """Stop keeping; nothing is broken off any more."""
        with self._lock:
            self._ended = True
            self._break_off = None

    def _must_end(self, reason: LonghaulError) -> None:
        """Note the first reason (a lost claim outdoes the others) and break the call off."""
        with self._lock:
            if self._ended:
                return
            if self._reason is None or isinstance(reason, ClaimLost):
                self._reason = reason
            break_off = self._break_off
        self._log.info(
            "run_must_end",
            reason=reason.code,
            **_keys(self.claim),
        )
        if break_off is not None:
            break_off()
