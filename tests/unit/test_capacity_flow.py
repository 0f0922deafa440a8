"""The simulation behind docs/capacity.md, against what can be said in closed form."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean
from typing import TYPE_CHECKING

import pytest

from bench.capacity.flow import Line, play, steady
from bench.capacity.measured import read_costs
from bench.capacity.needs import needs_of
from bench.capacity.queueing import erlang_c, mean_wait
from bench.capacity.rehearse import line_grows, line_of
from bench.capacity.workload import Workload

if TYPE_CHECKING:
    from random import Random

SERVICE = 2.0
JOBS = 6_000  # of a run: waits of jobs that come near each other are alike


def by_chance(chance: Random) -> float:
    return chance.expovariate(1 / SERVICE)


@pytest.mark.parametrize(
    ("servers", "load", "expected"), [(1, 0.5, 0.5), (2, 1.0, 1 / 3), (10, 8.0, 0.4092)]
)
def test_erlangs_formula_gives_the_figures_of_the_tables(
    servers: int, load: float, expected: float
) -> None:
    assert erlang_c(servers=servers, load=load) == pytest.approx(expected, rel=1e-3)


def test_who_comes_faster_than_is_served_waits_for_ever() -> None:
    assert erlang_c(servers=2, load=2.0) == 1
    assert mean_wait(servers=2, rate=1.0, service=2.0) == float("inf")


@pytest.mark.parametrize(("servers", "rate"), [(1, 0.3), (4, 1.4), (10, 4.0)])
def test_the_wait_for_a_slot_is_erlangs(servers: int, rate: float) -> None:
    line = Line(room=servers, turn=0.1 / rate, model=by_chance)
    seconds = JOBS / rate
    runs = [play(line, steady(rate, seconds, seed=seed), seed=seed) for seed in (1, 2, 3)]

    waits = [
        trip.started - trip.enqueued
        for run in runs
        for trip in run.trips
        if trip.started is not None and trip.enqueued is not None
    ]

    assert mean(waits) == pytest.approx(
        mean_wait(servers=servers, rate=rate, service=SERVICE), rel=0.2
    )


def test_jobs_in_flight_are_littles_law() -> None:
    rate = 20.0

    played = play(Line(room=400, model=by_chance), steady(rate, 500), warm=50, until=500)

    assert played.busy["slots"] * 400 == pytest.approx(rate * SERVICE, rel=0.1)


def test_jobs_that_come_at_once_go_in_waves_of_the_room() -> None:
    line = Line(room=6, turn=0.1, model=lambda _: SERVICE)

    played = play(line, [0.0] * 48)

    assert played.makespan == pytest.approx(8 * SERVICE, abs=0.2)
    assert all(trip.ended is not None for trip in played.trips)


def test_a_core_is_busy_for_what_it_is_asked() -> None:
    line = Line(web=2, accepting=0.05, feeding=0.01, starting=0.01, ending=0.02, room=100)

    played = play(line, steady(10, 200), until=200)

    assert played.busy["web"] == pytest.approx(10 * 0.05 / 2, rel=0.1)
    assert played.busy["feed"] == pytest.approx(10 * 0.01, rel=0.1)
    assert played.busy["worker"] == pytest.approx(10 * 0.03, rel=0.1)


def test_the_measured_load_comes_out_of_the_simulation_as_it_went_in() -> None:
    costs, jobs, workload = read_costs(), 300, Workload(answer_tokens=300)
    line = replace(
        line_of(needs_of(1, workload, costs), workload, costs), web=1, feeds=1, workers=1
    )

    played = play(replace(line, reading=0), [0.0] * jobs)

    spent = {name: part * played.seconds / jobs for name, part in played.busy.items()}
    assert spent["worker"] == pytest.approx(costs.worker.seconds(300), rel=0.1)
    assert spent["web"] == pytest.approx(costs.web.seconds(300), rel=0.1)
    assert spent["feed"] == pytest.approx(costs.feed.seconds(0), rel=0.1)
    assert played.makespan > workload.job_seconds


def test_streams_slow_down_the_worker_that_they_run_on() -> None:
    quiet, crowded = (
        play(Line(starting=0.01, streaming=part, model=lambda _: 30.0), steady(8, 120), until=120)
        for part in (0.0, 0.003)
    )

    assert mean(crowded.waits(since=60)) > mean(quiet.waits(since=60)) + 0.01


def test_a_line_grows_by_what_the_quota_does_not_let_through() -> None:
    line = Line(quota=480, room=400)
    minutes = 5

    waits = play(line, steady(10, minutes * 60)).waits(since=(minutes - 0.25) * 60)

    assert mean(waits) == pytest.approx(line_grows(0.8, minutes), rel=0.15)
    assert line_grows(1.1, minutes) == 0


def test_the_same_seed_gives_the_same_trips() -> None:
    line = Line(shards=4, feeds=2, model=by_chance)
    arrivals = steady(5, 60)

    first, again, other = (play(line, arrivals, seed=seed) for seed in (1, 1, 2))

    assert first.trips == again.trips
    assert first.trips != other.trips


def test_nothing_that_comes_is_nothing_to_wait_for() -> None:
    played = play(Line(), [])

    assert played.waits() == []
    assert played.makespan == 0
