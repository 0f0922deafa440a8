from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.local.attach import agree, refuse_unless_aws_is_meant
from deploy.local.environment import (
    PROCFILE_ORDER,
    REPO_ROOT,
    Part,
    SettingError,
    StandIn,
    may_create_stores,
    plan,
    shown,
)
from deploy.local.ready import Ready, ready_of
from deploy.local.restart import MAX_RESTARTS, PAUSE, WINDOW, next_start

ALL_NAMED = {
    "AWS_ENDPOINT_URL": "https://aws.example.com",
    "REDIS_URL": "redis://redis.example.com:6379/1",
}


def test_an_empty_environment_gets_every_stand_in_on_loopback() -> None:
    decided = plan({})

    assert decided.stand_ins == (StandIn.AWS, StandIn.REDIS, StandIn.BEDROCK)
    assert decided.additions == {
        "REDIS_URL": "redis://127.0.0.1:5002/0",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:5001",
        "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": "http://127.0.0.1:5001",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:5001",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:5003",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_EC2_METADATA_DISABLED": "true",
        "LONGHAUL_BUCKET": "longhaul-local",
        "LONGHAUL_ALLOW_ANONYMOUS": "true",
        "LONGHAUL_ALLOWED_ORIGINS": "http://127.0.0.1:5000,http://localhost:5000",
        "LONGHAUL_FEED_READS_PER_SECOND": "100",
        "LONGHAUL_LOG_FORMAT": "console",
        "PORT": "5000",
    }


def test_a_full_environment_gets_no_stand_in_and_only_a_port() -> None:
    decided = plan(ALL_NAMED)

    assert decided.stand_ins == ()
    assert decided.additions == decided.always == {"PORT": "5000"}


@pytest.mark.parametrize(
    ("variable", "part", "stand_ins"),
    [
        ("REDIS_URL", Part.REDIS, (StandIn.AWS, StandIn.BEDROCK)),
        ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", Part.BEDROCK, (StandIn.AWS, StandIn.REDIS)),
        ("AWS_ENDPOINT_URL_S3", Part.S3, tuple(StandIn)),
    ],
)
def test_a_named_part_is_used_and_never_overruled(
    variable: str, part: Part, stand_ins: tuple[StandIn, ...]
) -> None:
    decided = plan({variable: "redis://own.example.com:1/2"})

    assert decided.named == {part: "redis://own.example.com:1/2"}
    assert decided.stand_ins == stand_ins
    assert variable not in decided.additions


def test_the_aws_stand_in_goes_only_when_all_it_stands_for_is_named() -> None:
    decided = plan({"AWS_ENDPOINT_URL_DYNAMODB": "http://d:1", "AWS_ENDPOINT_URL_S3": "http://s:1"})

    assert StandIn.AWS not in decided.stand_ins


def test_a_stream_lives_with_its_named_table() -> None:
    decided = plan({"AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:8000"})

    assert decided.named[Part.STREAMS] == "http://127.0.0.1:8000"
    assert decided.always["AWS_ENDPOINT_URL_DYNAMODB_STREAMS"] == "http://127.0.0.1:8000"


def test_an_endpoint_for_all_of_aws_is_left_to_boto3() -> None:
    decided = plan({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})

    assert decided.stand_ins == (StandIn.REDIS,)
    assert decided.additions == {"REDIS_URL": "redis://127.0.0.1:5002/0", "PORT": "5000"}


def test_an_empty_variable_names_nothing() -> None:
    assert plan({"REDIS_URL": "", "AWS_REGION": "", "PORT": ""}) == plan({})


@pytest.mark.parametrize(
    ("environ", "additions"),
    [
        ({"AWS_REGION": "eu-west-1"}, {"AWS_DEFAULT_REGION": "eu-west-1"}),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, {"AWS_REGION": "eu-west-1"}),
        ({"AWS_PROFILE": "mine"}, {}),
    ],
)
def test_a_named_region_stays_and_is_said_under_both_names(
    environ: Mapping[str, str], additions: Mapping[str, str]
) -> None:
    added = plan(environ).additions

    assert {name: added[name] for name in added if "REGION" in name} == additions


@pytest.mark.parametrize(
    "variable",
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ],
)
def test_named_credentials_are_not_replaced(variable: str) -> None:
    added = plan({variable: "own"}).additions

    assert not added.keys() & {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_a_named_bucket_and_a_named_access_rule_stay() -> None:
    added = plan({"LONGHAUL_BUCKET": "own", "LONGHAUL_ALLOW_ANONYMOUS": "false"}).additions

    assert not added.keys() & {"LONGHAUL_BUCKET", "LONGHAUL_ALLOW_ANONYMOUS"}


def test_nobody_is_let_in_unasked_where_the_stores_are_real() -> None:
    stores = {"AWS_ENDPOINT_URL_DYNAMODB": "https://d", "AWS_ENDPOINT_URL_S3": "https://s"}

    assert "LONGHAUL_ALLOW_ANONYMOUS" not in plan(stores).additions


def test_a_switch_that_hides_endpoints_from_boto3_is_put_back() -> None:
    added = plan({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}).additions

    assert added["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] == "false"


def test_loopback_goes_past_a_proxy_beside_what_went_before() -> None:
    added = plan({"HTTP_PROXY": "http://proxy:3128", "no_proxy": "corp.example.com"}).additions

    assert added["no_proxy"] == added["NO_PROXY"] == "corp.example.com,127.0.0.1,localhost"


def test_one_variable_shifts_all_ports() -> None:
    ports = plan({"LONGHAUL_PORT_BASE": "6000"}).ports

    assert (ports.web, ports.aws, ports.redis, ports.bedrock) == (6000, 6001, 6002, 6003)


def test_port_names_the_web_port_alone() -> None:
    ports = plan({"PORT": "8080"}).ports

    assert (ports.web, ports.aws) == (8080, 5001)


@pytest.mark.parametrize(
    "value", ["x", "1023", "65001", "-1", "5000.5", "\u0665\u0660\u0660\u0660"]
)
def test_a_port_base_that_cannot_be_used_is_named(value: str) -> None:
    with pytest.raises(SettingError, match="LONGHAUL_PORT_BASE"):
        plan({"LONGHAUL_PORT_BASE": value})


@pytest.mark.parametrize("value", ["x", "0", "65536"])
def test_a_web_port_that_cannot_be_used_is_named(value: str) -> None:
    with pytest.raises(SettingError, match="PORT="):
        plan({"PORT": value})


def test_a_web_port_that_a_stand_in_needs_is_refused() -> None:
    with pytest.raises(SettingError, match="PORT=5002 is also the port of the redis stand-in"):
        plan({"PORT": "5002"})


@pytest.mark.parametrize("position", range(len(PROCFILE_ORDER)))
@pytest.mark.parametrize("process", PROCFILE_ORDER)
def test_honchos_own_count_names_no_web_port_in_any_order(process: str, position: int) -> None:
    environ = {"HONCHO_PROCESS_NAME": f"{process}.1", "PORT": str(5000 + 100 * position)}

    assert plan({**environ, "LONGHAUL_PORT_BASE": "7000"}).ports.web == 7000


@pytest.mark.parametrize(
    ("process", "port"), [("web", 8080), ("worker", 8180), ("feed", 8280), ("local", 8380)]
)
def test_a_port_given_to_honcho_means_the_same_to_each_process(process: str, port: int) -> None:
    environ = {"HONCHO_PROCESS_NAME": f"{process}.1", "PORT": str(port)}

    assert plan(environ).ports.web == 8080


def test_the_procfile_has_the_order_that_the_ports_are_counted_by() -> None:
    lines = (REPO_ROOT / "Procfile").read_text().splitlines()

    assert tuple(line.partition(":")[0] for line in lines) == PROCFILE_ORDER


def test_the_data_folder_is_in_the_repository_or_where_it_is_named() -> None:
    assert plan({}).data_dir == REPO_ROOT / ".local"
    assert plan({"LONGHAUL_LOCAL_DIR": "/var/tmp/l"}).data_dir == Path("/var/tmp/l")  # noqa: S108 - only a name


@pytest.mark.parametrize(
    ("environ", "may"),
    [
        ({}, True),
        ({"AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:8000"}, True),
        ({"AWS_ENDPOINT_URL_S3": "https://minio.example.com"}, False),
        ({"AWS_ENDPOINT_URL": "https://aws.example.com"}, False),
        ({"AWS_ENDPOINT_URL": "https://aws.example.com", "LONGHAUL_BOOTSTRAP": "1"}, True),
    ],
)
def test_stores_are_made_unasked_only_on_this_machine(
    environ: Mapping[str, str], *, may: bool
) -> None:
    assert may_create_stores(plan(environ), environ) is may


def test_a_shown_address_has_no_credentials() -> None:
    assert shown("redis://user:pass@r.example.com:6379/1?password=x") == (
        "redis://r.example.com:6379/1"
    )


def test_aws_needs_a_redis_and_a_region_by_name() -> None:
    with pytest.raises(SettingError, match=r"REDIS_URL and an AWS region .*honcho start"):
        refuse_unless_aws_is_meant(plan({}), {})


@pytest.mark.parametrize("region", ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"])
def test_a_named_redis_and_region_mean_aws(region: str) -> None:
    environ = {"REDIS_URL": "redis://r", region: "eu-west-1"}

    refuse_unless_aws_is_meant(plan(environ), environ)


def test_an_attached_process_goes_where_local_says() -> None:
    theirs = {"LONGHAUL_PORT_BASE": "6000", "AWS_REGION": "eu-west-1"}
    ready = ready_of(plan(theirs), theirs, pid=1)

    added = agree(plan({}), ready)

    assert added["REDIS_URL"] == "redis://127.0.0.1:6002/0"
    assert added["AWS_REGION"] == "eu-west-1"


def test_a_part_that_only_local_was_given_is_missed_by_name() -> None:
    theirs = {"REDIS_URL": "redis://:secret@r.example.com"}
    ready = ready_of(plan(theirs), theirs, pid=7)

    with pytest.raises(SettingError, match=r"pid 7\) was given its own REDIS_URL"):
        agree(plan({}), ready)


def test_what_local_says_holds_no_password() -> None:
    named = {"REDIS_URL": "redis://:secret@r", "AWS_SECRET_ACCESS_KEY": "secret"}

    ready = ready_of(plan(named), named, pid=1)

    assert isinstance(ready, Ready)
    assert "secret" not in str(ready)


def test_a_server_that_ran_long_comes_back_at_once() -> None:
    assert next_start([0.0], now=3600.0) == 3600.0


def test_a_server_that_died_at_once_comes_back_after_the_pause() -> None:
    assert next_start([100.0], now=101.0) == 100.0 + PAUSE.total_seconds()


def test_a_server_that_cannot_run_is_given_up() -> None:
    starts = [10.0 * number for number in range(MAX_RESTARTS + 1)]

    assert next_start(starts[:-1], now=starts[-1]) is not None
    assert next_start(starts, now=starts[-1] + 1) is None


def test_deaths_of_long_ago_are_forgotten() -> None:
    starts = [10.0 * number for number in range(MAX_RESTARTS + 1)]
    later = starts[-1] + WINDOW.total_seconds()

    assert next_start(starts, now=later) == later


def test_under_honcho_jobs_are_handed_on_before_it_kills() -> None:
    decided = plan({**ALL_NAMED, "HONCHO_PROCESS_NAME": "worker.1"})

    assert decided.always["LONGHAUL_DRAIN_SECONDS"] == "3"
    named = plan({**ALL_NAMED, "HONCHO_PROCESS_NAME": "worker.1", "LONGHAUL_DRAIN_SECONDS": "9"})
    assert "LONGHAUL_DRAIN_SECONDS" not in named.always
