"""Names that are not Longhaul's alone: slips are refused, other people's names are not."""

from __future__ import annotations

import botocore.session
import pytest
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.utils import CLIENT_NAME_TO_HYPHENIZED_SERVICE_ID_OVERRIDES

from adapters.shared_names import problems_with_shared_names

FOREIGN = (
    "AWS_ACCESS_KEY",
    "AWS_SECRET_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_REGIONS",
    "AWS_REGION_NAME",
    "AWS_PROFILES",
    "AWS_S3_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL2",
    "AWS_SDK_LOAD_CONFIG",
    "AWS_PAGER",
    "AWS_DEFAULT_OUTPUT",
    "REDIS_URLS",
    "REDIS_URL_2",
    "REDIS_TLS_URL",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_PORT_6379_TCP",
    "REDISCLOUD_URL",
    "WEB_CONCURRENCY_PER_CORE",
    "WEB_MEMORY",
    "PROT",
    "PORTS",
    "aws_region",
)


def problems(**environ: str) -> list[str]:
    return list(problems_with_shared_names(environ))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
        ("REDIS_UR", "REDIS_URL"),
        ("REDIS_ULR", "REDIS_URL"),
        ("REDDIS_URL", "REDIS_URL"),
        ("AWS_REGON", "AWS_REGION"),
        ("AWS_RIGION", "AWS_REGION"),
        ("AWS_DEFAULT_REGIN", "AWS_DEFAULT_REGION"),
        ("AWS_ACCES_KEY_ID", "AWS_ACCESS_KEY_ID"),
        ("AWS_ENDPOINT_UR", "AWS_ENDPOINT_URL"),
        ("AWS_ENDPONT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB"),
        ("AWS_ENDPOINT_URL_DYNAMDB", "AWS_ENDPOINT_URL_DYNAMODB"),
    ],
)
def test_a_name_that_is_one_letter_away_is_told_once_unless_the_right_one_is_set(
    typed: str, meant: str
) -> None:
    value = "hunter2"

    [told] = problems(**{typed: value})

    assert told == f"{typed}: nobody reads it ({meant} is one letter away)"
    if "ENDPOINT_URL_" not in typed:
        assert problems(**{typed: value, meant: "http://127.0.0.1:1"}) == []


def test_names_of_others_are_let_alone() -> None:
    assert problems(**dict.fromkeys(FOREIGN, "x")) == []


def test_whatever_botocore_reads_is_let_alone() -> None:
    names = [one[1] for one in BOTOCORE_DEFAUT_SESSION_VARIABLES.values()]
    known = {name for one in names for name in ([one] if isinstance(one, str) else one or [])}

    assert {"AWS_PROFILE", "AWS_MAX_ATTEMPTS"} <= known
    for name in known:
        assert problems(**{name: "http://x"}) == []


def test_every_service_of_botocores_may_have_an_endpoint() -> None:
    services = botocore.session.get_session().get_available_services()
    ids = [CLIENT_NAME_TO_HYPHENIZED_SERVICE_ID_OVERRIDES.get(one, one) for one in services]
    names = [f"AWS_ENDPOINT_URL_{one.replace('-', '_').upper()}" for one in ids]

    assert "AWS_ENDPOINT_URL_SNS" in names
    assert problems(**dict.fromkeys(names, "http://127.0.0.1:1")) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("AWS_ENDPOINT_URL_DYNAMO", "of that name (AWS_ENDPOINT_URL_DYNAMODB is one)"),
        ("AWS_ENDPOINT_URL_DYNAMODBSTREAMS", "(AWS_ENDPOINT_URL_DYNAMODB_STREAMS is"),
        ("AWS_ENDPOINT_URL_DDB", "AWS has no service of that name"),
    ],
)
def test_an_endpoint_of_no_service_is_refused(name: str, told: str) -> None:
    [problem] = problems(**{name: "http://127.0.0.1:1"})

    assert problem.startswith(f"{name}: ")
    assert told in problem


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])
@pytest.mark.parametrize(
    "value",
    [
        "ftp://user:hunter2@host",
        "http://user:hunter2@host",
        "http://hunter2@host",
        "hunter2:8000",
        "http://",
        "http://[hunter2",
        "http://hunter2:0",
        "http://hunter2:99999",
        "http://hunter2:x",
    ],
)
def test_an_endpoint_that_cannot_be_one_is_refused_without_showing_it(
    name: str, value: str
) -> None:
    assert problems(**{name: value}) == [
        f"{name}: must be http://host:port or https://host, without user and password"
    ]


@pytest.mark.parametrize("value", ["", "http://127.0.0.1:8000", "https://host/a/path"])
def test_an_endpoint_may_be_empty_or_have_a_path(value: str) -> None:
    assert problems(AWS_ENDPOINT_URL_S3=value) == []
