"""What of deploy/aws/longhaul.yaml no run shows: who is trusted, what is kept, who is woken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloudformation import Template, read_template

NAMES = {"TableName": "Acme_Jobs", "BucketName": "acme-jobs"}
TOPIC = "arn:aws:sns:us-east-1:000000000000:alarms"
PLAIN = Template(given={**NAMES, "AlarmTopicArn": TOPIC})
ROLES = ("Web", "Worker", "Feed")
# Lost with nothing that is missed: positions in a stream, and keys whose jobs are gone.
NOT_RESTORED = {"Feed", "Idempotency"}
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html and
# https://docs.aws.amazon.com/bedrock/latest/userguide/monitoring.html, with the dimensions of each.
METRICS = {
    ("AWS/DynamoDB", "SuccessfulRequestLatency"): [{"TableName", "Operation", "StreamLabel"}],
    ("AWS/DynamoDB", "ReadThrottleEvents"): [{"TableName"}],
    ("AWS/DynamoDB", "WriteThrottleEvents"): [
        {"TableName"},
        {"TableName", "GlobalSecondaryIndexName"},
    ],
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits"): [{"TableName"}],
    ("AWS/Bedrock", "InvocationThrottles"): [{"ModelId"}],
}


def alarms() -> dict[str, dict[str, Any]]:
    return PLAIN.of_type("AWS::CloudWatch::Alarm")


def dimensions(alarm: dict[str, Any]) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in alarm["Dimensions"]}


@pytest.mark.parametrize("process", ROLES)
def test_a_role_has_its_processs_policy_and_no_other(process: str) -> None:
    role = PLAIN.resources[f"{process}Role"]["Properties"]

    assert role["ManagedPolicyArns"] == [f"<{process}Policy>"]
    assert set(role) == {"ManagedPolicyArns", "AssumeRolePolicyDocument"}


@pytest.mark.parametrize("process", ROLES)
def test_the_outputs_are_of_the_process_that_they_name(process: str) -> None:
    outputs = read_template()["Outputs"]

    assert outputs[f"{process}Role"]["Value"] == {"Fn::GetAtt": [f"{process}Role", "Arn"]}
    assert outputs[f"{process}Policy"]["Value"] == {"Ref": f"{process}Policy"}


@pytest.mark.parametrize("service", ["ecs-tasks.amazonaws.com", "pods.eks.amazonaws.com"])
@pytest.mark.parametrize("process", ROLES)
def test_a_service_takes_a_role_for_this_account_alone(process: str, service: str) -> None:
    """TagSession is what EKS Pod Identity asks for, too."""
    template = Template(given={**NAMES, "TrustedService": service})

    role = template.resources[f"{process}Role"]["Properties"]

    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringEquals": {"aws:SourceAccount": "000000000000"}},
    }


def test_what_users_have_can_be_restored_and_is_paid_by_use() -> None:
    for name, table in PLAIN.of_type("AWS::DynamoDB::Table").items():
        recovery = table["PointInTimeRecoverySpecification"]
        assert recovery == {"PointInTimeRecoveryEnabled": name not in NOT_RESTORED}
        assert table["DeletionProtectionEnabled"] is True
        assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_every_object_is_the_accounts_and_comes_by_new_encryption() -> None:
    [bucket] = PLAIN.of_type("AWS::S3::Bucket").values()
    [policy] = PLAIN.of_type("AWS::S3::BucketPolicy").values()

    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    denied = policy["PolicyDocument"]["Statement"]
    assert [one["Condition"] for one in denied] == [
        {"Bool": {"aws:SecureTransport": "false"}},
        {"NumericLessThan": {"s3:TlsVersion": "1.2"}},
    ]
    for one in denied:
        assert (one["Effect"], one["Principal"], one["Action"]) == ("Deny", "*", "s3:*")
        assert one["Resource"] == ["arn:aws:s3:::acme-jobs", "arn:aws:s3:::acme-jobs/*"]


def test_an_alarm_is_of_a_metric_that_there_is() -> None:
    for name, alarm in alarms().items():
        known = METRICS[alarm["Namespace"], alarm["MetricName"]]
        assert set(dimensions(alarm)) in known, name


def test_an_alarm_tells_of_its_end_as_of_its_beginning() -> None:
    for alarm in alarms().values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]


def test_a_stream_that_nobody_reads_wakes_somebody_in_minutes() -> None:
    """No metric is sent for calls that nobody makes, so silence itself must be the alarm."""
    alarm = alarms()["StreamIsNotRead"]

    assert dimensions(alarm)["Operation"] == "GetRecords"
    assert (alarm["Statistic"], alarm["Threshold"]) == ("SampleCount", 1)
    assert alarm["ComparisonOperator"] == "LessThanThreshold"
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["Period"] * alarm["EvaluationPeriods"] <= 600


def test_every_other_alarm_is_of_what_should_not_be_once() -> None:
    for name, alarm in alarms().items():
        if name != "StreamIsNotRead":
            assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)
            assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
            assert alarm["TreatMissingData"] == "notBreaching"


def test_the_environment_names_settings_and_all_that_a_stack_decides() -> None:
    template = Template(
        given={
            **NAMES,
            "EventBusName": "ends",
            "AllowedOrigins": "https://a.example,https://b.example",
        }
    )

    text = template.output("Environment")

    assert dict(line.split("=", 1) for line in text.splitlines()) == {
        "AWS_REGION": "us-east-1",
        "LONGHAUL_TABLE": "Acme_Jobs",
        "LONGHAUL_BUCKET": "acme-jobs",
        "LONGHAUL_RETENTION_DAYS": "30",
        "LONGHAUL_DEFAULT_MODEL": "amazon.nova-lite-v1:0",
        "LONGHAUL_EVENTBRIDGE_BUS": "ends",
        "LONGHAUL_ALLOWED_ORIGINS": "https://a.example,https://b.example",
    }
