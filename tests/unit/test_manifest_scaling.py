"""Scaling: what the autoscalers ask, of whom, and how soon they act on it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest

from adapters.standing import FeedGauges, FeedStanding
from deploy.local.environment import REPO_ROOT
from jobs.census import Census
from jobs.job import JobStatus
from tests.pods import of_kind, pods
from tests.scrape import Scrape
from web.metrics_routes import PATH as METRICS_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

AT = datetime(2026, 11, 25, tzinfo=UTC)
DOCUMENT = (REPO_ROOT / "docs" / "kubernetes.md").read_text()
ALERTS = (REPO_ROOT / "deploy" / "observability" / "alerts.yml").read_text()
# What Prometheus would make of a query of ours: an aggregation of one metric, chosen by one label.
QUERY = re.compile(r'(sum|max)\((\w+)(?:\{(\w+)=~"([^"]+)"\})?\)')
LOST_WITHIN = 120  # seconds until it is noticed that nobody knows what waits


def scaled() -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one["spec"] for one in of_kind("aws", "ScaledObject")}


def trigger_of(process: str) -> dict[str, str]:
    [trigger] = scaled()[process]["triggers"]
    metadata: dict[str, str] = trigger["metadata"]
    return metadata


def behaviours() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, spec in scaled().items():
        yield name, spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    [web] = of_kind("aws", "HorizontalPodAutoscaler")
    yield "web", web["spec"]["behavior"]


def feed_that_tells(*, age: int, counts: dict[JobStatus, int] | None = None) -> Scrape:
    """What one of the feeds tells; only the one that sweeps has counted jobs."""
    counted = None if counts is None else Census(at=AT, counts=counts, oldest={}, is_whole=True)
    standing = FeedStanding(
        shards=1,
        record_age=timedelta(seconds=age),
        turned_at=AT,
        checkpointed_at=AT,
        sweeps=1,
        swept_at=AT,
        census=counted,
    )
    registry = CollectorRegistry()
    registry.register(FeedGauges(lambda: standing))
    return Scrape.of(generate_latest(registry).decode())


def asked(query: str, scrapes: list[Scrape]) -> float:
    """Answer a query as Prometheus would that has seen these."""
    found = QUERY.fullmatch(query)
    assert found is not None, query
    aggregation, metric, label, pattern = found.groups()
    chosen = [
        value
        for scrape in scrapes
        for labels, value in scrape.by_label(metric).items()
        if label is None or re.fullmatch(pattern, dict(labels).get(label, ""))
    ]
    return sum(chosen) if aggregation == "sum" else max(chosen)


def test_workers_are_scaled_by_all_jobs_that_wait_or_run() -> None:
    counts = {status: 10**place for place, status in enumerate(JobStatus)}
    scrapes = [feed_that_tells(age=1, counts=counts), feed_that_tells(age=2)]

    found = asked(trigger_of("worker")["query"], scrapes)

    assert found == counts[JobStatus.PENDING] + counts[JobStatus.RUNNING]


def test_feeds_are_scaled_by_the_age_that_the_slowest_has_come_to() -> None:
    scrapes = [feed_that_tells(age=age) for age in (3, 41, 7)]

    assert asked(trigger_of("feed")["query"], scrapes) == 41


def test_a_feed_gets_help_before_somebody_is_woken() -> None:
    [woken_at] = re.findall(r"longhaul_feed_record_age_seconds\) > (\d+)", ALERTS)

    assert int(trigger_of("feed")["threshold"]) < int(woken_at)


def test_the_document_names_what_is_asked_of_whom() -> None:
    aims = {"worker": "{} a worker", "feed": "one for each {} s"}
    for process in scaled():
        trigger = trigger_of(process)
        assert f"`{trigger['query']}`, {aims[process].format(trigger['threshold'])}" in DOCUMENT
        assert f"`{trigger['serverAddress']}`" in DOCUMENT


def test_no_fleet_gets_smaller_while_nobody_knows_what_waits() -> None:
    for spec in scaled().values():
        [trigger] = spec["triggers"]
        assert trigger["metadata"]["ignoreNullValues"] == "false"
        assert trigger["metricType"] == "AverageValue", "KEDA falls back for no other type"
        fallback = spec["fallback"]
        assert fallback["replicas"] == spec["maxReplicaCount"]
        assert spec["pollingInterval"] * fallback["failureThreshold"] <= LOST_WITHIN
        assert "activationThreshold" not in trigger["metadata"], "no fleet goes to nought"


def test_a_fleet_gets_smaller_late_and_by_one() -> None:
    for process, behaviour in behaviours():
        down = behaviour["scaleDown"]
        grace = pods("aws")[process].spec["terminationGracePeriodSeconds"]
        assert down["stabilizationWindowSeconds"] >= max(600, grace), "one that drains is done"
        [policy] = down["policies"]
        assert (policy["type"], policy["value"]) == ("Pods", 1)
        assert policy["periodSeconds"] >= 120


def test_the_autoscalers_have_the_word() -> None:
    """A number of replicas in a Deployment is theirs at each `kubectl apply`."""
    for process in ("web", *scaled()):
        assert "replicas" not in pods("aws")[process].manifest["spec"]


def test_web_is_scaled_before_it_is_full() -> None:
    [web] = of_kind("aws", "HorizontalPodAutoscaler")
    [metric] = web["spec"]["metrics"]

    assert metric["resource"]["name"] == "cpu"
    target = metric["resource"]["target"]
    assert target["type"] == "Utilization"
    assert 50 <= target["averageUtilization"] <= 80


def test_a_worker_is_not_full_at_what_kedas_aim_gives_it() -> None:
    [room] = [
        int(one["value"])
        for one in pods("aws")["worker"].container["env"]
        if one["name"] == "LONGHAUL_WORKER_CONCURRENCY"
    ]

    assert int(trigger_of("worker")["threshold"]) < room


def test_prometheus_looks_where_the_metrics_are_and_often_enough_for_the_alerts() -> None:
    [monitor] = of_kind("aws", "PodMonitor")
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    shortest = min(int(minutes) for minutes in re.findall(r"\[(\d+)m\]", ALERTS))

    assert endpoint["path"] == METRICS_PATH
    seconds = int(re.fullmatch(r"(\d+)s", endpoint["interval"])[1])  # type: ignore[index] # fails if not
    assert 4 * seconds <= shortest * 60, "a rate wants some samples"
