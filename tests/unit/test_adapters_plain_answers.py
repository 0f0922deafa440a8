"""Plain answers say what botocore's own parser says, in less time."""

import json
from typing import Any

import botocore.session
import pytest
from botocore.parsers import ResponseParserFactory

from adapters.plain_answers import PlainAnswers

VALUES = {
    "JobId": {"S": "job_1"},
    "Epoch": {"N": "1.5"},
    "Nothing": {"NULL": True},
    "Timeline": {"L": [{"M": {"Name": {"S": "claimed"}, "Retryable": {"BOOL": False}}}]},
    "PartsEnded": {"NS": ["1", "2"]},
}
RECORDS = {
    "Records": [
        {
            "eventID": "1",
            "eventName": "MODIFY",
            "userIdentity": {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"},
            "dynamodb": {
                "ApproximateCreationDateTime": 1795594333,
                "Keys": {"JobId": {"S": "job_1"}},
                "NewImage": VALUES,
                "SequenceNumber": "1",
            },
        }
    ],
    "NextShardIterator": "next",
}
KEY = {"Item": {"KeyPrefix": {"S": "lh_abcdefgh"}, "Salt": {"B": "c2FsdA=="}}}


def parsed(
    factory: ResponseParserFactory, service: str, operation: str, body: str, status: int = 200
) -> dict[str, Any]:
    model = botocore.session.get_session().get_service_model(service)
    response = {
        "status_code": status,
        "headers": {"x-amzn-requestid": "request"},
        "body": body.encode(),
        "context": {"operation_name": operation},
    }
    shape = model.operation_model(operation).output_shape
    answer: dict[str, Any] = factory.create_parser("json").parse(response, shape)  # type: ignore[arg-type] # each of these has one
    return answer


@pytest.mark.parametrize(
    ("service", "operation", "answer"),
    [
        ("dynamodb", "UpdateItem", {"Attributes": VALUES}),
        ("dynamodb", "UpdateItem", {}),
        ("dynamodb", "PutItem", {}),
        ("dynamodb", "GetItem", KEY),
        ("dynamodbstreams", "GetRecords", RECORDS),
        ("dynamodbstreams", "GetRecords", {"Records": []}),
    ],
    ids=["row", "nothing", "put", "binary", "records", "no records"],
)
def test_a_plain_answer_is_botocores(service: str, operation: str, answer: dict[str, Any]) -> None:
    body = json.dumps(answer)

    plain = parsed(PlainAnswers(), service, operation, body)

    assert plain == parsed(ResponseParserFactory(), service, operation, body)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            400,
            json.dumps({"__type": "x#ConditionalCheckFailedException", "Item": KEY["Item"]}),
        ),
        (503, "<html>"),
        (200, "<html>"),
        (200, ""),
    ],
    ids=["refused", "a proxy's error", "a proxy's page", "empty"],
)
def test_what_is_no_plain_answer_is_read_as_botocore_does(status: int, body: str) -> None:
    plain = parsed(PlainAnswers(), "dynamodb", "UpdateItem", body, status)

    assert plain == parsed(ResponseParserFactory(), "dynamodb", "UpdateItem", body, status)
