"""The doctor's look at a role's rights: each is tried in a way that cannot succeed.

A conditional write whose condition contradicts itself, a read of a key that nobody has, an object
with a digest that is not its own: AWS asks for the right first, and so its refusal says whether it
is there. Nothing of a user's is touched, and nothing is left behind.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws_errors import DENIED, code_of, translating
from adapters.dynamodb_row import text
from adapters.schema import (
    DUE_DELIVERIES,
    OPEN_JOBS,
    USER_JOBS,
    deliveries_table_name,
    feed_table_name,
    idempotency_table_name,
    keys_table_name,
    rejected_table_name,
    tables,
)
from jobs.checkup import Finding, fail, ok

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodbstreams.client import DynamoDBStreamsClient
    from mypy_boto3_s3.client import S3Client

PROBE = "longhaul-doctor-probe"  # no job, key or object is called so
_NOT_ITS_DIGEST = base64.b64encode(bytes(16)).decode()
_PAST_THE_RIGHT = frozenset(
    {"ConditionalCheckFailedException", "NoSuchKey", "404", "BadDigest", "InvalidDigest"}
)


class Role(StrEnum):
    """Whose rights."""

    WEB = "web"
    WORKER = "worker"
    FEED = "feed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Right:
    """One action on a table, on an index of it (`table/index`), on a prefix or on the stream."""

    action: str
    on: str


def rights_of(role: Role, table: str) -> list[Right]:
    """Name what a role does; tests hold it against the policies of deploy/aws/longhaul.yaml."""
    granted = {
        Role.WEB: {
            table: "GetItem BatchGetItem PutItem UpdateItem DeleteItem",
            f"{table}/{USER_JOBS}": "Query",
            idempotency_table_name(table): "GetItem PutItem",
            deliveries_table_name(table): "GetItem PutItem Query UpdateItem",
            keys_table_name(table): "GetItem",
            "prompts/": "PutObject DeleteObject",
            "uploads/": "PutObject GetObject DeleteObject",
            "results/": "GetObject DeleteObject",
            "answers/": "DeleteObject",
        },
        Role.WORKER: {
            table: "GetItem PutItem UpdateItem",
            deliveries_table_name(table): "UpdateItem",
            "prompts/": "GetObject PutObject",
            "uploads/": "GetObject",
            "results/": "GetObject PutObject",
            "answers/": "GetObject PutObject DeleteObject",
        },
        Role.FEED: {
            "stream": "DescribeStream GetShardIterator GetRecords",
            table: "GetItem UpdateItem",
            f"{table}/{OPEN_JOBS}": "Query",
            feed_table_name(table): "DeleteItem PutItem Query UpdateItem",
            rejected_table_name(table): "PutItem",
            deliveries_table_name(table): "PutItem UpdateItem",
            f"{deliveries_table_name(table)}/{DUE_DELIVERIES}": "Query",
        },
    }[role]
    return [Right(action=one, on=on) for on, actions in granted.items() for one in actions.split()]


@dataclass(frozen=True, kw_only=True)
class RightsChecks:
    """Tries the rights that these credentials should have."""

    dynamodb: DynamoDBClient
    streams: DynamoDBStreamsClient
    s3: S3Client
    table: str
    bucket: str

    def look(self, role: Role) -> Iterator[Finding]:
        """Try each right of a role, and name those that are missing."""
        rights = rights_of(role, self.table)
        missing = [right for right in rights if not self._has(right)]
        for right in missing:
            yield fail(
                f"right of {role}",
                f"{right.action} on {right.on} is refused",
                f"grant it to the {role}'s role, as deploy/aws/longhaul.yaml does",
            )
        if not missing:
            yield ok(f"rights of {role}", f"all {len(rights)} are there")

    def _has(self, right: Right) -> bool:
        if right.on == "stream":
            attempt = self._stream_attempts()[right.action]
        elif right.on.endswith("/"):
            attempt = self._object_attempts(right.on)[right.action]
        else:
            attempt = self._table_attempts(right.on)[right.action]
        with translating("store"):
            try:
                attempt()
            except botocore.exceptions.ClientError as error:
                if code_of(error) in DENIED:
                    return False
                if code_of(error) not in _PAST_THE_RIGHT:
                    raise
        return True

    def _table_attempts(self, on: str) -> dict[str, Callable[[], object]]:
        name, _, index = on.partition("/")
        [definition] = [one for one in tables(self.table) if one["TableName"] == name]
        keys = [one["AttributeName"] for one in definition.get("KeySchema", [])]
        key = {one: text(PROBE) for one in keys}
        never = f"attribute_exists({keys[0]}) AND attribute_not_exists({keys[0]})"
        hashes = {
            one.get("IndexName"): one["KeySchema"][0]["AttributeName"]
            for one in definition.get("GlobalSecondaryIndexes", [])
        }
        client = self.dynamodb
        return {
            "GetItem": lambda: client.get_item(TableName=name, Key=key),
            "BatchGetItem": lambda: client.batch_get_item(RequestItems={name: {"Keys": [key]}}),
            "PutItem": lambda: client.put_item(TableName=name, Item=key, ConditionExpression=never),
            "UpdateItem": lambda: client.update_item(
                TableName=name,
                Key=key,
                ConditionExpression=never,
                UpdateExpression="SET Probe = :probe",
                ExpressionAttributeValues={":probe": text(PROBE)},
            ),
            "DeleteItem": lambda: client.delete_item(
                TableName=name, Key=key, ConditionExpression=never
            ),
            "Query": lambda: client.query(
                TableName=name,
                **({"IndexName": index} if index else {}),  # type: ignore[arg-type] # one optional key
                KeyConditionExpression="#key = :probe",
                ExpressionAttributeNames={"#key": hashes.get(index, keys[0])},
                ExpressionAttributeValues={":probe": text(PROBE)},
                Limit=1,
            ),
        }

    def _object_attempts(self, prefix: str) -> dict[str, Callable[[], object]]:
        key = f"{prefix}{PROBE}"
        return {
            "GetObject": lambda: self.s3.get_object(Bucket=self.bucket, Key=key),
            "DeleteObject": lambda: self.s3.delete_object(Bucket=self.bucket, Key=key),
            "PutObject": lambda: self._put_what_is_refused(key),
        }

    def _put_what_is_refused(self, key: str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"", ContentMD5=_NOT_ITS_DIGEST)
        with suppress(botocore.exceptions.ClientError):  # a server that looks at no digest took it
            self.s3.delete_object(Bucket=self.bucket, Key=key)

    def _stream_attempts(self) -> dict[str, Callable[[], object]]:
        def shard() -> tuple[str, str]:
            table = self.dynamodb.describe_table(TableName=self.table)["Table"]
            stream = table.get("LatestStreamArn", "")
            described = self.streams.describe_stream(StreamArn=stream, Limit=1)
            return stream, described["StreamDescription"]["Shards"][0]["ShardId"]

        def iterator() -> str:
            stream, first = shard()
            return self.streams.get_shard_iterator(
                StreamArn=stream, ShardId=first, ShardIteratorType="LATEST"
            )["ShardIterator"]

        return {
            "DescribeStream": shard,
            "GetShardIterator": iterator,
            "GetRecords": lambda: self.streams.get_records(ShardIterator=iterator(), Limit=1),
        }
