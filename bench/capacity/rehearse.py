"""Let what was planned be played: how long jobs wait, and how full each part is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Final

from adapters.settings import Settings
from bench.capacity.flow import Line, play, steady
from bench.capacity.needs import ROOM, needs_of
from bench.comparison import percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from bench.capacity.measured import Costs
    from bench.capacity.needs import Needs
    from bench.capacity.workload import Workload

SPREAD: Final = 0.3  # of the answers' times, log-normal about their mean
FEWEST: Final = 2_000  # jobs that are played, at the lowest rates
SHORTS: Final = (1.0, 0.8, 0.5)  # parts of the quota that a rate needs
SHORT_RATE: Final = 1_000  # jobs a minute at which a short quota is played
MOST_RATE: Final = 10_000  # jobs a minute that are played; of more, a part of the fleet is


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """What came of one rate with what it needs."""

    needs: Needs
    jobs: int
    median_wait: float
    longest_wait: float  # of 99 in 100
    busy: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Short:
    """What comes of a quota that is `part` of what is needed, after so many minutes of it."""

    part: float
    minutes: float
    last_wait: float  # seconds, at the median of the last minute's jobs


def rehearse(
    rate: float, workload: Workload, costs: Costs, *, seed: int = 1, part: float = 1.0
) -> Rehearsed:
    """Play a rate with the processes that it needs; `part` plays less of it, for a test."""
    needs = needs_of(rate, workload, costs)
    fleets = max(1.0, rate / MOST_RATE)
    warm = 2 * workload.job_seconds * part
    seconds = warm + max(workload.job_seconds, 60 * FEWEST / rate) * part
    arrivals = steady(needs.per_second / fleets, seconds, seed=seed)
    line = line_of(needs, workload, costs, fleets=fleets)
    played = play(line, arrivals, seed=seed, warm=warm, until=seconds)
    waits = played.waits(since=warm)
    return Rehearsed(
        needs=needs,
        jobs=len(waits),
        median_wait=median(waits),
        longest_wait=percentile(waits, 0.99),
        busy=played.busy,
    )


def run_short(
    workload: Workload, costs: Costs, *, minutes: float = 10, rate: float = SHORT_RATE
) -> Sequence[Short]:
    """Play a rate whose quota is too small by some."""
    needs = needs_of(rate, workload, costs)
    line, seconds = line_of(needs, workload, costs), minutes * 60
    arrivals = steady(needs.per_second, seconds)
    found = []
    for part in SHORTS:
        # A little more than is needed, where all of it is there: what comes by chance comes uneven.
        quota = rate * (part if part < 1 else 1.1)
        waits = play(replace(line, quota=quota), arrivals).waits(since=seconds - 60)
        found.append(Short(part=part, minutes=minutes, last_wait=median(waits)))
    return found


def line_of(needs: Needs, workload: Workload, costs: Costs, *, fleets: float = 1.0) -> Line:
    """Put what is needed in line, each with what a job costs it; or one of so many fleets of it."""
    told = workload.deltas * workload.watchers
    reads: float = Settings.model_fields["feed_reads_per_second"].default
    pieces = workload.answer_tokens * costs.worker.piece_seconds
    return Line(
        web=math.ceil(needs.web / fleets),
        accepting=costs.web.seconds(told),
        stream_delay=workload.stream_ms / 1000,
        feeds=math.ceil(needs.feed / fleets),
        shards=math.ceil(needs.shards / fleets),
        turn=1 / reads,
        reading=workload.read_ms / 1000,
        feeding=costs.feed.seconds(0),
        workers=math.ceil(needs.worker / fleets),
        room=ROOM,
        starting=costs.worker.job_seconds / 2,
        ending=costs.worker.job_seconds / 2,
        streaming=pieces / workload.job_seconds,
        model=lambda chance: answer_of(chance, workload),
    )


def answer_of(chance: Random, workload: Workload) -> float:
    """Draw how long an answer takes."""
    return workload.job_seconds * chance.lognormvariate(-(SPREAD**2) / 2, SPREAD)


def line_grows(part: float, minutes: float) -> float:
    """Say how long who comes last will wait in the end, in seconds: what did not pass, by pace."""
    return max(0.0, minutes * 60 * (1 / part - 1))
