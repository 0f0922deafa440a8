"""What is known of a bus before anything is put on it."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber

from adapters.aws import connect_eventbridge
from adapters.bootstrap import check_bus
from jobs.errors import Misconfigured, Unavailable
from tests.stack import environ_of

AWS = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
ARN = "arn:aws:events:eu-central-1:123456789012:event-bus/ends"


def check_with(code: str, status: int = 400) -> None:
    with environ_of(AWS):
        client = connect_eventbridge(connections=1, seconds=1)
    with Stubber(client) as stubber:
        stubber.add_client_error(
            "describe_event_bus", code, http_status_code=status, expected_params={"Name": ARN}
        )
        check_bus(client, ARN)


def test_a_bus_that_is_missing_is_named_with_what_to_do() -> None:
    with pytest.raises(Misconfigured, match=f"no event bus {ARN}: make it, or name another"):
        check_with("ResourceNotFoundException")


def test_a_bus_that_may_only_be_put_to_passes() -> None:
    check_with("AccessDeniedException")


def test_credentials_that_nobody_knows_are_the_operators_to_mend() -> None:
    with pytest.raises(Misconfigured):
        check_with("UnrecognizedClientException")


def test_a_bus_that_is_away_is_no_mistake() -> None:
    with pytest.raises(Unavailable):
        check_with("ThrottlingException")
    with pytest.raises(Unavailable):
        check_with("InternalException", status=500)
