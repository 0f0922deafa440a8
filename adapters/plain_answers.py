"""Plain answers: what DynamoDB said of a row, as it came.

Its JSON has values in the very form in which adapters read them. botocore's own parser asks of each
value which of ten types it has, which is a third of what a call costs (decision 48).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.parsers import ResponseParserFactory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import Shape
    from botocore.parsers import ResponseParser

_SUCCESS = 200
# Of tables without binary attributes, or of records, whose binary attributes nobody reads.
_PLAIN = frozenset({"GetRecordsOutput", "PutItemOutput", "UpdateItemOutput"})
_WHEN = "ApproximateCreationDateTime"


class PlainAnswers(ResponseParserFactory):
    """botocore's parsers, but for the answers that are asked for with every job."""

    def create_parser(self, protocol_name: str) -> Any:  # noqa: ANN401 - botocore asks for a `parse` alone
        """Make a parser."""
        parser = super().create_parser(protocol_name)
        return _PlainParser(parser) if protocol_name == "json" else parser


class _PlainParser:
    def __init__(self, whole: ResponseParser) -> None:
        self._whole = whole

    def parse(self, response: Mapping[str, Any], shape: Shape | None) -> Any:  # noqa: ANN401 - as each operation says
        """Read an answer; one that is an error, or another operation's, as botocore does."""
        if response["status_code"] != _SUCCESS or shape is None or shape.name not in _PLAIN:
            return self._whole.parse(response, shape)  # type: ignore[arg-type] # None is right, too
        try:
            answer = json.loads(response["body"])
        except ValueError:
            return self._whole.parse(response, shape)
        for record in answer.get("Records", ()):
            change = record.get("dynamodb", {})
            if _WHEN in change:
                change[_WHEN] = datetime.fromtimestamp(change[_WHEN], UTC)
        headers = response["headers"]
        answer["ResponseMetadata"] = {
            "RequestId": headers.get("x-amzn-requestid", ""),
            "HTTPStatusCode": _SUCCESS,
            "HTTPHeaders": headers,
        }
        return answer
