"""What breaks and how often, and which parts of the design a test swaps for broken ones."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.baton import SECOND
from tests.simulation.records import RecordedStore


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Chances are per step of an actor (a port call has two), per message, or per store call."""

    crash: float = 0.002
    stop: float = 0.003
    task_twice: float = 0.20
    task_lost: float = 0.05
    store_refuses: float = 0.01
    answer_lost: float = 0.01
    event_lost: float = 0.05
    outages: int = 1  # at most, of the store; as many of the broker
    longest_outage: int = 35 * SECOND  # below the least that is left of a lease
    until: int = 600 * SECOND


@dataclass(frozen=True, kw_only=True)
class Design:
    """The parts that a test swaps for broken ones, to see that the simulation notices."""

    store: type[RecordedStore] = RecordedStore
    has_sweep: bool = True
    has_renewals: bool = True
    has_mark: bool = True
    has_recovery: bool = True
