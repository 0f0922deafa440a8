"""Which faults come when: decided by the seed alone, so that a seed that fails can be replayed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

FIRST_AFTER = 3.0  # seconds in which the load begins
MEMBERS = 2  # processes a role
STORM = 3  # faults that overlap
STORM_WITHIN = 2.0


class FaultKind(StrEnum):
    """What is broken; the names are those of `--only`."""

    KILL_WORKER = "kill-worker"
    STOP_WORKER_SHORT = "stop-worker-short"
    STOP_WORKER_LONG = "stop-worker-long"
    DRAIN_WORKER = "drain-worker"
    KILL_FEED = "kill-feed"
    STOP_FEED_SHORT = "stop-feed-short"
    STOP_FEED_LONG = "stop-feed-long"
    KILL_WEB = "kill-web"
    STOP_WEB = "stop-web"
    KILL_REDIS = "kill-redis"
    FLUSH_REDIS = "flush-redis"
    PAUSE_REDIS = "pause-redis"
    STORE_REFUSES = "store-refuses"
    STORE_AWAY = "store-away"
    STORE_SLOW = "store-slow"
    STORE_FAILS = "store-fails"
    STORE_DROPS = "store-drops"
    STREAM_FAILS = "stream-fails"
    OBJECTS_FAIL = "objects-fail"
    OBJECTS_DROP = "objects-drop"
    DUPLICATE_TASKS = "duplicate-tasks"
    REPLAY_RECORDS = "replay-records"
    CLOCK_FORWARD_WORKER = "clock-forward-worker"
    CLOCK_BACK_WORKER = "clock-back-worker"
    CLOCK_FORWARD_FEED = "clock-forward-feed"
    CLOCK_BACK_FEED = "clock-back-feed"
    CLOCK_FORWARD_WEB = "clock-forward-web"
    CLOCK_BACK_WEB = "clock-back-web"


# How long each lasts, in seconds: from, to. The lease is 5 s, a feed's failover 10 s.
LASTS: dict[FaultKind, tuple[float, float]] = {
    FaultKind.KILL_WORKER: (0, 0),
    FaultKind.STOP_WORKER_SHORT: (1, 2.5),
    FaultKind.STOP_WORKER_LONG: (7, 10),
    FaultKind.DRAIN_WORKER: (0, 0),
    FaultKind.KILL_FEED: (0, 0),
    FaultKind.STOP_FEED_SHORT: (1, 3),
    FaultKind.STOP_FEED_LONG: (11, 13),
    FaultKind.KILL_WEB: (0, 0),
    FaultKind.STOP_WEB: (2, 8),
    FaultKind.KILL_REDIS: (1, 3),
    FaultKind.FLUSH_REDIS: (0, 0),
    FaultKind.PAUSE_REDIS: (2, 8),
    FaultKind.STORE_REFUSES: (1, 2),
    FaultKind.STORE_AWAY: (7, 9),
    FaultKind.STORE_SLOW: (4, 6),
    FaultKind.STORE_FAILS: (4, 6),
    FaultKind.STORE_DROPS: (4, 6),
    FaultKind.STREAM_FAILS: (4, 6),
    FaultKind.OBJECTS_FAIL: (4, 6),
    FaultKind.OBJECTS_DROP: (4, 6),
    FaultKind.DUPLICATE_TASKS: (0, 0),
    FaultKind.REPLAY_RECORDS: (0, 0),
    FaultKind.CLOCK_FORWARD_WORKER: (8, 10),
    FaultKind.CLOCK_BACK_WORKER: (8, 10),
    FaultKind.CLOCK_FORWARD_FEED: (6, 8),
    FaultKind.CLOCK_BACK_FEED: (6, 8),
    FaultKind.CLOCK_FORWARD_WEB: (4, 5),
    FaultKind.CLOCK_BACK_WEB: (4, 5),
}
STEPS = (20, 40)  # seconds by which a clock is set: several leases
DIRECTIONS = {
    FaultKind.CLOCK_FORWARD_WORKER: 1,
    FaultKind.CLOCK_BACK_WORKER: -1,
    FaultKind.CLOCK_FORWARD_FEED: 1,
    FaultKind.CLOCK_BACK_FEED: -1,
    FaultKind.CLOCK_FORWARD_WEB: 1,
    FaultKind.CLOCK_BACK_WEB: -1,
}
STORE_FAULTS = frozenset(
    {
        FaultKind.STORE_REFUSES,
        FaultKind.STORE_AWAY,
        FaultKind.STORE_SLOW,
        FaultKind.STORE_FAILS,
        FaultKind.STORE_DROPS,
    }
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault: `at` seconds after the load's begin, for `seconds`; `member` of its role.

    `step` is by how many seconds a clock is set, and 0 for other faults.
    """

    kind: FaultKind
    at: float
    seconds: float
    member: int
    step: int = 0

    @property
    def ends(self) -> float:
        """When it is over, in seconds after the load's begin."""
        return self.at + self.seconds

    def __str__(self) -> str:
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        by = f" by {self.step:+d} s" if self.step else ""
        return f"{self.at:6.1f} s  {self.kind}{by}{lasts} ({self.member + 1})"


@dataclass(frozen=True, kw_only=True)
class Spacing:
    """Seconds between the end of one fault, or storm, and the next."""

    least: float = 2.0
    most: float = 5.0


def plan_faults(
    seed: int,
    *,
    kinds: Collection[FaultKind] = tuple(FaultKind),
    storms: int = 4,
    spacing: Spacing | None = None,
) -> list[Fault]:
    """Plan each kind once, one at a time in the seed's order, and then storms of several."""
    chance = random.Random(f"faults {seed}")  # noqa: S311 - replayable, guards no secret
    spacing = spacing or Spacing()
    order = sorted(kinds)
    chance.shuffle(order)
    faults: list[Fault] = []
    at = FIRST_AFTER
    for kind in order:
        fault = _draw(chance, kind, at)
        faults.append(fault)
        at = fault.ends + chance.uniform(spacing.least, spacing.most)
    for _ in range(storms):
        kinds_at_once = chance.sample(order, min(STORM, len(order)))
        storm = [
            _draw(chance, kind, at + chance.uniform(0, STORM_WITHIN)) for kind in kinds_at_once
        ]
        faults += sorted(storm, key=lambda fault: fault.at)
        at = max(fault.ends for fault in storm) + chance.uniform(spacing.least, spacing.most)
    return faults


def _draw(chance: random.Random, kind: FaultKind, at: float) -> Fault:
    return Fault(
        kind=kind,
        at=round(at, 2),
        seconds=round(chance.uniform(*LASTS[kind]), 2),
        member=chance.randrange(MEMBERS),
        step=DIRECTIONS[kind] * chance.randint(*STEPS) if kind in DIRECTIONS else 0,
    )
