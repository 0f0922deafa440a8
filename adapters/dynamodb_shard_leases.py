"""The feeds' leases and checkpoints on DynamoDB: one item a shard, keyed by its stream's ARN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws_errors import code_of, suppressing_refusal, translating_all
from adapters.dynamodb_row import number, text
from jobs.errors import LeaseLost
from jobs.shard_leases import FeedId, ShardLease
from jobs.shards import Checkpoint, Position, ShardId

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

    from adapters.dynamodb_row import Item
    from jobs.shards import StreamName

_PART = "store"
_NOBODY = "-"


@dataclass(frozen=True, kw_only=True)
class DynamoDBShardLeases:
    """jobs.feed_ports.ShardLeases on one table."""

    client: DynamoDBClient
    table: str

    def load(self, stream: StreamName) -> list[ShardLease]:
        """Read all of a stream's leases."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="StreamArn = :stream",
            ExpressionAttributeValues={":stream": text(stream)},
            ConsistentRead=True,
        )
        with translating_all(_PART):
            return [_read(item) for page in pages for item in page["Items"]]

    def add(self, stream: StreamName, shard: ShardId, checkpoint: Checkpoint) -> None:
        """Make a shard's lease; one that is there stays."""
        lease = ShardLease(shard=shard, checkpoint=checkpoint)
        with translating_all(_PART), suppressing_refusal():
            self.client.put_item(
                TableName=self.table,
                Item={"StreamArn": text(stream), **_write(lease)},
                ConditionExpression="attribute_not_exists(ShardId)",
            )

    def hold(self, stream: StreamName, lease: ShardLease, owner: FeedId | None) -> ShardLease:
        """Take, renew or release a lease that is still as `lease` says."""
        held = lease.owned_by(owner)
        # The counter settles races, and lets a write that was retried find its own success.
        try:
            self._update(
                stream,
                lease,
                condition="LeaseCounter = :old AND LeaseOwner = :was",
                expression="SET LeaseCounter = :counter, LeaseOwner = :owner",
                values={
                    ":old": number(lease.counter),
                    ":was": text(lease.owner or _NOBODY),
                    ":counter": number(held.counter),
                    ":owner": text(owner or _NOBODY),
                },
            )
        except _RefusedError as refused:
            found = refused.lease
            if found is None or (found.owner, found.counter) != (owner, held.counter):
                raise LeaseLost(f"{lease.shard} has another owner") from refused
        return held

    def save(self, stream: StreamName, lease: ShardLease, checkpoint: Checkpoint) -> ShardLease:
        """Write how far the shard has been read, if its owner is the same."""
        position = checkpoint.position
        try:
            self._update(
                stream,
                lease,
                condition="LeaseOwner = :owner",
                expression="SET Ended = :ended"
                + (", Place = :place" if position else " REMOVE Place"),
                values={
                    ":owner": text(lease.owner or _NOBODY),
                    ":ended": {"BOOL": checkpoint.ended},
                    **({":place": text(position)} if position else {}),
                },
            )
        except _RefusedError as refused:
            raise LeaseLost(f"{lease.shard} has another owner") from refused
        return replace(lease, checkpoint=checkpoint)

    def drop(self, stream: StreamName, shard: ShardId) -> None:
        """Forget a shard that the stream no longer has."""
        with translating_all(_PART):
            self.client.delete_item(
                TableName=self.table,
                Key={"StreamArn": text(stream), "ShardId": text(shard)},
            )

    def _update(
        self,
        stream: StreamName,
        lease: ShardLease,
        *,
        condition: str,
        expression: str,
        values: dict[str, Value],
    ) -> None:
        with translating_all(_PART):
            try:
                self.client.update_item(
                    TableName=self.table,
                    Key={"StreamArn": text(stream), "ShardId": text(lease.shard)},
                    ConditionExpression=condition,
                    UpdateExpression=expression,
                    ExpressionAttributeValues=values,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except botocore.exceptions.ClientError as error:
                if code_of(error) != "ConditionalCheckFailedException":
                    raise
                item: Item = error.response.get("Item", {})  # type: ignore[assignment] # untyped
                raise _RefusedError(_read(item) if item else None) from error


class _RefusedError(Exception):
    """A condition did not hold; `lease` is what stands there."""

    def __init__(self, lease: ShardLease | None) -> None:
        super().__init__("ConditionalCheckFailedException")
        self.lease = lease


def _write(lease: ShardLease) -> dict[str, Value]:
    item: dict[str, Value] = {
        "ShardId": text(lease.shard),
        "LeaseOwner": text(lease.owner or _NOBODY),
        "LeaseCounter": number(lease.counter),
        "Ended": {"BOOL": lease.checkpoint.ended},
    }
    if lease.checkpoint.position is not None:
        item["Place"] = text(lease.checkpoint.position)
    return item


def _read(item: Item) -> ShardLease:
    owner = item["LeaseOwner"]["S"]
    return ShardLease(
        shard=ShardId(item["ShardId"]["S"]),
        owner=None if owner == _NOBODY else FeedId(owner),
        counter=int(item["LeaseCounter"]["N"]),
        checkpoint=Checkpoint(
            position=Position(item["Place"]["S"]) if "Place" in item else None,
            ended=item["Ended"]["BOOL"],
        ),
    )
