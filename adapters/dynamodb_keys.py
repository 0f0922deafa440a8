"""API keys on DynamoDB: one item a key, by its prefix, so that a call costs one GetItem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws_errors import code_of, translating_all
from adapters.dynamodb_row import number, text, time
from adapters.schema import TTL_ATTRIBUTE, keys_table_name
from jobs.caller import Scope
from jobs.job import UserId
from jobs.keys import KEPT_AFTER_END, ApiKey, KeyPrefix
from jobs.times import read_time

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

    from adapters.dynamodb_row import Item

_PART = "store"


@dataclass(frozen=True, kw_only=True)
class DynamoDBApiKeys:
    """jobs.keys.ApiKeys of the jobs' table `jobs`."""

    client: DynamoDBClient
    jobs: str

    def add(self, key: ApiKey) -> None:
        """Keep a new key; a prefix that is taken is a fault of chance, and refused."""
        with translating_all(_PART, table=self._table):
            self.client.put_item(
                TableName=self._table,
                Item=_write(key),
                ConditionExpression="attribute_not_exists(KeyPrefix)",
            )

    def get(self, prefix: KeyPrefix) -> ApiKey | None:
        """Read a key, with what was written a moment ago."""
        with translating_all(_PART, table=self._table):
            item = self.client.get_item(
                TableName=self._table, Key={"KeyPrefix": text(prefix)}, ConsistentRead=True
            ).get("Item")
        return None if item is None else _read(item)

    def find(self, user: UserId | None) -> list[ApiKey]:
        """Scan the table: an operator looks at it now and then, and keys are few."""
        pages = self.client.get_paginator("scan").paginate(
            TableName=self._table, ConsistentRead=True
        )
        with translating_all(_PART, table=self._table):
            keys = [_read(item) for page in pages for item in page["Items"]]
        found = [key for key in keys if user in {None, key.user}]
        return sorted(found, key=lambda key: (key.created_at, key.prefix), reverse=True)

    def revoke(self, prefix: KeyPrefix, at: datetime) -> ApiKey | None:
        """Write when it was revoked, once."""
        expires_at = int((at + KEPT_AFTER_END).timestamp())
        with translating_all(_PART, table=self._table):
            try:
                self.client.update_item(
                    TableName=self._table,
                    Key={"KeyPrefix": text(prefix)},
                    UpdateExpression=f"SET RevokedAt = :at, {TTL_ATTRIBUTE} = :expires",
                    ConditionExpression=(
                        "attribute_exists(KeyPrefix) AND attribute_not_exists(RevokedAt)"
                    ),
                    ExpressionAttributeValues={":at": time(at), ":expires": number(expires_at)},
                )
            except botocore.exceptions.ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise
        return self.get(prefix)

    @property
    def _table(self) -> str:
        return keys_table_name(self.jobs)


def _write(key: ApiKey) -> dict[str, Value]:
    ended_at = key.ended_at
    item: dict[str, Value | None] = {
        "KeyPrefix": text(key.prefix),
        "UserId": text(key.user),
        "Scopes": {"SS": sorted(key.scopes)},
        "Salt": {"B": key.salt},
        "Digest": {"B": key.digest},
        "LastFour": text(key.last_four),
        "Label": text(key.label),
        "CreatedAt": time(key.created_at),
        "ValidUntil": time(key.expires_at) if key.expires_at else None,
        TTL_ATTRIBUTE: number(int((ended_at + KEPT_AFTER_END).timestamp())) if ended_at else None,
    }
    return {name: value for name, value in item.items() if value is not None}


def _read(item: Item) -> ApiKey:
    return ApiKey(
        prefix=KeyPrefix(item["KeyPrefix"]["S"]),
        user=UserId(item["UserId"]["S"]),
        scopes=frozenset(Scope(scope) for scope in item["Scopes"]["SS"]),
        salt=bytes(item["Salt"]["B"]),
        digest=bytes(item["Digest"]["B"]),
        last_four=item["LastFour"]["S"],
        label=item["Label"]["S"],
        created_at=read_time(item["CreatedAt"]["S"]),
        expires_at=_time(item, "ValidUntil"),
        revoked_at=_time(item, "RevokedAt"),
    )


def _time(item: Item, name: str) -> datetime | None:
    return read_time(item[name]["S"]) if name in item else None
