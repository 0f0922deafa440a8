"""The operator's commands against a whole system: what they say when all is well, and when not."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from adapters.redis_events import connect_redis
from adapters.schema import feed_table_name, jobs_table, tables
from deploy.local.environment import REPO_ROOT
from tests.stack import BIN, Clients, LocalStack, RedisServer, System, clean_environ

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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
        [definition] = [one for one in tables(TABLE) if one["TableName"] == table]
        clients.dynamodb.create_table(**definition)
        clients.close()


def test_of_a_running_system_the_doctor_finds_nothing_wrong(
    place: LocalStack, system: System
) -> None:
    roles = ("--role", "web", "--role", "worker", "--role", "feed")
    done = longhaul(place, "doctor", "--call", *roles)

    wrong = [line for line in done.stdout.splitlines() if not line.startswith("ok ")]
    assert wrong == []
    assert done.returncode == 0
    for name in ("redis", "table LLM_Jobs", "stream", "rights of web", "rights of feed", "workers"):
        assert name in done.stdout
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
    assert said["redis durability"]["state"] == "warn"


def test_a_missing_bucket_is_named(place: LocalStack) -> None:
    said = doctor(place, LONGHAUL_BUCKET="nobody-has-this")

    assert is_failed(said, "bucket nobody-has-this", "no bucket", "bootstrap")


def test_a_missing_table_is_named(place: LocalStack) -> None:
    with without(place, f"{TABLE}_Rejected"):
        said = doctor(place)

    assert is_failed(said, f"table {TABLE}_Rejected", "no table", "bootstrap")


def test_a_table_without_a_stream_or_an_index_is_named(place: LocalStack) -> None:
    clients = Clients.of(place.environ)
    bare: Any = jobs_table("Bare_Jobs")
    del bare["StreamSpecification"]
    bare["GlobalSecondaryIndexes"] = bare["GlobalSecondaryIndexes"][:1]
    bare["AttributeDefinitions"] = bare["AttributeDefinitions"][:3]
    clients.dynamodb.create_table(**bare)
    try:
        said = doctor(place, LONGHAUL_TABLE="Bare_Jobs")
    finally:
        clients.dynamodb.delete_table(TableName="Bare_Jobs")
        clients.close()

    assert is_failed(said, "table Bare_Jobs", "stream must be on", "OpenJobs")
    assert is_failed(said, "stream", "has none")
    assert is_failed(said, "feeds", "feed")
    assert said[f"table {feed_table_name('Bare_Jobs')}"]["state"] == "fail"


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
