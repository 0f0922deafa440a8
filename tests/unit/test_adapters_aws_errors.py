from typing import Any

import botocore.exceptions
import pytest
import urllib3.exceptions

from adapters.aws_errors import code_of, translating, translating_all
from jobs.errors import JobNotFound, LeaseLost, Misconfigured, Unavailable

ENDPOINT = "https://store.invalid"


def a_refusal(code: str, *, status: int = 400) -> botocore.exceptions.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return botocore.exceptions.ClientError(response, "PutItem")


@pytest.mark.parametrize(
    "error",
    [
        a_refusal("ThrottlingException"),
        a_refusal("ProvisionedThroughputExceededException"),
        a_refusal("InternalServerError", status=500),
        a_refusal("SlowDown", status=503),
        a_refusal("", status=502),
        a_refusal("503", status=503),
        botocore.exceptions.EndpointConnectionError(endpoint_url=ENDPOINT),
        botocore.exceptions.ConnectTimeoutError(endpoint_url=ENDPOINT),
        botocore.exceptions.ReadTimeoutError(endpoint_url=ENDPOINT),
        botocore.exceptions.ConnectionClosedError(endpoint_url=ENDPOINT),
        urllib3.exceptions.ProtocolError("Connection broken"),
    ],
)
def test_a_part_that_is_busy_or_away_is_unavailable(error: Exception) -> None:
    with pytest.raises(Unavailable) as raised, translating("store"):
        raise error

    assert raised.value.part == "store"
    assert raised.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        a_refusal("AccessDeniedException"),
        a_refusal("ResourceNotFoundException"),
        a_refusal("NoSuchBucket", status=404),
        a_refusal("UnrecognizedClientException"),
        botocore.exceptions.NoCredentialsError(),
        botocore.exceptions.NoRegionError(),
    ],
)
def test_what_an_operator_must_mend_is_misconfigured(error: Exception) -> None:
    with pytest.raises(Misconfigured), translating("store"):
        raise error


@pytest.mark.parametrize("translate", [translating, translating_all])
def test_a_table_that_is_not_there_is_named_with_what_makes_it(translate: Any) -> None:  # noqa: ANN401 - either of both
    with pytest.raises(Misconfigured) as raised, translate("store", table="LLM_Jobs"):
        raise a_refusal("ResourceNotFoundException")

    told = "there is no table LLM_Jobs: run `longhaul bootstrap` with the same environment"
    assert str(raised.value) == told


@pytest.mark.parametrize(
    "error",
    [
        a_refusal("ValidationException"),
        a_refusal("ConditionalCheckFailedException"),
        JobNotFound("gone"),
        KeyError("ours"),
    ],
)
def test_everything_else_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translating("store"):
        raise error

    assert raised.value is error


@pytest.mark.parametrize(
    "error",
    [
        a_refusal("ValidationException"),
        botocore.exceptions.ParamValidationError(report="Invalid type"),
    ],
)
def test_where_all_is_translated_nonsense_is_misconfigured(error: Exception) -> None:
    with pytest.raises(Misconfigured) as raised, translating_all("store"):
        raise error

    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [LeaseLost("gone"), KeyError("ours")])
def test_where_all_is_translated_our_own_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, translating_all("store"):
        raise error

    assert raised.value is error


def test_where_all_is_translated_a_part_that_is_busy_is_unavailable() -> None:
    with pytest.raises(Unavailable), translating_all("store"):
        raise a_refusal("ThrottlingException")


def test_an_error_without_a_code_has_an_empty_one() -> None:
    response: Any = {}

    assert code_of(botocore.exceptions.ClientError(response, "PutItem")) == ""
    assert code_of(a_refusal("SlowDown")) == "SlowDown"
