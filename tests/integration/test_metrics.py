"""Metrics of the whole system: what was done is what all three kinds of process tell, exactly."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from websockets.sync.client import connect

from adapters.metrics_ports import PORTS_ON
from deploy.local.environment import REPO_ROOT
from jobs.job import JobId, ModelId, UserId
from jobs.task import Task
from jobs.trace import Trace
from tests.free_ports import free_base
from tests.scrape import Scrape
from tests.stack import (
    BIN,
    LocalStack,
    Program,
    System,
    answers,
    clean_environ,
    http,
    wait_until,
)
from tests.webhook_receiver import SETTINGS, receiving
from workers.broker import CeleryTaskQueue, make_celery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "amazon.nova-lite-v1:0"
OBSERVABILITY = REPO_ROOT / "deploy" / "observability"
POLICY = [
    {
        "ErrorEquals": ["Bedrock.ThrottlingException"],
        "IntervalSeconds": 1,
        "MaxAttempts": 3,
    }
]
PROCESSES = {
    "web": (f"{BIN}/gunicorn", "--config", "web/gunicorn.py", "web.entry:app"),
    "worker": (sys.executable, "-m", "workers.worker_entry"),
    "feed": (sys.executable, "-m", "workers.feed_entry"),
}
NAME = re.compile(r"\blonghaul_[a-z0-9_]+")


@dataclass(frozen=True)
class Seen:
    """What was done to a fresh system, and what its processes tell then."""

    web: Scrape
    worker: Scrape
    feed: Scrape
    while_it_ran: Scrape
    while_watched: Scrape
    running: dict[str, Any]
    jobs: dict[str, dict[str, Any]]
    system: System
    web_port: int


class Hands:
    """A client of the system."""

    def __init__(self, system: System) -> None:
        self._url = system.url

    def submit(self, prompt: str, **body: object) -> str:
        answer = http.post(f"{self._url}/v1/jobs", json={"prompt": prompt, **body})
        job_id: str = answer.raise_for_status().json()["id"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = http.get(f"{self._url}/v1/jobs/{job_id}").raise_for_status().json()
        return job

    def wait(self, job_id: str, status: str) -> dict[str, Any]:
        wait_until(lambda: self.job(job_id)["status"] == status, status)
        return self.job(job_id)

    def deliveries(self, job_id: str) -> list[dict[str, Any]]:
        answer = http.get(f"{self._url}/v1/jobs/{job_id}/deliveries").raise_for_status()
        found: list[dict[str, Any]] = answer.json()["deliveries"]
        return found

    def cancel(self, job_id: str) -> None:
        http.post(f"{self._url}/v1/jobs/{job_id}/cancel").raise_for_status()

    def replay(self, job_id: str) -> list[str]:
        """Subscribe to an ended job from its beginning, and give the events that are told."""
        with connect(f"{self._url.replace('http', 'ws')}/v1/ws", proxy=None) as watcher:
            watcher.send(json.dumps({"type": "subscribe", "job_id": job_id, "after": 0}))
            told = [json.loads(watcher.recv(timeout=30))]
            while told[-1].get("event") != "job.completed":
                told.append(json.loads(watcher.recv(timeout=30)))
        return [one["event"] for one in told if one["type"] == "event"]


def counted(port: int, running: dict[str, Any]) -> Scrape | None:
    """Look at a feed, and give what it tells if it has counted this job: not those before it."""
    accepted_at = datetime.fromisoformat(running["created_at"]).timestamp()
    scrape = Scrape.at(port)
    oldest = scrape.value("longhaul_open_jobs_oldest_timestamp_seconds", status="RUNNING")
    return scrape if oldest == pytest.approx(accepted_at, abs=0.001) else None


def send_twice(stack: LocalStack, job_id: str) -> None:
    """Give the broker the task of a job that has ended."""
    now = datetime.now(UTC)
    task = Task(
        job_id=JobId(job_id),
        user=UserId("local"),
        model=ModelId(MODEL),
        trace=Trace.start(now, b"0" * 12),
        seen_at=now,
        enqueued_at=now,
        by="test",
    )
    celery = make_celery(stack.redis_url, connections=1)
    CeleryTaskQueue(celery).enqueue([task])
    celery.close()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    port = free_base(3)
    settings = {
        **SETTINGS,
        "LONGHAUL_METRICS_PORT": str(port),
        "LONGHAUL_CENSUS_SECONDS": "1",
        "LONGHAUL_RETRY_POLICY": json.dumps(POLICY),
        "WEB_CONCURRENCY": "2",
    }
    with (
        LocalStack(tmp_path_factory.mktemp("metrics")) as stack,
        receiving(refusals=1) as receiver,
        System(stack, settings=settings) as system,
    ):
        hands = Hands(system)
        told = hands.submit("One. <<stand-in: tokens=30>>", webhook={"url": receiver.url})
        completed = hands.wait(told, "COMPLETED")
        wait_until(lambda: hands.deliveries(told)[0]["state"] == "delivered", "the delivery")

        throttled = hands.submit("Two. <<stand-in: throttle_first=1; tokens=20>>")
        hands.wait(throttled, "COMPLETED")
        failed = hands.submit("Three. <<stand-in: validation_error=no>>")
        hands.wait(failed, "FAILED")

        long = hands.submit("Four. <<stand-in: duration_s=60; tokens=600>>")
        running = hands.wait(long, "RUNNING")
        while_it_ran = wait_until(lambda: counted(port + 2, running), "the running job is counted")
        assert while_it_ran is not None
        with connect(f"{system.url.replace('http', 'ws')}/v1/ws", proxy=None) as watcher:
            watcher.send(json.dumps({"type": "ping"}))
            watcher.recv(timeout=30)
            wait_until(
                lambda: Scrape.at(port).value("longhaul_watchers", kind="websocket") == 1,
                "the socket is counted",
            )
            while_watched = Scrape.at(port)
            assert Scrape.at(port + 1).value("longhaul_worker_running_jobs") == 1
            hands.cancel(long)
            while json.loads(watcher.recv(timeout=30)).get("event") != "job.cancelled":
                pass
        hands.replay(told)
        send_twice(stack, told)
        wait_until(
            lambda: (
                Scrape.at(port + 1).value("longhaul_claims_refused_total", status="COMPLETED")
                and Scrape.at(port + 1).value("longhaul_runs_fenced_total")
                and not Scrape.at(port + 1).value("longhaul_worker_running_jobs")
                and not Scrape.at(port).value("longhaul_watchers", kind="websocket")
                and not Scrape.at(port + 2).value("longhaul_open_jobs", status="RUNNING")
            ),
            "all is over",
        )
        yield Seen(
            web=Scrape.at(port),
            worker=Scrape.at(port + 1),
            feed=Scrape.at(port + 2),
            while_it_ran=while_it_ran,
            while_watched=while_watched,
            running=running,
            jobs={"completed": completed, "throttled": hands.job(throttled)},
            system=system,
            web_port=port,
        )


def test_jobs_are_counted_where_they_are_accepted_and_where_they_end(seen: Seen) -> None:
    assert seen.web.value("longhaul_jobs_accepted_total") == 4
    assert seen.web.told("longhaul_jobs_ended_total") == {"job CANCELLED": 1}
    assert seen.worker.told("longhaul_jobs_ended_total") == {"job COMPLETED": 2, "job FAILED": 1}
    assert seen.worker.told("longhaul_job_failures_total") == {"model_rejected_request": 1}
    assert seen.worker.told("longhaul_job_seconds_count") == {"COMPLETED": 2, "FAILED": 1}


def test_claims_calls_waits_and_retries_are_those_of_the_jobs(seen: Seen) -> None:
    worker = seen.worker

    assert worker.value("longhaul_claims_total") == 5
    assert worker.value("longhaul_queue_wait_seconds_count") == 4
    assert worker.value("longhaul_queue_wait_seconds_sum") < 60
    assert worker.value("longhaul_model_calls_total") == 5
    assert worker.told("longhaul_retries_total") == {f"model_throttled {MODEL}": 1}
    assert worker.told("longhaul_run_seconds_count") == {
        "COMPLETED": 2,
        "FAILED": 1,
        "PENDING_RETRY": 1,
    }
    assert worker.value("longhaul_first_token_seconds_count", model=MODEL) == 3
    assert worker.told("longhaul_claims_refused_total") == {"COMPLETED": 1}
    assert worker.value("longhaul_runs_fenced_total") == 1


def test_tokens_are_those_that_the_jobs_show(seen: Seen) -> None:
    usages = [job["usage"] for job in seen.jobs.values()]

    assert seen.worker.told("longhaul_tokens_total") == {
        f"input {MODEL}": sum(usage["input_tokens"] for usage in usages),
        f"output {MODEL}": sum(usage["output_tokens"] for usage in usages),
    }


def test_each_try_of_a_webhook_is_counted_by_what_came_of_it(seen: Seen) -> None:
    assert seen.worker.told("longhaul_deliveries_tried_total") == {
        "webhook due": 1,
        "webhook delivered": 1,
    }


def test_the_feed_tells_how_far_it_is_and_who_waits_since_when(seen: Seen) -> None:
    accepted_at = datetime.fromisoformat(seen.running["created_at"]).timestamp()

    assert seen.feed.value("longhaul_feed_tasks_total") == 5
    assert seen.feed.value("longhaul_feed_shards") >= 1
    assert seen.feed.value("longhaul_feed_turned_timestamp_seconds") > accepted_at
    assert seen.feed.value("longhaul_feed_checkpointed_timestamp_seconds") > accepted_at
    assert seen.feed.value("longhaul_sweeps_total") >= 1
    assert seen.while_it_ran.told("longhaul_open_jobs") == {"RUNNING": 1}
    assert seen.while_it_ran.value(
        "longhaul_open_jobs_oldest_timestamp_seconds", status="RUNNING"
    ) == pytest.approx(accepted_at, abs=0.001)
    assert seen.feed.told("longhaul_open_jobs") == {}
    assert seen.feed.value("longhaul_open_jobs_whole") == 1


def test_the_two_web_workers_tell_one_sum_of_watchers_and_events(seen: Seen) -> None:
    told = seen.web.told("longhaul_events_told_total")

    assert seen.while_watched.told("longhaul_watchers") == {"websocket": 1}
    assert told["live"] >= 1
    assert told["replay"] >= 3
    assert seen.web.told("longhaul_gaps_total") == {}
    assert (
        seen.web.value(
            "longhaul_request_seconds_count", route="/v1/jobs", method="POST", status="202"
        )
        == 4
    )


def test_every_line_that_is_measured_had_its_keys_and_only_the_webhook_warned(seen: Seen) -> None:
    for scrape in (seen.web, seen.worker, seen.feed):
        assert scrape.value("longhaul_lines_unmeasured_total") == 0
    assert seen.worker.told("longhaul_warnings_total") == {"delivery_tried": 1}


def test_no_label_names_a_user_or_a_job(seen: Seen) -> None:
    for scrape in (seen.web, seen.worker, seen.feed):
        for family in scrape.families:
            for sample in family.samples:
                values = " ".join(sample.labels.values())
                assert not re.search(r"job_[0-9a-z]{26}|\blocal\b", values), sample


def test_the_metrics_port_has_nothing_else_and_the_public_port_asks_who_is_calling(
    seen: Seen,
) -> None:
    of_metrics = f"http://127.0.0.1:{seen.web_port}"

    assert http.get(f"{of_metrics}/v1/jobs").status_code == 404
    assert http.post(f"{of_metrics}/metrics").status_code == 404
    assert "longhaul_jobs_accepted_total 4" in http.get(f"{seen.system.url}/metrics").text
    wrong = {"Authorization": "Bearer a-key-that-nobody-has"}
    assert http.get(f"{seen.system.url}/metrics", headers=wrong).status_code == 401


@pytest.mark.parametrize("file", ["alerts.yml", "dashboard.json"])
def test_whatever_the_dashboard_and_the_rules_ask_for_is_told(seen: Seen, file: str) -> None:
    asked = set(NAME.findall("\n".join(expressions_in(OBSERVABILITY / file))))

    assert len(asked) > 10
    assert asked - seen.web.names - seen.worker.names - seen.feed.names == set()


def test_a_metrics_port_in_use_ends_each_process_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for role, command in PROCESSES.items():
            environ = {
                **clean_environ(),
                "REDIS_URL": "redis://127.0.0.1:1",
                "LONGHAUL_BUCKET": "nowhere",
                "LONGHAUL_METRICS_PORT": str(port - PORTS_ON[role]),
            }
            done = subprocess.run(  # noqa: S603 - our own command
                command, env=environ, capture_output=True, text=True, timeout=60, check=False
            )

            said = f"{role}: metrics cannot be served on 127.0.0.1:{port}: Address already in use\n"
            assert (done.returncode, done.stderr) == (2, said)


def test_what_a_web_worker_has_counted_outlives_it(tmp_path: Path) -> None:
    public, port = free_base(1), free_base(1)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environ = {
        **clean_environ(),
        "PORT": str(public),
        "LONGHAUL_METRICS_PORT": str(port),
        "REDIS_URL": "redis://127.0.0.1:1",
        "LONGHAUL_BUCKET": "nowhere",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "WEB_CONCURRENCY": "2",
        "LONGHAUL_DRAIN_SECONDS": "1",
        "TMPDIR": str(temporary),
    }
    program = Program(PROCESSES["web"], environ=environ, log=tmp_path / "web.log")
    try:
        program.wait_for(lambda: answers(f"http://127.0.0.1:{public}/healthz"), "web answers")
        before = program.wait_for(
            lambda: len(program.children()) >= 2 and program.children(), "two"
        )
        while_they_lived = health_checks(port)
        program.process.send_signal(signal.SIGHUP)
        program.wait_for(lambda: before and not before & program.children(), "others work")
        [_] = temporary.glob("longhaul-metrics-*")
        after = health_checks(port)
    finally:
        program.stop()

    assert while_they_lived >= 1
    assert after == while_they_lived
    assert list(temporary.glob("longhaul-metrics-*")) == []


def health_checks(port: int) -> float:
    labels = {"route": "/healthz", "method": "GET", "status": "200"}
    return Scrape.at(port).value("longhaul_request_seconds_count", **labels)


def expressions_in(path: Path) -> list[str]:
    """Give what a dashboard or a file of rules asks Prometheus."""
    document = yaml.safe_load(path.read_text())  # JSON is YAML
    if "groups" in document:
        return [rule["expr"] for group in document["groups"] for rule in group["rules"]]
    return [target["expr"] for panel in document["panels"] for target in panel.get("targets", [])]
