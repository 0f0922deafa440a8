"""Metrics made of log lines and of how things stand, and where they are served."""

from __future__ import annotations

import logging
import re
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from adapters.line_meters import MOST_MODELS, OTHER, WAKING, LineMeters
from adapters.listening import check_port
from adapters.logs import configure_logs, get_log
from adapters.metrics import NoMetrics, ServedMetrics, open_metrics
from adapters.metrics_ports import PORTS_ON
from adapters.metrics_sharing import FOLDER, begin_sharing, end_sharing
from adapters.settings import read_settings
from adapters.standing import FeedGauges, FeedStanding, WorkerStanding
from deploy.local.environment import REPO_ROOT
from jobs.census import Census
from jobs.errors import Misconfigured
from jobs.job import JobStatus
from tests.free_ports import free_base
from tests.scrape import Scrape
from tests.stack import environ_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MODEL = "amazon.nova-lite-v1:0"
NEEDED = {"REDIS_URL": "redis://127.0.0.1:1", "LONGHAUL_BUCKET": "some-bucket"}
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Meters:
    """Line meters with a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lines = LineMeters(self.registry, default_model=MODEL)

    def take(self, event: str, **keys: object) -> None:
        self.lines.take("info", event, keys)

    @property
    def scrape(self) -> Scrape:
        return Scrape.of(generate_latest(self.registry).decode())


@pytest.fixture
def meters() -> Meters:
    return Meters()


def test_what_wakes_somebody_is_told_before_it_happens_so_that_the_first_is_an_increase(
    meters: Meters,
) -> None:
    told = meters.scrape.by_label("longhaul_warnings_total")

    assert told == {frozenset({("event", event)}): 0 for event in WAKING}
    tried = meters.scrape.by_label("longhaul_deliveries_tried_total")
    assert tried[frozenset({("kind", "iot"), ("state", "given_up")})] == 0


def test_every_event_that_is_measured_is_told_somewhere(meters: Meters) -> None:
    sources = "\n".join(
        path.read_text()
        for folder in ("jobs", "web", "workers")
        for path in (REPO_ROOT / folder).glob("*.py")
    )

    assert {event for event in meters.lines.events if f'"{event}"' not in sources} == set()


def test_an_attempt_that_fails_for_now_is_a_run_and_a_retry_and_no_end(meters: Meters) -> None:
    meters.take(
        "job_settled", status="PENDING_RETRY", run_seconds=1.5, model=MODEL, error="model_throttled"
    )

    assert meters.scrape.told("longhaul_run_seconds_sum") == {"PENDING_RETRY": 1.5}
    assert meters.scrape.told("longhaul_retries_total") == {f"model_throttled {MODEL}": 1}
    assert meters.scrape.told("longhaul_jobs_ended_total") == {}


def test_a_part_that_ends_is_told_apart_from_a_job(meters: Meters) -> None:
    end = {"status": "COMPLETED", "run_seconds": 1.0, "age_seconds": 2.0, "model": MODEL}

    meters.take("job_settled", **end)
    meters.take("job_settled", **end, part_of="job_x")

    assert meters.scrape.told("longhaul_jobs_ended_total") == {
        "job COMPLETED": 1,
        "part COMPLETED": 1,
    }


def test_a_divided_job_has_neither_ended_nor_been_retried(meters: Meters) -> None:
    meters.take("job_settled", status="RUNNING", run_seconds=1.0, model=MODEL)

    assert meters.scrape.told("longhaul_run_seconds_count") == {"RUNNING": 1}
    assert meters.scrape.told("longhaul_jobs_ended_total") == {}
    assert meters.scrape.told("longhaul_retries_total") == {}


def test_a_claim_that_is_not_the_first_says_nothing_of_the_wait(meters: Meters) -> None:
    meters.take("job_claimed", attempt=1, waited_seconds=4.0)
    meters.take("job_claimed", attempt=2)

    assert meters.scrape.value("longhaul_claims_total") == 2
    assert meters.scrape.value("longhaul_queue_wait_seconds_count") == 1
    assert meters.scrape.value("longhaul_queue_wait_seconds_sum") == 4


def test_a_row_that_is_gone_refuses_a_claim_too(meters: Meters) -> None:
    meters.take("claim_refused", status=None)

    assert meters.scrape.told("longhaul_claims_refused_total") == {"GONE": 1}


def test_only_models_that_have_answered_get_labels_and_only_so_many(meters: Meters) -> None:
    retry = {"status": "PENDING_RETRY", "run_seconds": 0, "error": "model_unavailable"}

    meters.take("job_settled", **retry, model="whatever a caller typed")
    for number in range(MOST_MODELS + 5):
        meters.take("first_token_came", model=f"model-{number}", after_seconds=1)
    meters.take("job_settled", **retry, model="model-0")

    assert meters.scrape.told("longhaul_retries_total") == {
        f"model_unavailable {OTHER}": 1,
        "model_unavailable model-0": 1,
    }
    told = meters.scrape.told("longhaul_first_token_seconds_count")
    assert len(told) == MOST_MODELS  # one of them is `other`, for the default has not answered
    assert told[OTHER] == 6


def test_a_line_without_its_keys_is_counted_and_breaks_nothing(meters: Meters) -> None:
    meters.take("job_settled", status="no such state")
    meters.take("first_token_came", model=MODEL)
    meters.take("tasks_enqueued", tasks="many")

    assert meters.scrape.value("longhaul_lines_unmeasured_total") == 3


def test_warnings_and_errors_are_counted_by_event_measured_or_not(meters: Meters) -> None:
    meters.lines.take("warning", "feed_waits", {"reason": "the store is away"})
    meters.lines.take("error", "request_failed", {})
    meters.take("socket_opened")

    assert meters.scrape.told("longhaul_warnings_total") == {"feed_waits": 1, "request_failed": 1}


def test_a_method_that_someone_made_up_gets_no_label(meters: Meters) -> None:
    for method in ("GET", "BREW"):
        meters.take("request_answered", route="none", method=method, status=404, duration_ms=2.0)

    assert meters.scrape.told("longhaul_request_seconds_count") == {
        "GET none 404": 1,
        f"{OTHER} none 404": 1,
    }


def test_buckets_reach_from_moments_to_an_hour(meters: Meters) -> None:
    meters.take("job_claimed", waited_seconds=3000.0)

    buckets = {
        float(dict(labels)["le"])
        for labels in meters.scrape.by_label("longhaul_queue_wait_seconds_bucket")
    }
    assert min(buckets) == 0.1
    assert {1.0, 60.0, 3600.0} < buckets


@pytest.fixture
def logs_are_put_back() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.mark.usefixtures("logs_are_put_back")
def test_lines_under_the_level_that_is_shown_are_counted_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    taken: list[tuple[str, str, object]] = []

    def measure(level: str, event: str, keys: Mapping[str, object]) -> None:
        taken.append((level, event, keys["job_id"]))

    with environ_of({**NEEDED, "LONGHAUL_LOG_LEVEL": "WARNING"}):
        configure_logs(read_settings(NEEDED), measure=measure)
    get_log().info("job_claimed", job_id="job_1")
    get_log().warning("job_swept", job_id="job_2")

    assert taken == [("info", "job_claimed", "job_1"), ("warning", "job_swept", "job_2")]
    shown = capsys.readouterr().err
    assert "job_1" not in shown
    assert "job_2" in shown


def test_a_worker_tells_how_it_stands_until_it_stops() -> None:
    port = free_base(1)
    metrics = ServedMetrics(default_model=MODEL, host="127.0.0.1", port=port)
    metrics.watch_worker(lambda: WorkerStanding(running=3, room=400))

    stop = metrics.serve()
    seen = Scrape.at(port)
    stop()

    assert seen.value("longhaul_worker_running_jobs") == 3
    assert seen.value("longhaul_worker_room") == 400
    assert seen.value("process_resident_memory_bytes") > 0
    check_port("metrics", "127.0.0.1", port)


def test_a_port_in_use_is_a_mistake_that_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}: Address already in use"):
            ServedMetrics(default_model=MODEL, host="127.0.0.1", port=port).serve()
        with pytest.raises(Misconfigured, match=f"127.0.0.1:{port}: Address already in use"):
            check_port("metrics", "127.0.0.1", port)


def test_without_a_port_nothing_is_counted_and_nothing_listens() -> None:
    with environ_of(NEEDED):
        metrics = open_metrics(read_settings(NEEDED), "worker")

    metrics.serve()()

    assert isinstance(metrics, NoMetrics)
    assert metrics.measure is None


def test_processes_of_one_machine_have_ports_of_their_own() -> None:
    assert sorted(PORTS_ON.values()) == list(range(len(PORTS_ON)))


def test_the_public_port_is_not_the_metrics_port() -> None:
    with (
        environ_of({**NEEDED, "PORT": "7001", "LONGHAUL_METRICS_PORT": "7001"}),
        pytest.raises(Misconfigured, match="METRICS_PORT must be another than PORT"),
    ):
        read_settings(NEEDED)


def feed_standing(census: Census | None = None) -> FeedStanding:
    return FeedStanding(
        shards=2,
        record_age=timedelta(seconds=7),
        turned_at=NOW,
        checkpointed_at=None,
        sweeps=4,
        swept_at=NOW,
        census=census,
    )


def scrape_of(standing: FeedStanding) -> Scrape:
    registry = CollectorRegistry()
    registry.register(FeedGauges(lambda: standing))
    return Scrape.of(generate_latest(registry).decode())


def test_a_feed_tells_what_it_knows_and_leaves_out_what_has_not_been() -> None:
    seen = scrape_of(feed_standing())

    assert seen.value("longhaul_feed_record_age_seconds") == 7
    assert seen.value("longhaul_feed_turned_timestamp_seconds") == NOW.timestamp()
    assert seen.value("longhaul_sweeps_total") == 4
    assert seen.by_label("longhaul_feed_checkpointed_timestamp_seconds") == {}


def test_only_who_has_counted_the_open_jobs_tells_of_them() -> None:
    census = Census(
        at=NOW,
        counts={JobStatus.PENDING: 2, JobStatus.RUNNING: 0},
        oldest={JobStatus.PENDING: NOW - timedelta(minutes=5)},
        is_whole=False,
    )

    assert scrape_of(feed_standing()).by_label("longhaul_open_jobs") == {}
    seen = scrape_of(feed_standing(census))
    assert seen.told("longhaul_open_jobs") == {"PENDING": 2}
    assert (
        seen.value("longhaul_open_jobs_oldest_timestamp_seconds", status="PENDING")
        == NOW.timestamp() - 300
    )
    assert seen.value("longhaul_open_jobs_whole") == 0
    assert {"longhaul_open_jobs", "longhaul_open_jobs_oldest_timestamp_seconds"} <= (
        scrape_of(feed_standing()).names
    )


def test_the_shared_folder_is_made_once_a_process_and_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(FOLDER, "/of/another/process")

    assert begin_sharing()
    assert not begin_sharing()
    [folder] = tmp_path.iterdir()
    end_sharing()

    assert re.fullmatch(r"longhaul-metrics-\d+-\w+", folder.name)
    assert list(tmp_path.iterdir()) == []
