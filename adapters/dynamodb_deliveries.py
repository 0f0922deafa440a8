"""Deliveries on DynamoDB: one item a delivery under its job, each transition a conditional write.

A write whose answer was lost may come twice (botocore's retries); so a refused claim looks for its
own token in the item that refused it, as the store of jobs does.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws_errors import code_of, suppressing_refusal, translating_all
from adapters.dynamodb_row import number, read_error, read_trace, text, time, write_error
from adapters.schema import DUE_DELIVERIES, TTL_ATTRIBUTE, deliveries_table_name
from jobs.delivery import Delivery, DeliveryState, Try, replayed
from jobs.delivery_ports import ClaimedDelivery
from jobs.due import SHARDS, due_shard
from jobs.errors import DeliveryMoved, DeliveryNotFound
from jobs.events import Event, EventType
from jobs.job import JobId, UserId
from jobs.receiver import DeliveryKind, Receiver
from jobs.times import read_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

    from adapters.dynamodb_row import Item
    from jobs.delivery import DeliveryId, DeliveryKey

_PART = "store"
_REFUSED = "ConditionalCheckFailedException"
_LONGEST_WAY = timedelta(days=7)  # of any schedule; a delivery outlives its tries


@dataclass(frozen=True, kw_only=True)
class DynamoDBDeliveries:
    """jobs.delivery_ports.Deliveries and DueDeliveries of the jobs' table `jobs`."""

    client: DynamoDBClient
    jobs: str
    retention: timedelta

    def add(self, delivery: Delivery) -> None:
        """Keep a new delivery; one that is there stays as it is."""
        expires_at = delivery.event.at + self.retention + _LONGEST_WAY
        state = {name: value for name, value in _state(delivery).items() if value is not None}
        item = {**_facts(delivery), **state, TTL_ATTRIBUTE: number(int(expires_at.timestamp()))}
        with translating_all(_PART, table=self._table), suppressing_refusal():
            self.client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(EventId)",
            )

    def of_job(self, job_id: JobId) -> list[Delivery]:
        """Give a job's deliveries, the oldest first."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="JobId = :job",
            ExpressionAttributeValues={":job": text(job_id)},
            ConsistentRead=True,
        )
        with translating_all(_PART, table=self._table):
            found = [_read(item) for page in pages for item in page["Items"]]
        return sorted(found, key=lambda delivery: (delivery.event.seq, delivery.id))

    def claim(self, key: DeliveryKey, *, now: datetime, until: datetime) -> ClaimedDelivery | None:
        """Take a delivery that may be tried now, in one conditional write."""
        token = secrets.token_hex(8)
        row = self._update(
            _key(key.job, key.delivery),
            condition="#State = :due AND NotBefore <= :now",
            expression=(
                "SET NotBefore = :until, DueAt = :until, Tries = Tries + :one, #Token = :token"
            ),
            names={"#State": "State", "#Token": "Token"},
            values={
                ":due": text(DeliveryState.DUE),
                ":now": time(now),
                ":until": time(until),
                ":one": number(1),
                ":token": text(token),
            },
            token=token,
        )
        return None if row is None else ClaimedDelivery(delivery=_read(row), token=token)

    def settle(self, claimed: ClaimedDelivery, delivery: Delivery) -> None:
        """Write what became of a try, under this claim alone."""
        if not self._write(delivery, before=claimed.token, token=secrets.token_hex(8)):
            raise DeliveryMoved(f"delivery {delivery.id} was taken by another")

    def replay(self, job_id: JobId, delivery: DeliveryId, now: datetime) -> Delivery:
        """Let a delivery be told again; whoever is trying it is fenced out."""
        while True:
            with translating_all(_PART, table=self._table):
                item = self.client.get_item(
                    TableName=self._table, Key=_key(job_id, delivery), ConsistentRead=True
                ).get("Item")
            if item is None:
                raise DeliveryNotFound(f"job {job_id} has no announcement {delivery}")
            again = replayed(_read(item), now)
            before = item["Token"]["S"] if "Token" in item else None
            if self._write(again, before=before, token=secrets.token_hex(8)):
                return again

    def find(self, now: datetime, *, limit: int) -> list[Delivery]:
        """Find due deliveries, from every shard of the index in turn."""
        found: list[Delivery] = []
        for shard in range(SHARDS):
            with translating_all(_PART, table=self._table):
                answer = self.client.query(
                    TableName=self._table,
                    IndexName=DUE_DELIVERIES,
                    KeyConditionExpression="DueShard = :shard AND DueAt <= :now",
                    ExpressionAttributeValues={":shard": text(f"{shard:02d}"), ":now": time(now)},
                    Limit=limit - len(found),
                )
            found += [_read(item) for item in answer["Items"]]
            if len(found) >= limit:
                break
        return found

    def put_off(self, delivery: Delivery, until: datetime) -> bool:
        """Move the time to look again, if it is still as in `delivery`."""
        if delivery.due_at is None:
            return False
        row = self._update(
            _key(delivery.event.job, delivery.id),
            condition="DueAt = :old",
            expression="SET DueAt = :new",
            values={":old": time(delivery.due_at), ":new": time(until)},
        )
        return row is not None

    def _write(self, delivery: Delivery, *, before: str | None, token: str) -> bool:
        """Write the state under another token, if the token is still `before`."""
        state = _state(delivery)
        sets = {name: value for name, value in state.items() if value is not None}
        sets["Token"] = text(token)
        removes = [name for name, value in state.items() if value is None]
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in sets)
        if removes:
            expression += " REMOVE " + ", ".join(f"#{name}" for name in removes)
        values = {f":{name}": value for name, value in sets.items()}
        condition = "attribute_not_exists(#Token)"
        if before is not None:
            condition, values[":before"] = "#Token = :before", text(before)
        row = self._update(
            _key(delivery.event.job, delivery.id),
            condition=f"attribute_exists(EventId) AND {condition}",
            expression=expression,
            names={f"#{name}": name for name in state} | {"#Token": "Token"},
            values=values,
            token=token,
        )
        return row is not None

    def _update(  # noqa: PLR0913 - one write's whole shape, by name
        self,
        key: Mapping[str, Value],
        *,
        condition: str,
        expression: str,
        values: Mapping[str, Value],
        names: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Item | None:
        """Do one conditional write and give the item; None where it was refused."""
        with translating_all(_PART, table=self._table):
            try:
                answer = self.client.update_item(
                    TableName=self._table,
                    Key=key,
                    ConditionExpression=condition,
                    UpdateExpression=expression,
                    ExpressionAttributeValues=values,
                    **({"ExpressionAttributeNames": names} if names else {}),  # type: ignore[arg-type] # one optional key
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except botocore.exceptions.ClientError as error:
                if code_of(error) != _REFUSED:
                    raise
                row: Item = error.response.get("Item", {})  # type: ignore[assignment] # untyped
                ours = token is not None and row.get("Token") == text(token)
                return row if ours else None
        return answer["Attributes"]

    @property
    def _table(self) -> str:
        return deliveries_table_name(self.jobs)


def _key(job_id: JobId, delivery: DeliveryId) -> dict[str, Value]:
    """Write the key; what is named EventId holds the delivery's id, a webhook's the event's."""
    return {"JobId": text(job_id), "EventId": text(delivery)}


def _facts(delivery: Delivery) -> dict[str, Value]:
    """Write what never changes."""
    event = delivery.event
    facts = {
        **_key(event.job, delivery.id),
        "Kind": text(delivery.kind),
        "UserId": text(event.user),
        "EventType": text(event.type),
        "Seq": number(event.seq),
        "At": time(event.at),
        "Attempt": number(event.attempt),
        "TraceId": text(event.trace_id),
        "TraceHeader": text(event.trace.header),
    }
    if delivery.made_at is not None and delivery.made_by is not None:
        facts |= {"MadeAt": time(delivery.made_at), "MadeBy": text(delivery.made_by)}
    if (address := delivery.receiver.address) is not None:
        facts[_address_name(delivery.kind)] = text(address)
    return facts if event.error is None else {**facts, "Error": write_error(event.error)}


def _address_name(kind: DeliveryKind) -> str:
    return "Url" if kind is DeliveryKind.WEBHOOK else "Address"


def _state(delivery: Delivery) -> dict[str, Value | None]:
    """Write what a try or a replay may change; None says: no such attribute."""
    return {
        "State": text(delivery.state),
        "Tries": number(delivery.tries),
        "Failures": number(delivery.failures),
        "NotBefore": time(delivery.not_before) if delivery.not_before else None,
        # The sparse index has the deliveries that are due, and no others.
        "DueShard": text(due_shard(delivery.event.job)) if delivery.due_at else None,
        "DueAt": time(delivery.due_at) if delivery.due_at else None,
        "Log": {"L": [{"M": _write_try(one)} for one in delivery.log]},
    }


def _write_try(one: Try) -> dict[str, Value]:
    fields: dict[str, Value] = {
        "Number": number(one.number),
        "At": time(one.at),
        "TookS": number(round(one.took.total_seconds(), 3)),
    }
    if one.status is not None:
        fields["Status"] = number(one.status)
    if one.error is not None:
        fields["Error"] = text(one.error)
    if one.by is not None:
        fields["By"] = text(one.by)
    return fields


def _read(item: Item) -> Delivery:
    kind = DeliveryKind(item["Kind"]["S"])
    address = item.get(_address_name(kind))
    return Delivery(
        receiver=Receiver(kind=kind, address=address["S"] if address else None),
        event=Event(
            job=JobId(item["JobId"]["S"]),
            user=UserId(item["UserId"]["S"]),
            seq=int(item["Seq"]["N"]),
            type=EventType(item["EventType"]["S"]),
            at=read_time(item["At"]["S"]),
            trace=read_trace(item),
            attempt=int(item["Attempt"]["N"]),
            error=read_error(item),
        ),
        state=DeliveryState(item["State"]["S"]),
        tries=int(item["Tries"]["N"]),
        failures=int(item["Failures"]["N"]),
        not_before=read_time(item["NotBefore"]["S"]) if "NotBefore" in item else None,
        due_at=read_time(item["DueAt"]["S"]) if "DueAt" in item else None,
        log=tuple(_read_try(one["M"]) for one in item["Log"]["L"]),
        made_at=read_time(item["MadeAt"]["S"]) if "MadeAt" in item else None,
        made_by=item["MadeBy"]["S"] if "MadeBy" in item else None,
    )


def _read_try(fields: Item) -> Try:
    return Try(
        number=int(fields["Number"]["N"]),
        at=read_time(fields["At"]["S"]),
        took=timedelta(seconds=float(fields["TookS"]["N"])),
        status=int(fields["Status"]["N"]) if "Status" in fields else None,
        error=fields["Error"]["S"] if "Error" in fields else None,
        by=fields["By"]["S"] if "By" in fields else None,
    )
