"""deploy/aws/longhaul.yaml equals adapters/schema.py, and lets each process do little."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from adapters import schema
from adapters.checks_rights import Role, rights_of
from adapters.schema import STREAM_VIEW, TTL_ATTRIBUTE, bucket_cors, bucket_lifecycle, jobs_table
from adapters.settings import Settings
from tests.cloudformation import Template, read_template

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef

NAMES = {"TableName": "Acme_Jobs", "BucketName": "acme-jobs"}
PLAIN = Template(given=NAMES)
WHOLE = Template(
    given={
        **NAMES,
        "AllowedOrigins": "https://a.example.com,https://b.example.com:8443",
        "Models": "arn:aws:bedrock:us-east-1::foundation-model/acme.small-v1:0",
        "InferenceProfiles": "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.acme",
        "ProfileModels": "arn:aws:bedrock:*::foundation-model/acme.large-v1:0",
        "EventBusName": "ends",
        "AlarmTopicArn": "arn:aws:sns:us-east-1:000000000000:alarms",
    }
)
RETENTIONS = read_template()["Parameters"]["RetentionDays"]["AllowedValues"]
PROCESSES = ("Web", "Worker", "Feed", "Operator")


def definitions() -> list[CreateTableInputTypeDef]:
    """Every table that the schema defines, whoever adds one."""
    makers: list[Callable[[str], CreateTableInputTypeDef]] = [
        function
        for name, function in inspect.getmembers(schema, inspect.isfunction)
        if name.endswith("_table")
    ]
    return [make("Acme_Jobs") for make in makers]


def as_defined(table: dict[str, Any]) -> dict[str, Any]:
    """A table's properties as CreateTable takes them, without what only CloudFormation has."""
    defined = {
        name: value
        for name, value in table.items()
        if name
        not in {
            "TimeToLiveSpecification",
            "PointInTimeRecoverySpecification",
            "DeletionProtectionEnabled",
        }
    }
    if "StreamSpecification" in defined:
        defined["StreamSpecification"] = {"StreamEnabled": True, **defined["StreamSpecification"]}
    return defined


def allowed(process: str, template: Template = WHOLE) -> set[str]:
    actions: set[str] = set()
    for statement in template.statements(process):
        action = statement["Action"]
        actions |= {action} if isinstance(action, str) else set(action)
    return actions


def test_the_tables_are_the_schemas() -> None:
    made = [as_defined(table) for table in PLAIN.of_type("AWS::DynamoDB::Table").values()]

    def by_name(table: Any) -> str:  # noqa: ANN401 - either's dictionary
        return str(table["TableName"])

    assert sorted(made, key=by_name) == sorted(definitions(), key=by_name)


def test_the_stream_has_both_images() -> None:
    assert PLAIN.of_type("AWS::DynamoDB::Table")["Jobs"]["StreamSpecification"] == {
        "StreamViewType": STREAM_VIEW
    }


def test_all_rows_expire_but_the_feeds() -> None:
    for name, table in PLAIN.of_type("AWS::DynamoDB::Table").items():
        expected = None if name == "Feed" else {"AttributeName": TTL_ATTRIBUTE, "Enabled": True}
        assert table.get("TimeToLiveSpecification") == expected


def test_a_stack_that_goes_leaves_what_users_have_in_it() -> None:
    kept = {
        name: resource
        for name, resource in PLAIN.resources.items()
        if resource["Type"] in {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}
    }

    assert len(kept) == len(definitions()) + 1
    for resource in kept.values():
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"
        assert resource["Properties"].get("DeletionProtectionEnabled", True)


@pytest.mark.parametrize("days", RETENTIONS)
def test_objects_expire_as_the_schema_says(days: int) -> None:
    template = Template(given={**NAMES, "RetentionDays": str(days)})

    [bucket] = template.of_type("AWS::S3::Bucket").values()

    assert [
        {
            "ID": rule["Id"],
            "Status": rule["Status"],
            "Filter": {"Prefix": rule["Prefix"]},
            "Expiration": {"Days": rule["ExpirationInDays"]},
        }
        for rule in bucket["LifecycleConfiguration"]["Rules"]
    ] == bucket_lifecycle(days)


def test_pages_upload_as_the_schema_says() -> None:
    [bucket] = WHOLE.of_type("AWS::S3::Bucket").values()

    [rule] = bucket["CorsConfiguration"]["CorsRules"]

    assert [
        {
            "ID": rule["Id"],
            "AllowedOrigins": rule["AllowedOrigins"],
            "AllowedMethods": rule["AllowedMethods"],
            "AllowedHeaders": rule["AllowedHeaders"],
            "MaxAgeSeconds": rule["MaxAge"],
        }
    ] == bucket_cors(rule["AllowedOrigins"])
    assert len(rule["AllowedOrigins"]) == 2


def test_without_origins_no_page_uploads() -> None:
    [bucket] = PLAIN.of_type("AWS::S3::Bucket").values()

    assert "CorsConfiguration" not in bucket


def test_the_bucket_is_private_and_takes_encrypted_connections_only() -> None:
    [bucket] = PLAIN.of_type("AWS::S3::Bucket").values()
    [policy] = PLAIN.of_type("AWS::S3::BucketPolicy").values()

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    [encryption] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    statements = policy["PolicyDocument"]["Statement"]
    assert {one["Effect"] for one in statements} == {"Deny"}
    assert {"Bool": {"aws:SecureTransport": "false"}} in [one["Condition"] for one in statements]


def test_the_parameters_defaults_are_the_settings() -> None:
    parameters = read_template()["Parameters"]

    for parameter, setting in (
        ("TableName", "table"),
        ("RetentionDays", "retention_days"),
        ("DefaultModel", "default_model"),
    ):
        assert parameters[parameter]["Default"] == Settings.model_fields[setting].default


@pytest.mark.parametrize("process", PROCESSES)
def test_no_right_is_over_everything(process: str) -> None:
    for statement in WHOLE.statements(process):
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            assert "Acme_Jobs" in resource or "acme" in resource or resource.endswith("bus/ends")
        assert statement["Effect"] == "Allow"
        assert "NotAction" not in statement
        assert "NotResource" not in statement
    assert not [action for action in allowed(process) if "*" in action]


def test_only_workers_call_models_and_tell_buses() -> None:
    for action in ("bedrock:InvokeModel", "events:PutEvents"):
        assert [one for one in PROCESSES if action in allowed(one)] == ["Worker"]


def test_a_model_that_may_be_called_may_stream_too() -> None:
    """Workers stream wherever a model can, so each statement alone must allow both."""
    callers = [one for one in WHOLE.statements("Worker") if one["Sid"].startswith("Call")]

    assert len(callers) == 3
    for statement in callers:
        assert statement["Action"] == [
            "bedrock:InvokeModel",
            "bedrock:InvokeModelWithResponseStream",
        ]


def test_a_feed_reads_no_object() -> None:
    assert {action for action in allowed("Feed") if action.startswith("s3:")} == {"s3:ListBucket"}


def test_only_web_deletes_jobs_and_only_feeds_read_the_stream() -> None:
    assert [
        process
        for process in PROCESSES
        for statement in WHOLE.statements(process)
        if "dynamodb:DeleteItem" in statement["Action"]
        and str(statement["Resource"]).endswith("table/Acme_Jobs")
    ] == ["Web"]
    assert [process for process in PROCESSES if "dynamodb:GetRecords" in allowed(process)] == [
        "Feed"
    ]


def test_a_profiles_models_may_be_called_through_it_only() -> None:
    [statement] = [one for one in WHOLE.statements("Worker") if "Through" in one["Sid"]]

    assert statement["Resource"] == ["arn:aws:bedrock:*::foundation-model/acme.large-v1:0"]
    assert statement["Condition"] == {
        "StringLike": {
            "bedrock:InferenceProfileArn": [
                "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.acme"
            ]
        }
    }


def test_what_is_not_asked_for_is_not_made() -> None:
    template = Template(given={**NAMES, "Models": "", "TrustedService": "none"})

    assert not template.of_type("AWS::IAM::Role")
    assert not template.of_type("AWS::Events::EventBus")
    assert not [a for a in allowed("Worker", template) if a.startswith(("bedrock:", "events:"))]


def test_each_alarm_watches_a_table_of_ours_or_the_default_model() -> None:
    alarms = WHOLE.of_type("AWS::CloudWatch::Alarm")
    tables = {table["TableName"] for table in definitions()}
    indexes = {
        index["IndexName"]
        for table in definitions()
        for index in table.get("GlobalSecondaryIndexes", [])
    }

    watched = {one["Name"]: set[str]() for alarm in alarms.values() for one in alarm["Dimensions"]}
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == ["arn:aws:sns:us-east-1:000000000000:alarms"]
        for one in alarm["Dimensions"]:
            watched[one["Name"]].add(one["Value"])
    assert watched["TableName"] <= tables
    assert jobs_table("Acme_Jobs")["TableName"] in watched["TableName"]
    assert watched["GlobalSecondaryIndexName"] == indexes
    assert watched["ModelId"] == {Settings.model_fields["default_model"].default}
    assert watched["StreamLabel"] == {"2026-01-01"}


@pytest.mark.parametrize("role", list(Role), ids=str)
def test_the_doctor_tries_what_the_policies_grant(role: Role) -> None:
    granted = set()
    for statement in WHOLE.statements(role.value.title()):
        actions, resources = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            for resource in [resources] if isinstance(resources, str) else resources:
                granted.add((action.partition(":")[2], named(resource)))

    tried = {(right.action, right.on) for right in rights_of(role, "Acme_Jobs")}

    untried = {"DescribeTable", "ListBucket"}  # looked at by whoever runs it
    elsewhere = ("InvokeModel", "InvokeModelWithResponseStream", "DescribeEventBus", "PutEvents")
    assert tried == {one for one in granted if one[0] not in {*untried, *elsewhere}}


def named(resource: str) -> str:
    """Name a resource as the doctor does."""
    kind = resource.rpartition(":")[2]
    if "/stream/" in kind:
        return "stream"
    if kind.startswith("table/"):
        return kind.removeprefix("table/").replace("/index/", "/")
    return kind.partition("/")[2].removesuffix("*")
