"""Bootstrap on the stand-ins: idempotent, and it leaves alone what is an operator's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from adapters.bootstrap import _create_bucket, check_objects, check_store, ensure_resources
from jobs.errors import Misconfigured

if TYPE_CHECKING:
    from tests.stack import Clients, LocalStack

THEIRS = {"ID": "tmp", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}


@pytest.fixture
def environ(stand_ins: LocalStack, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    environ = dict(stand_ins.environ) | {"LONGHAUL_BUCKET": "contract-bootstrap"}
    environ["LONGHAUL_TABLE"] = "Contract_Bootstrap"
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return environ


def test_a_second_bootstrap_finds_all_there(environ: dict[str, str]) -> None:
    ensure_resources(environ)

    again = ensure_resources(environ)

    assert again == [
        "table Contract_Bootstrap is there",
        "table Contract_Bootstrap_Feed is there",
        "table Contract_Bootstrap_Rejected is there",
        "table Contract_Bootstrap_Deliveries is there",
        "table Contract_Bootstrap_Idempotency is there",
        "table Contract_Bootstrap_Keys is there",
        "bucket contract-bootstrap is there",
    ]


def test_rows_and_rejected_records_expire(environ: dict[str, str], clients: Clients) -> None:
    ensure_resources(environ)

    for table in ("", "_Rejected", "_Deliveries", "_Keys"):
        ttl = clients.dynamodb.describe_time_to_live(TableName=f"Contract_Bootstrap{table}")[
            "TimeToLiveDescription"
        ]
        assert ttl.get("AttributeName") == "ExpiresAt"


def test_a_table_that_is_missing_is_named_with_what_to_do(
    environ: dict[str, str], clients: Clients
) -> None:
    ensure_resources(environ)
    clients.dynamodb.delete_table(TableName="Contract_Bootstrap_Rejected")

    with pytest.raises(Misconfigured, match=r"no table Contract_Bootstrap_Rejected: run `longhaul"):
        check_store(clients.dynamodb, "Contract_Bootstrap")


def test_an_operators_own_rules_and_objects_stay(environ: dict[str, str], clients: Clients) -> None:
    environ["LONGHAUL_BUCKET"] = "contract-theirs"
    clients.s3.create_bucket(Bucket="contract-theirs")
    clients.s3.put_bucket_lifecycle_configuration(
        Bucket="contract-theirs",
        LifecycleConfiguration={"Rules": [THEIRS]},  # type: ignore[list-item] # a literal dict
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGHAUL_BUCKET", "contract-theirs")
        ensure_resources(environ)

    rules = clients.s3.get_bucket_lifecycle_configuration(Bucket="contract-theirs")["Rules"]

    prefixes = {rule["ID"]: rule["Filter"]["Prefix"] for rule in rules}
    assert prefixes == {
        "tmp": "tmp/",
        "longhaul-prompts": "prompts/",
        "longhaul-results": "results/",
        "longhaul-uploads": "uploads/",
        "longhaul-answers": "answers/",
    }


def test_pages_of_named_origins_may_upload_and_an_operators_own_rules_stay(
    environ: dict[str, str], clients: Clients
) -> None:
    theirs = {"ID": "own", "AllowedMethods": ["GET"], "AllowedOrigins": ["https://own.example"]}
    ensure_resources(environ)
    clients.s3.put_bucket_cors(
        Bucket="contract-bootstrap",
        CORSConfiguration={"CORSRules": [theirs]},  # type: ignore[list-item] # a literal dict
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGHAUL_ALLOWED_ORIGINS", "https://app.example,https://b.example")
        told = ensure_resources(environ)
        again = ensure_resources(environ)

    own, ours = clients.s3.get_bucket_cors(Bucket="contract-bootstrap")["CORSRules"]
    assert own.get("ID") == "own"
    assert ours["AllowedOrigins"] == ["https://app.example", "https://b.example"]
    assert ours["AllowedMethods"] == ["GET", "PUT"]
    assert told[-1] == "bucket contract-bootstrap lets pages of 2 origins upload"
    assert told[:-1] == again


def test_an_origin_that_is_named_no_longer_may_upload_no_longer(
    environ: dict[str, str], clients: Clients
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGHAUL_BUCKET", "contract-origins")
        patch.setenv("LONGHAUL_ALLOWED_ORIGINS", "https://app.example")
        ensure_resources(environ)
        patch.delenv("LONGHAUL_ALLOWED_ORIGINS")

        ensure_resources(environ)

    with pytest.raises(clients.s3.exceptions.ClientError, match="NoSuchCORSConfiguration"):
        clients.s3.get_bucket_cors(Bucket="contract-origins")


def test_a_table_of_another_shape_is_refused_in_words(
    environ: dict[str, str], clients: Clients
) -> None:
    clients.dynamodb.create_table(
        TableName="Contract_Wrong",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGHAUL_TABLE", "Contract_Wrong")
        with pytest.raises(Misconfigured, match="does not fit: its key must be JobId"):
            ensure_resources(environ)


@pytest.mark.parametrize("code", ["NotImplemented", "MethodNotAllowed"])
def test_a_server_that_cannot_block_the_public_gets_its_bucket_all_the_same(
    clients: Clients, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "PutPublicAccessBlock")

    monkeypatch.setattr(clients.s3, "put_public_access_block", refuse)

    _create_bucket(clients.s3, f"without-{code.lower()}")

    check_objects(clients.s3, f"without-{code.lower()}")
