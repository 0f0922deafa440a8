"""The doctor's clients, which fail within seconds.

They are made when a check first asks for one: making one looks for credentials, which may hang.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from adapters.aws import connect_dynamodb, connect_s3, connect_streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodbstreams.client import DynamoDBStreamsClient
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

_CONNECTIONS = 10  # more than checks that look at one store at a time


class DoctorsClients:
    """Each made once, and one at a time: boto3's session is no place for two threads."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._dynamodb: DynamoDBClient | None = None
        self._s3: S3Client | None = None
        self._streams: DynamoDBStreamsClient | None = None

    def dynamodb(self) -> DynamoDBClient:
        """Give the client for the tables."""
        with self._making:
            if self._dynamodb is None:
                self._dynamodb = connect_dynamodb(connections=_CONNECTIONS, for_callers=True)
            return self._dynamodb

    def s3(self) -> S3Client:
        """Give the client for the bucket."""
        with self._making:
            if self._s3 is None:
                self._s3 = connect_s3(connections=_CONNECTIONS, for_callers=True)
            return self._s3

    def streams(self) -> DynamoDBStreamsClient:
        """Give the client for the change stream."""
        with self._making:
            if self._streams is None:
                self._streams = connect_streams(for_callers=True)
            return self._streams

    def make(self, connect: Callable[[], T]) -> T:
        """Make a client that one check alone needs."""
        with self._making:
            return connect()
