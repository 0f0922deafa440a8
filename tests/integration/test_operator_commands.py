"""The operator's commands against a whole system: what they say when all is well, and when not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import connect

from adapters.redis_drain import RedisWorkers
from adapters.redis_events import connect_redis
from deploy.local.environment import REPO_ROOT
from jobs.times import read_time, written_time
from tests.stack import (
    BIN,
    Clients,
    LocalStack,
    Program,
    RedisServer,
    System,
    clean_environ,
    http,
    wait_until,
)
from tests.watching import Follower

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

TABLE = "LLM_Jobs"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("operator")
    redis = RedisServer(folder / "redis")
    redis.start()
    try:
        with LocalStack(folder / "stack", named={"REDIS_URL": redis.url}) as stack:
            yield stack
    finally:
        redis.kill()


@pytest.fixture(scope="module")
def system(place: LocalStack) -> Iterator[System]:
    with System(place) as running:
        yield running


def longhaul(
    place: LocalStack, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    environ = {**clean_environ(), **place.environ, "PORT": str(place.base), **settings}
    return subprocess.run(  # noqa: S603 - our own command
        [BIN / "longhaul", *arguments],
        env={name: value for name, value in environ.items() if value},
        cwd=REPO_ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
    )


def doctor(place: LocalStack, *arguments: str, **settings: str) -> dict[str, Any]:
    """Give what the doctor says, by name, with its exit status under `status`."""
    done = longhaul(place, "doctor", "--json", *arguments, **settings)
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    found: dict[str, Any] = {one["name"]: one for one in said["findings"]}
    return {**found, "status": done.returncode, "state": said["state"]}


def is_failed(said: dict[str, Any], name: str, *words: str) -> bool:
    one = said[name]
    text = f"{one['told']} {one['advice']}"
    return said["status"] == 2 and one["state"] == "fail" and all(word in text for word in words)


@contextmanager
def without(place: LocalStack, table: str) -> Iterator[None]:
    """Let a table be gone for a while."""
    clients = Clients.of(place.environ)
    clients.dynamodb.delete_table(TableName=table)
    try:
        yield
    finally:
        clients.close()
        again = longhaul(place, "bootstrap")  # the table, and that its rows expire
        assert again.returncode == 0, again.stderr


def test_of_a_running_system_the_doctor_finds_nothing_wrong(
    place: LocalStack, system: System
) -> None:
    roles = ("--role", "web", "--role", "worker", "--role", "feed")
    whole = longhaul(place, "doctor", "--call")
    inside = longhaul(place, "doctor", *roles)

    for done in (whole, inside):
        wrong = [line for line in done.stdout.splitlines() if not line.startswith("ok ")]
        assert wrong == []
        assert done.returncode == 0
    for name in ("redis", "table LLM_Jobs", "stream", "workers", "feeds", "open jobs"):
        assert f" {name} " in whole.stdout
    assert all(f"rights of {role}" in inside.stdout for role in roles[1::2])
    assert system.log_lines(event="record_rejected") == [], "a probe has left something behind"


def test_the_doctor_without_settings_names_the_setting(place: LocalStack) -> None:
    said = doctor(place, LONGHAUL_BUCKET="", LONGHAUL_TABEL="x")

    assert is_failed(said, "settings", "LONGHAUL_BUCKET is not set", "LONGHAUL_TABEL")


def test_a_wrong_redis_is_named(place: LocalStack) -> None:
    assert is_failed(doctor(place, REDIS_URL="redis://127.0.0.1:1/0"), "redis", "REDIS_URL")


def test_a_redis_that_evicts_or_forgets_is_named(place: LocalStack, system: System) -> None:
    assert system.program is not None
    client = connect_redis(place.redis_url, connections=1)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "no")
    try:
        said = doctor(place)
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")

    assert is_failed(said, "redis eviction", "allkeys-lru", "noeviction")
    assert said["workers"]["state"] == "ok", "it still says which workers it knows"
    assert said["redis durability"]["state"] == "warn"


def test_a_missing_bucket_is_named(place: LocalStack) -> None:
    said = doctor(place, LONGHAUL_BUCKET="nobody-has-this")

    assert is_failed(said, "bucket nobody-has-this", "not there", "bootstrap")


def test_a_missing_table_is_named(place: LocalStack) -> None:
    with without(place, f"{TABLE}_Rejected"):
        said = doctor(place)

    assert is_failed(said, f"table {TABLE}_Rejected", "not there", "bootstrap", "TableName")


def test_stores_and_an_issuer_that_do_not_answer_are_named(place: LocalStack) -> None:
    away = "http://127.0.0.1:1"
    said = doctor(
        place,
        AWS_ENDPOINT_URL_S3=away,
        LONGHAUL_OIDC_ISSUER=away,
        LONGHAUL_OIDC_AUDIENCE="longhaul",
    )

    bucket = place.environ["LONGHAUL_BUCKET"]
    assert is_failed(said, f"bucket {bucket}", "cannot be reached", "AWS_ENDPOINT_URL_S3")
    assert is_failed(said, "issuer", "LONGHAUL_OIDC_ISSUER")


def test_where_no_process_runs_each_is_named(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        said = doctor(stack, "--url", f"http://127.0.0.1:{stack.base}")

    assert is_failed(said, "web", "does not answer")
    assert is_failed(said, "workers", "none", "workers.worker_entry")
    assert is_failed(said, "feeds", "workers.feed_entry")
    assert is_failed(said, "sweep", "workers.feed_entry")


def test_a_web_process_that_nobody_named_is_only_asked_for(place: LocalStack) -> None:
    said = doctor(place, PORT="1")

    assert (said["web"]["state"], "--url" in said["web"]["advice"]) == ("warn", True)


def submit(system: System, prompt: str) -> str:
    answer = http.post(f"{system.url}/v1/jobs", json={"prompt": prompt})
    job_id: str = answer.raise_for_status().json()["id"]
    return job_id


def job_of(system: System, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = http.get(f"{system.url}/v1/jobs/{job_id}").raise_for_status().json()
    return job


def wait_for_status(system: System, job_id: str, status: str) -> None:
    wait_until(lambda: job_of(system, job_id)["status"] == status, f"{job_id} is {status}")


def test_a_stuck_job_is_listed_with_who_holds_it_and_why(place: LocalStack, system: System) -> None:
    job_id = submit(system, "Hold on <<stand-in: first_token_s=60>>")
    wait_for_status(system, job_id, "RUNNING")
    wait_until(lambda: place.model_calls(job_id), "the call")

    def listed() -> dict[str, Any] | None:
        done = longhaul(place, "jobs", "--stuck", "--older-than", "1s", "--json")
        jobs = json.loads(done.stdout)["jobs"]
        return next((one for one in jobs if one["job_id"] == job_id), None)

    one = wait_until(listed, "the job is listed") or {}
    assert (one["status"], one["last_step"]) == ("RUNNING", "invoked")
    assert one["holder"].startswith("worker@")
    assert one["why"] == "the model works on it"
    shown = longhaul(place, "jobs", "--stuck", "--older-than", "1s")
    assert shown.returncode == 1
    assert job_id in shown.stdout

    http.post(f"{system.url}/v1/jobs/{job_id}/cancel").raise_for_status()
    none = longhaul(place, "jobs", "--stuck")
    assert (none.returncode, none.stdout) == (0, "no stuck jobs\n")


def test_a_stuck_jobs_worker_that_was_killed_within_its_lease_is_told(tmp_path: Path) -> None:
    lease = timedelta(seconds=300)
    settings = {"LONGHAUL_LEASE_SECONDS": f"{lease.total_seconds():g}"}
    with (
        LocalStack(tmp_path) as stack,
        System(stack, processes=("web", "feed"), settings=settings) as system,
    ):
        with a_worker(stack, tmp_path / "worker.log", **settings) as worker:
            job_id = submit(system, "Hold on <<stand-in: first_token_s=120>>")
            wait_until(lambda: stack.model_calls(job_id), "the call")
            alive = wait_until(lambda: stuck(stack, **settings).get(job_id), "it is listed") or {}
            assert alive["why"] == "the model works on it"

        def told() -> dict[str, Any] | None:
            one = stuck(stack, **settings)[job_id]
            return one if "has not been heard of for" in one["why"] else None

        one = wait_until(told, "it is told that the worker is gone") or {}
        name = f"worker@{socket.gethostname()}:{worker.pid}"
        assert (one["status"], one["holder"]) == ("RUNNING", name)
        rescue = read_time(one["lease_until"]) + lease / 2
        assert read_time(one["rescue_at"]) == rescue
        assert one["why"].startswith(f"its worker {name} has not been heard of for ")
        assert one["why"].endswith(f"; the sweep takes it up after {written_time(rescue)}")
        shown = longhaul(stack, "jobs", "--stuck", "--older-than", "1s", **settings)
        assert "LEASE END" in shown.stdout
        assert one["lease_until"] in shown.stdout

        blind = longhaul(
            stack, "jobs", "--stuck", "--older-than", "1s", REDIS_URL="redis://127.0.0.1:1/0"
        )
        assert "as its row has it: Redis does not say whether it lives" in blind.stdout
        assert "whether workers live is not known" in blind.stderr
        assert is_failed(doctor(stack), "workers", "none is there")


def test_a_stuck_job_that_stands_in_line_is_told_from_one_that_no_worker_has_taken(
    tmp_path: Path,
) -> None:
    settings = {"LONGHAUL_WORKER_CONCURRENCY": "1"}

    def why(job_id: str, words: str) -> bool:
        one = stuck(stack, **settings).get(job_id)
        return one is not None and one["why"].startswith(words)

    with (
        LocalStack(tmp_path) as stack,
        System(stack, processes=("web", "feed"), settings=settings) as system,
    ):
        untaken = submit(system, "Hold on <<stand-in: first_token_s=60>>")
        wait_until(lambda: why(untaken, "waits for a worker"), "nobody has taken it")
        with a_worker(stack, tmp_path / "worker.log", **settings):
            wait_for_status(system, untaken, "RUNNING")
            next_one = submit(system, "Hold on as well")

            wait_until(lambda: why(next_one, "stands in line for its turn"), "it stands in line")

        blind = longhaul(
            stack, "jobs", "--stuck", "--older-than", "1s", REDIS_URL="redis://127.0.0.1:1/0"
        )
        assert "who stands in line is not known" in blind.stderr


def stuck(stack: LocalStack, **settings: str) -> dict[str, Any]:
    """Give the stuck jobs by their ids, of any age."""
    done = longhaul(stack, "jobs", "--stuck", "--older-than", "1s", "--json", **settings)
    return {one["job_id"]: one for one in json.loads(done.stdout)["jobs"]}


def test_failed_jobs_are_redriven_together_and_those_of_other_errors_are_not(
    place: LocalStack, system: System
) -> None:
    failed = [submit(system, "No <<stand-in: validation_error=no such field>>") for _ in range(2)]
    other = submit(system, "No <<stand-in: error=AccessDeniedException; error_first=1>>")
    for job_id in (*failed, other):
        wait_for_status(system, job_id, "FAILED")
    terms = ("redrive", "--failed-since", "1h", "--error", "model_rejected_request")

    refused = longhaul(place, *terms)
    assert refused.returncode == 2
    assert "the whole table is read" in refused.stderr
    seen = longhaul(place, *terms, "--dry-run")
    assert seen.returncode == 0
    assert [job_id in seen.stdout for job_id in (*failed, other)] == [True, True, False]
    done = longhaul(place, *terms, "--user", "local", "--yes")

    assert done.returncode == 0, done.stderr
    assert [job_id in done.stdout for job_id in (*failed, other)] == [True, True, False]
    for job_id in failed:
        wait_until(lambda job_id=job_id: len(place.model_calls(job_id)) == 2, "the second round")  # type: ignore[misc] # mypy infers no lambda with a default
        steps = http.get(f"{system.url}/v1/jobs/{job_id}/timeline").json()["steps"]
        assert any(
            step["step"] == "redriven" and step["by"].startswith("operator@") for step in steps
        )
    assert len(place.model_calls(other)) == 1


def test_one_job_is_still_redriven_by_its_user(place: LocalStack, system: System) -> None:
    job_id = submit(system, "No <<stand-in: validation_error=no such field>>")
    wait_for_status(system, job_id, "FAILED")

    done = longhaul(place, "redrive", job_id, LONGHAUL_URL=system.url)

    assert (done.returncode, done.stdout) == (0, f"{job_id}  PENDING\n")


@contextmanager
def two_workers(stack: LocalStack, folder: Path, **settings: str) -> Iterator[list[Program]]:
    """Run two workers of four jobs each, which have said that they have room."""
    with ExitStack() as running:
        workers = [
            running.enter_context(a_worker(stack, folder / f"worker-{number}.log", **settings))
            for number in range(2)
        ]
        wait_until(lambda: len(rooms_of(stack)) == 2, "both have said how much room they have")
        yield workers


def name_of(worker: Program) -> str:
    return f"worker@{socket.gethostname()}:{worker.pid}"


def test_a_drained_worker_ends_what_it_runs_and_the_other_takes_what_is_new(
    tmp_path: Path,
) -> None:
    with (
        LocalStack(tmp_path) as stack,
        System(stack, processes=("web", "feed")) as system,
        two_workers(stack, tmp_path) as (first, second),
    ):
        running = [submit(system, "Go on <<stand-in: duration_s=5>>") for _ in range(6)]
        wait_until(lambda: all(map(stack.model_calls, running)), "all are called")
        assert first.output.count("job_claimed") > 0

        done = longhaul(stack, "drain", name_of(first))
        fresh = [submit(system, "Hello") for _ in range(4)]

        assert (done.returncode, f"{name_of(first)}  has gone" in done.stdout) == (0, True)
        assert first.process.wait(30) == 0
        for job_id in (*running, *fresh):
            wait_for_status(system, job_id, "COMPLETED")
            assert len(stack.model_calls(job_id)) == 1, "paid once"
        assert "drain_handed_over" not in first.output
        assert all(job_id in second.output for job_id in fresh)
        assert longhaul(stack, "drain").returncode == 2
        assert longhaul(stack, "drain", "worker@nowhere:1").returncode == 2


def test_a_job_that_outlasts_the_drain_is_handed_on_and_its_watcher_sees_one_true_stream(
    tmp_path: Path,
) -> None:
    with (
        LocalStack(tmp_path) as stack,
        System(stack, processes=("web", "feed")) as system,
        two_workers(stack, tmp_path, LONGHAUL_DRAIN_SECONDS="2") as workers,
    ):
        # Its first call says five words and then nothing for an hour; the second is whole.
        job_id = submit(system, "Go on <<stand-in: stall_after=5; stream_faults_first=1>>")
        follower = Follower()
        with connect(f"{system.url.replace('http', 'ws')}/v1/ws", proxy=None) as socket_:
            socket_.send(follower.subscription(job_id))
            heard: list[dict[str, Any]] = []
            while not follower.text:
                follow(socket_, follower, heard)
            [holder] = [one for one in workers if job_id in one.output]
            [other] = [one for one in workers if one is not holder]

            done = longhaul(stack, "drain", name_of(holder), "--json")
            while follower.end is None:
                follow(socket_, follower, heard)

        assert json.loads(done.stdout) == {"gone": [name_of(holder)], "still_there": []}
        assert done.returncode == 0
        assert holder.process.wait(30) == 0
        assert f'"worker": "{name_of(other)}"' in other.output
        job = job_of(system, job_id)
        assert (job["status"], job["attempt"]) == ("COMPLETED", 2)
        assert len(stack.model_calls(job_id)) == 2
        assert (follower.end, follower.gaps) == ("job.completed", 0)
        assert follower.text == job["result"]["text"]
        states = [one["event"] for one in heard if one["event"] != "job.delta"]
        assert states[-4:] == ["job.started", "job.retrying", "job.started", "job.completed"]
        [retrying] = [one for one in heard if one["event"] == "job.retrying"]
        assert retrying["error"]["code"] == "interrupted"


def follow(socket_: ClientConnection, follower: Follower, heard: list[dict[str, Any]]) -> None:
    """Take the next message, if it is an event."""
    message = json.loads(socket_.recv(timeout=60))
    if message["type"] == "event":
        follower.take(message)
        heard.append(message)


@contextmanager
def a_worker(stack: LocalStack, log: Path, **settings: str) -> Iterator[Program]:
    """Run a worker that can be ended by itself, and wait until it is up."""
    worker = Program(
        (sys.executable, "-m", "workers.worker_entry"),
        environ={
            **clean_environ(),
            **stack.environ,
            "LONGHAUL_WORKER_CONCURRENCY": "4",
            "LONGHAUL_LOG_FORMAT": "json",
            **settings,
        },
        log=log,
    )
    try:
        worker.wait_for(lambda: "worker_started" in worker.output, "it is up")
        yield worker
    finally:
        worker.kill()


def rooms_of(stack: LocalStack) -> dict[str, int]:
    return RedisWorkers(connect_redis(stack.redis_url, connections=1)).rooms()
