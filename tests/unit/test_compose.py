"""deploy/compose.yaml by Compose's own client: valid, and its parts keep what they are given."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from adapters.aws import connect_bedrock, connect_s3
from adapters.settings import Settings, read_settings
from deploy.local.environment import REPO_ROOT
from deploy.start import PROCESSES
from tests.dockerfile import DOCKERFILE, only, read_stages, version
from tests.stack import environ_of

if TYPE_CHECKING:
    from pathlib import Path

NAMED = {
    "AWS_REGION": "eu-central-1",
    "AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key",
    "S3_ACCESS_KEY": "longhaul",
    "S3_SECRET_KEY": "0123456789",
    "LONGHAUL_API_KEYS": "ada:0123456789abcdef",
}
STORES = {"valkey": "/data", "table": "/data", "objects": "/data"}


def configure(
    folder: Path, named: dict[str, str], project: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Let Compose read the file and say what it would run; that needs no engine."""
    file = (project or REPO_ROOT / "deploy") / "compose.yaml"
    environ = folder / "longhaul.env"
    environ.write_text("".join(f"{name}={value}\n" for name, value in named.items()))
    return subprocess.run(  # noqa: S603 - our own arguments
        [
            f"{sys.prefix}/bin/docker-compose", "--file", str(file),
            "--env-file", str(environ), "config", "--format", "json",
        ],
        cwd=REPO_ROOT,
        env={"HOME": str(folder)},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = configure(tmp_path_factory.mktemp("compose"), NAMED)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


@pytest.mark.parametrize("missing", sorted(NAMED))
def test_what_is_not_named_is_asked_for(tmp_path: Path, missing: str) -> None:
    done = configure(tmp_path, {name: value for name, value in NAMED.items() if name != missing})

    assert done.returncode != 0
    assert f"required variable {missing} is missing" in done.stderr


def test_one_image_is_all_processes(services: dict[str, Any]) -> None:
    ours = {name: one for name, one in services.items() if "build" in one}

    assert set(ours) == {*PROCESSES, "bootstrap"}
    assert {one["image"] for one in ours.values()} == {f"longhaul:{version()}"}
    for name in PROCESSES:
        assert ours[name]["command"] == [name]
        assert "entrypoint" not in ours[name] or ours[name]["entrypoint"] is None
    for one in ours.values():
        build = one["build"]
        assert f"{build['context']}/{build['dockerfile']}" == str(DOCKERFILE)
        assert one["read_only"]
        assert one["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("process", [*PROCESSES, "bootstrap"])
def test_the_settings_take_what_each_process_is_given(
    services: dict[str, Any], process: str
) -> None:
    given = services[process]["environment"]

    with environ_of(given):
        settings = read_settings(given)

    assert settings.api_keys == {"0123456789abcdef": "ada"}
    assert not settings.allow_anonymous


def test_any_other_setting_comes_from_a_file_and_the_fixed_ones_stay(tmp_path: Path) -> None:
    shutil.copy(REPO_ROOT / "deploy" / "compose.yaml", tmp_path)
    others = {
        "LONGHAUL_WEBHOOK_SECRETS": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
        "LONGHAUL_RATE_LIMIT": "100/60",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "LONGHAUL_METRICS_PORT": "9464",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://bedrock.example.com",
    }
    lines = {**others, "LONGHAUL_BUCKET": "elsewhere"}
    (tmp_path / "settings.env").write_text(
        "".join(f"{name}={value}\n" for name, value in lines.items())
    )

    done = configure(tmp_path, NAMED, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    for process in (*PROCESSES, "bootstrap"):
        given = json.loads(done.stdout)["services"][process]["environment"]
        assert others.items() <= given.items()
        assert given["LONGHAUL_BUCKET"] == "longhaul"
        with environ_of(given):
            assert read_settings(given).metrics_port == 9464


def test_bedrock_is_asked_with_its_own_key_and_objects_with_theirs(
    services: dict[str, Any],
) -> None:
    signed: dict[str, str] = {}

    class SentError(Exception):
        """Nothing leaves."""

    def keep(request: Any, **_: object) -> None:  # noqa: ANN401 - botocore's
        signed[request.url.split("/")[2]] = str(request.headers["Authorization"])
        raise SentError

    with environ_of(services["worker"]["environment"]):
        model, objects = connect_bedrock(connections=1, read_timeout=1), connect_s3(connections=1)
        for client in (model, objects):
            client.meta.events.register("before-send", keep)
        with pytest.raises(SentError):
            model.converse_stream(modelId="m", messages=[])
        with pytest.raises(SentError):
            objects.head_bucket(Bucket="longhaul")

    assert "bedrock-api-key" in signed["bedrock-runtime.eu-central-1.amazonaws.com"]
    assert "Credential=longhaul/" in signed["objects.localhost:9000"]


def test_each_process_reaches_the_services_that_it_is_led_to(services: dict[str, Any]) -> None:
    """By the names that Compose's network knows them by, on the ports that they open."""
    opened = {"valkey": 6379, "table": 8000, "objects.localhost": 9000}
    [alias] = services["objects"]["networks"]["default"]["aliases"]
    assert {*services, alias} >= set(opened)
    assert "-s3.port=9000" in services["objects"]["command"]
    for process in (*PROCESSES, "bootstrap"):
        given = services[process]["environment"]
        addresses = [given["REDIS_URL"]] + [
            given[f"AWS_ENDPOINT_URL_{part}"] for part in ("DYNAMODB", "DYNAMODB_STREAMS", "S3")
        ]
        led = [urlsplit(address) for address in addresses]
        assert [(one.hostname, one.port) for one in led] == [
            ("valkey", 6379), ("table", 8000), ("table", 8000), ("objects.localhost", 9000)
        ]  # fmt: skip


def test_processes_are_shut_in_and_have_time_to_end(services: dict[str, Any]) -> None:
    drain = Settings.model_fields["drain_seconds"].default
    for name in (*PROCESSES, "bootstrap"):
        one = services[name]
        assert one["tmpfs"] == ["/tmp"]  # noqa: S108 - the image's
        assert one["security_opt"] == ["no-new-privileges:true"]
        if name != "bootstrap":
            assert drain + 10 <= seconds_of(one["stop_grace_period"])
            waits = {on: how["condition"] for on, how in one["depends_on"].items()}
            assert waits["bootstrap"] == "service_completed_successfully"


def seconds_of(period: str) -> int:
    found = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", period)
    assert found is not None, period
    return int(found[1] or 0) * 60 + int(found[2] or 0)


def test_no_log_grows_for_ever(services: dict[str, Any]) -> None:
    for one in services.values():
        assert one["logging"]["driver"] == "local"
        assert set(one["logging"]["options"]) == {"max-size", "max-file"}


def test_ports_are_this_machines_alone(services: dict[str, Any]) -> None:
    ports = [port for one in services.values() for port in one.get("ports", [])]

    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert [port["target"] for port in services["web"]["ports"]] == [port_of_the_image()]
    assert not services["valkey"].get("ports")
    assert not services["table"].get("ports")


def port_of_the_image() -> int:
    return int(only(read_stages()[1], "EXPOSE").rest)


def test_all_come_back_and_all_are_looked_at(services: dict[str, Any]) -> None:
    for name, one in services.items():
        expected = "on-failure" if name == "bootstrap" else "unless-stopped"
        assert one["restart"] == expected
        assert "build" in one or "test" in one["healthcheck"]


def test_stores_are_on_volumes_and_forget_nothing(services: dict[str, Any]) -> None:
    for name, folder in STORES.items():
        [volume] = services[name]["volumes"]
        assert (volume["type"], volume["source"], volume["target"]) == ("volume", name, folder)
    valkey = " ".join(services["valkey"]["command"])
    assert "--appendonly yes" in valkey
    assert "--maxmemory-policy noeviction" in valkey
    assert services["table"]["command"][-2:] == ["-dbPath", "/data"]
    assert "-inMemory" not in services["table"]["command"]
    assert "-dir=/data" in services["objects"]["command"]
