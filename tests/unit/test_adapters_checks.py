"""What no stand-in can be brought to say: AWS's answers as botocore's stubber plays them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import ANY, Stubber

from adapters.aws import connect_dynamodb, connect_iot, connect_s3
from adapters.checks_aws import AwsChecks, BucketChecks
from adapters.checks_processes import LONG_SECONDS, ProcessChecks
from adapters.checks_receivers import ReceiverChecks
from adapters.clock import SystemClock
from adapters.doctor import checks_of
from adapters.schema import jobs_table
from adapters.settings import Settings, read_settings
from jobs.census import Census
from jobs.checkup import State
from jobs.job import JobStatus
from jobs.shards import StreamName
from workers.sweep_lease import SWEEP

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from adapters.jwks import Jwks
    from jobs.checkup import Finding

TABLE = "LLM_Jobs"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    named = {
        "REDIS_URL": "redis://redis.example.com:6379/0",
        "LONGHAUL_BUCKET": "ours",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    return read_settings(named)


def described(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - of a description
    definition: Any = jobs_table(TABLE)
    indexes = [{**one, "IndexStatus": "ACTIVE"} for one in definition["GlobalSecondaryIndexes"]]
    known = ("TableName", "KeySchema", "StreamSpecification")
    kept = {name: definition[name] for name in known}
    return {
        "Table": {**kept, "GlobalSecondaryIndexes": indexes, "TableStatus": "ACTIVE", **changed}
    }


def of_table(settings: Settings, *answers: tuple[str, dict[str, Any]]) -> list[Finding]:
    client = connect_dynamodb(connections=1)
    checks = AwsChecks(settings=settings, dynamodb=client)
    with Stubber(client) as stub:
        for operation, answer in answers:
            stub.add_response(operation, answer, {"TableName": TABLE})
        return list(checks.look_at_table(TABLE))


def test_a_table_that_goes_is_named(settings: Settings) -> None:
    [found] = of_table(settings, ("describe_table", described(TableStatus="DELETING")))

    assert (found.state, found.told) == (State.FAIL, "is DELETING")


def test_rows_whose_time_to_live_is_being_switched_off_do_not_expire(settings: Settings) -> None:
    off = {"TimeToLiveStatus": "DISABLING", "AttributeName": "ExpiresAt"}
    [found] = of_table(
        settings,
        ("describe_table", described()),
        ("describe_time_to_live", {"TimeToLiveDescription": off}),
    )

    assert (found.state, "expires no rows" in found.told) == (State.WARN, True)


def test_an_index_that_is_being_built_is_named(settings: Settings) -> None:
    answer = described()
    answer["Table"]["GlobalSecondaryIndexes"][1]["IndexStatus"] = "CREATING"
    client = connect_dynamodb(connections=1)
    with Stubber(client) as stub:
        stub.add_response("describe_table", answer, {"TableName": TABLE})
        [found] = AwsChecks(settings=settings, dynamodb=client).look_at_indexes(TABLE)

    assert (found.state, found.told) == (State.FAIL, "OpenJobs cannot be read yet")


def of_bucket(settings: Settings, play: Any) -> Finding:  # noqa: ANN401 - what the stubber plays
    client = connect_s3(connections=1)
    with Stubber(client) as stub:
        play(stub)
        [found] = BucketChecks(settings=settings, s3=client).look()
    return found


def test_a_bucket_of_another_region_is_named(settings: Settings) -> None:
    found = of_bucket(
        settings,
        lambda stub: stub.add_response(
            "head_bucket", {"BucketRegion": "us-west-2"}, {"Bucket": "ours"}
        ),
    )

    assert found.state is State.FAIL
    assert found.told.startswith("is in us-west-2, not in eu-central-1")


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [("403", 403, "s3:ListBucket"), ("400", 400, "AWS_REGION")],
    ids=["refused", "odd"],
)
def test_a_bucket_that_is_not_ours_is_named(
    settings: Settings, code: str, status: int, words: str
) -> None:
    found = of_bucket(
        settings,
        lambda stub: stub.add_client_error("head_bucket", code, http_status_code=status),
    )

    assert found.state is State.FAIL
    assert words in str(found.advice)


def test_a_signature_that_iot_core_does_not_take_is_named(settings: Settings) -> None:
    del settings
    client = connect_iot(connections=1, seconds=1)
    with Stubber(client) as stub:
        stub.add_client_error(
            "get_retained_message",
            "UnrecognizedClientException",
            http_status_code=403,
            expected_params={"topic": ANY},
        )
        found = _of_iot(client)

    assert found.state is State.FAIL


def _of_iot(client: Any) -> Finding:  # noqa: ANN401 - boto3's
    [found] = ReceiverChecks(is_workers=True).look_at_iot(client)
    return found


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Counts what a test says."""

    waits: float

    def count(self, now: datetime, *, most: int) -> Census:
        del most
        return Census(
            at=now,
            counts={JobStatus.PENDING: 1},
            oldest={JobStatus.PENDING: now - timedelta(seconds=self.waits)},
            is_whole=True,
        )


@pytest.mark.parametrize(
    ("waits", "state"), [(LONG_SECONDS - 5, State.OK), (LONG_SECONDS + 5, State.WARN)]
)
def test_a_job_that_waits_for_long_is_told(waits: float, state: State) -> None:
    nothing: Any = None
    checks = ProcessChecks(
        leases=nothing,
        stream=nothing,
        sweep=StreamName("sweep"),
        census=Counted(waits=waits),
        clock=SystemClock(),
    )

    [found] = checks.waiting()

    assert found.state is state
    assert ("longhaul jobs --stuck" in str(found.advice)) == (state is State.WARN)


def look(settings: Settings, name: str) -> list[Finding]:
    checks = checks_of(settings, roles=[], calls_model=False, url=None, sweep=SWEEP)
    [check] = [one for one in checks if one.name == name]
    found: Iterable[Finding] = check.look()
    return list(found)


def test_webhooks_that_may_call_the_machine_itself_are_named(settings: Settings) -> None:
    closed = look(settings, "webhooks")
    opened = look(settings.model_copy(update={"webhook_allow_loopback": True}), "webhooks")

    assert [one.state for one in closed] == [State.OK]
    assert [one.state for one in opened] == [State.OK, State.WARN]
    assert "LONGHAUL_WEBHOOK_ALLOW_LOOPBACK" in str(opened[1].advice)


def test_an_issuer_without_a_key_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(**_: object) -> Jwks:
        return {}

    monkeypatch.setattr("adapters.doctor.fetch_jwks", none)
    with_issuer = settings.model_copy(update={"oidc_issuer": "https://issuer.example.com"})

    [found] = look(with_issuer, "issuer")

    assert (found.state, "no key that can be used" in found.told) == (State.FAIL, True)
