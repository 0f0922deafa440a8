"""The arithmetic behind docs/capacity.md, and that the page says what it says."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from adapters.schema import jobs_table
from bench.capacity.__main__ import DOCUMENT
from bench.capacity.limits import limits_of
from bench.capacity.measured import Costs, ProcessCost, read_costs
from bench.capacity.needs import model_cost, monthly_cost, needs_of, quota_of, use_of
from bench.capacity.prices import MODELS, PRICES, QUOTAS, fargate_size
from bench.capacity.report import LEVERS, sections
from bench.capacity.rows import row_writes
from bench.capacity.units import index_units, item_bytes, read_units, write_units
from bench.capacity.workload import RATES, Workload, flag_of
from bench.document import replace_section

if TYPE_CHECKING:
    from pathlib import Path

TABLE = jobs_table("LLM_Jobs")
OPEN: dict[str, Any] = {
    "JobId": {"S": "job_1"},
    "UserId": {"S": "ada"},
    "CreatedAt": {"S": "2026-11-25T08:00:00Z"},
    "JobStatus": {"S": "PENDING"},
    "DueShard": {"S": "07"},
    "DueAt": {"S": "2026-11-25T08:00:30Z"},
}


def costs(**changes: Any) -> Costs:  # noqa: ANN401 - the Costs' own fields
    one = ProcessCost(
        job_seconds=0.02, piece_seconds=0.0001, idle_cores=0.0, asked_cores=1.0, asked_gib=0.5
    )
    made = Costs(
        web=one,
        worker=one,
        feed=one,
        socket_bytes=40_000,
        redis_job_seconds=0.001,
        redis_piece_seconds=0.00001,
        event_bytes=100,
    )
    return replace(made, **changes)


def test_an_items_size_is_its_names_and_values() -> None:
    item = {
        "Name": {"S": "é"},
        "Number": {"N": "12345"},
        "Nothing": {"NULL": True},
        "List": {"L": [{"S": "ab"}, {"BOOL": False}]},
        "Map": {"M": {"K": {"S": "v"}}},
    }

    assert item_bytes(item) == (4 + 2) + (6 + 4) + (7 + 1) + (4 + 3 + 2 + 1 + 1 + 1) + (3 + 3 + 3)


def test_a_write_costs_its_larger_image() -> None:
    small, big = {"A": {"S": "x" * 100}}, {"A": {"S": "x" * 1_024}}

    assert write_units(small, big) == write_units(big, small) == 2
    assert write_units(None, small) == 1
    assert [read_units(size) for size in (0, 4_096, 4_097)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("changes", "user_jobs", "open_jobs"),
    [
        ({"Timeline": {"L": []}}, 0, 0),
        ({"JobStatus": {"S": "RUNNING"}}, 1, 1),
        ({"DueAt": {"S": "2026-11-25T08:01:30Z"}}, 0, 2),
        ({"JobStatus": {"S": "COMPLETED"}, "DueAt": None, "DueShard": None}, 1, 1),
    ],
    ids=["what stands in none", "what both show", "a key", "an end"],
)
def test_an_index_costs_what_changes_in_it(
    changes: dict[str, Any], user_jobs: int, open_jobs: int
) -> None:
    after = {name: value for name, value in {**OPEN, **changes}.items() if value is not None}

    units = index_units(TABLE, OPEN, after)

    assert units == {"UserJobs": user_jobs, "OpenJobs": open_jobs}


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"busy": 0.0}, "--busy"),
        ({"busy": 1.5}, "--busy"),
        ({"job_seconds": 0.0}, "--job-seconds"),
        ({"watchers": -1.0}, "--watchers"),
        ({"answer_tokens": float("nan")}, "--answer-tokens"),
    ],
    ids=["idle", "overfull", "no time", "fewer than none", "no number"],
)
def test_what_no_job_can_be_is_refused_by_its_flag(changes: dict[str, Any], flag: str) -> None:
    with pytest.raises(ValueError, match=flag):
        Workload(**changes)


def test_a_workload_that_asks_for_almost_nothing_still_has_its_two_of_each() -> None:
    least = Workload(
        job_seconds=0.1, prompt_bytes=0, prompt_tokens=1, answer_tokens=1, watchers=0, looks=0
    )

    needs = needs_of(0.1, least, read_costs())

    assert (needs.web, needs.worker, needs.feed, needs.redis) == (2, 2, 2, 1)
    assert all(amount >= 0 for amount in monthly_cost(needs, least, read_costs()).values())


def test_a_long_job_renews_its_claim_every_third_of_the_lease() -> None:
    [at_30, at_10, at_65] = (
        next(one.times for one in row_writes(Workload(job_seconds=seconds)) if one.name == "renew")
        for seconds in (30.0, 10.0, 65.0)
    )

    assert (at_30, at_10, at_65) == (1, 0, 3)


def test_a_prompt_that_goes_to_the_object_store_makes_the_row_small() -> None:
    inline, stored = (
        use_of(Workload(prompt_bytes=size), costs()) for size in (64 * 1024 - 20, 64 * 1024)
    )

    assert (inline.objects, stored.objects) == (0, 1)
    assert stored.object_bytes > 64 * 1024
    assert stored.write_units < inline.write_units / 10


def test_pieces_that_come_faster_than_a_batch_are_one_event() -> None:
    assert Workload(answer_tokens=500, job_seconds=30).deltas == 500
    assert Workload(answer_tokens=500, job_seconds=5).deltas == 100


def test_in_flight_is_littles_law_and_more_jobs_need_more() -> None:
    few, many = (needs_of(rate, Workload(), costs()) for rate in (60, 6_000))

    assert (few.in_flight, many.in_flight) == (30, 3_000)
    assert many.worker == 13  # 3,000 in slots of which 60 % are planned for; cores ask for 12
    assert (few.web, few.worker, few.feed) == (2, 2, 2)
    assert few.redis == 1
    assert sum(monthly_cost(many, Workload(), costs()).values()) > sum(
        monthly_cost(few, Workload(), costs()).values()
    )


def test_there_are_no_more_feeds_than_shards() -> None:
    slow = replace(costs().feed, job_seconds=0.5)

    needs = needs_of(6_000, Workload(), costs(feed=slow))

    assert needs.feed == needs.shards


def test_a_model_costs_its_tokens_and_its_quota_counts_what_is_asked_for() -> None:
    nova, claude = MODELS
    workload = Workload(prompt_tokens=1_000, answer_tokens=1_000, max_tokens=4_000)
    needs = needs_of(1, workload, costs())

    assert model_cost(needs, workload, nova) == pytest.approx(43_800 * 0.0003)
    assert quota_of(10, workload, nova) == (20_000, 50_000)
    assert quota_of(10, workload, claude) == (60_000, 60_000)


def test_limits_come_with_the_lowest_first_and_say_what_to_do() -> None:
    limits = limits_of(Workload(prompt_bytes=100_000), costs())

    assert [one.rate for one in limits] == sorted(one.rate for one in limits)
    assert {one.part for one in limits} >= {"Bedrock", "Redis", "web", "worker", "feed", "S3"}
    assert all(one.remedy for one in limits)


def test_every_price_and_quota_says_where_it_is_published() -> None:
    assert all(one.page.startswith("https://") and one.seen for one in (*PRICES, *QUOTAS, *MODELS))


def test_measurements_are_read_from_the_pages_that_they_write() -> None:
    found = read_costs()

    assert 0 < found.feed.job_seconds < found.worker.seconds(300)
    assert found.worker.asked_cores == 0.5
    assert 10_000 < found.socket_bytes < 100_000


def test_a_page_that_no_longer_says_a_measurement_is_named(tmp_path: Path) -> None:
    page = tmp_path / "kubernetes.md"
    page.write_text("each a stream of 300 pieces")

    with pytest.raises(ValueError, match="web"):
        read_costs(kubernetes=page)


def test_the_page_says_what_the_arithmetic_says(tmp_path: Path) -> None:
    """Run `make capacity` where this fails: a price, a measurement or the code has changed."""
    again = tmp_path / "capacity.md"
    again.write_text(DOCUMENT.read_text())

    for name, text in sections(Workload(), read_costs()).items():
        replace_section(again, name, text)

    assert again.read_text() == DOCUMENT.read_text()


def test_the_page_names_every_assumption_as_a_flag() -> None:
    page = DOCUMENT.read_text()

    assert all(f"`{flag_of(one.name)}`" in page for one in fields(Workload))
    assert all(f"{rate:,}" in page for rate in RATES)
    assert all(name in page for name, _ in LEVERS)


@pytest.mark.parametrize(
    ("cores", "gib", "sold"),
    [(0.25, 0.25, (0.25, 0.5)), (0.2, 0.3, (0.25, 1)), (0.6, 0.4, (1, 2)), (0.25, 2, (0.5, 3))],
)
def test_a_pod_is_paid_for_in_the_sizes_that_are_sold(
    cores: float, gib: float, sold: tuple[float, float]
) -> None:
    assert fargate_size(cores, gib) == sold


def test_a_pod_that_nobody_sells_has_no_price() -> None:
    with pytest.raises(ValueError, match="sells no pod"):
        fargate_size(8, 1)
