from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from adapters.memory import ManualClock, MemoryFenced
from jobs.claim import Claim
from jobs.fenced import Fenced
from tests.builders import JOB_ID, HeldTimers, RecordingLog, ShakyJobStore, a_job, claim_terms
from tests.stack import wait_until
from workers import fenced_listener
from workers.fenced_listener import FencedListener
from workers.leases import RenewingLeases

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


class BreakingSource(MemoryFenced):
    """A source that breaks once, unforeseen, before it listens."""

    def __init__(self) -> None:
        super().__init__()
        self.has_broken = threading.Event()

    def listen(self, hear: Callable[[Fenced], object]) -> None:
        if not self.has_broken.is_set():
            self.has_broken.set()
            raise RuntimeError("unforeseen")
        super().listen(hear)


def test_a_hint_reaches_the_claims_that_are_kept_even_after_something_broke(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fenced_listener, "_PAUSE_SECONDS", 0.01)
    store, source, log, clock = ShakyJobStore(), BreakingSource(), RecordingLog(), ManualClock()
    leases = RenewingLeases(store=store, clock=clock, log=log, timers=HeldTimers(clock, log))
    store.add(a_job())
    claim = store.claim(JOB_ID, claim_terms())
    assert isinstance(claim, Claim)

    FencedListener(source=source, leases=leases, log=log).start()

    def is_renewed() -> bool:
        source.tell_fenced(Fenced(job=JOB_ID, epoch=2))
        return "renew" in store.calls

    with leases.keep(claim):
        wait_until(is_renewed, "a renewal")
    source.close()
    assert log.count("fenced_listener_broke") == 1
