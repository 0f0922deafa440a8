"""jobs.feed_ports.RejectedRecords, in memory and on DynamoDB: each promise of its docstring."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_rejected import DynamoDBRejectedRecords
from adapters.memory import MemoryRejectedRecords
from adapters.raw_record import LARGEST_BYTES
from adapters.schema import rejected_table, rejected_table_name
from jobs.errors import Misconfigured, RecordUnreadable, UnreadRecord
from jobs.job import JobId
from jobs.rejected import RejectedId, RejectedRecord
from jobs.shards import ShardId, StreamName
from tests.contracts.stories import START, after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.feed_ports import RejectedRecords
    from tests.stack import Clients

STREAM = StreamName("arn:aws:dynamodb:us-east-1:0:table/T/stream/1")
SHARD = ShardId("shardId-00000001795408739120-a1b2c3d4")
JOBS = "Contract_Rejected"
DAY = timedelta(days=1)


@pytest.fixture(params=["memory", "dynamodb"])
def records(request: pytest.FixtureRequest) -> Iterator[RejectedRecords]:
    if request.param == "memory":
        yield MemoryRejectedRecords()
        return
    clients: Clients = request.getfixturevalue("clients")
    clients.dynamodb.create_table(**rejected_table(JOBS))
    yield DynamoDBRejectedRecords(client=clients.dynamodb, jobs=JOBS, retention=DAY)
    clients.dynamodb.delete_table(TableName=rejected_table_name(JOBS))


def a_rejected(number: int = 1, *, raw: str = '{"eventName":"☕"}') -> RejectedRecord:
    """Make the entry of the change `number`, written `number` seconds after the start."""
    error = RecordUnreadable(
        f"record {number}: ValueError('DREAMING')",
        record=UnreadRecord(
            raw=raw,
            sequence_number=f"{number:021d}",
            event_id="c4ca4238a0b923820dcc509a6f75849b",
            job_id=JobId("job_1"),
            at=after(number),
        ),
    )
    return RejectedRecord.of(error, stream=STREAM, shard=SHARD, at=after(60))


def test_a_record_comes_back_as_it_was_put(records: RejectedRecords) -> None:
    record = a_rejected()

    records.put(record)

    assert records.get(record.id) == record
    assert records.find(limit=10) == [record]


def test_a_record_of_which_nothing_is_known_comes_back_too(records: RejectedRecords) -> None:
    error = RecordUnreadable("record ?: KeyError('dynamodb')")
    record = RejectedRecord.of(error, stream=STREAM, shard=SHARD, at=START)

    records.put(record)

    assert records.get(record.id) == record


def test_the_largest_record_is_kept(records: RejectedRecords) -> None:
    record = a_rejected(raw="x" * LARGEST_BYTES)

    records.put(record)

    assert records.get(record.id) == record


def test_a_record_that_is_put_twice_is_one_and_stays_as_it_was(records: RejectedRecords) -> None:
    first = a_rejected()
    records.put(first)

    records.put(replace(first, rejected_at=after(3600)))

    assert records.find(limit=10) == [first]


def test_the_newest_changes_come_first_and_no_more_than_asked_for(
    records: RejectedRecords,
) -> None:
    rejected = [a_rejected(number) for number in (3, 1, 4, 2)]
    for record in rejected:
        records.put(record)

    assert records.find(limit=3) == [rejected[2], rejected[0], rejected[3]]
    assert len(records.find(limit=100)) == 4


def test_more_records_than_one_answer_holds_all_come(records: RejectedRecords) -> None:
    for number in range(8):
        records.put(a_rejected(number, raw="x" * LARGEST_BYTES))

    assert len(records.find(limit=1000)) == 8
    assert len(records.find(limit=7)) == 7


def test_a_record_that_is_not_there_is_none(records: RejectedRecords) -> None:
    assert records.get(RejectedId("20261123t043800-000000000000")) is None


def test_a_removed_record_is_forgotten(records: RejectedRecords) -> None:
    kept, removed = a_rejected(1), a_rejected(2)
    records.put(kept)
    records.put(removed)

    records.remove(removed.id)
    records.remove(removed.id)

    assert records.find(limit=10) == [kept]


def test_on_dynamodb_a_record_expires(clients: Clients) -> None:
    clients.dynamodb.create_table(**rejected_table("Contract_Expires"))
    records = DynamoDBRejectedRecords(
        client=clients.dynamodb, jobs="Contract_Expires", retention=DAY
    )
    record = a_rejected()

    records.put(record)

    [item] = clients.dynamodb.scan(TableName="Contract_Expires_Rejected")["Items"]
    assert item["ExpiresAt"]["N"] == str(int((record.rejected_at + DAY).timestamp()))


def test_on_dynamodb_a_table_that_is_missing_is_misconfigured(clients: Clients) -> None:
    records = DynamoDBRejectedRecords(client=clients.dynamodb, jobs="Missing", retention=DAY)

    with pytest.raises(Misconfigured):
        records.put(a_rejected())


def test_on_dynamodb_a_record_that_no_item_can_hold_is_misconfigured(clients: Clients) -> None:
    clients.dynamodb.create_table(**rejected_table("Contract_TooLarge"))
    records = DynamoDBRejectedRecords(
        client=clients.dynamodb, jobs="Contract_TooLarge", retention=DAY
    )

    with pytest.raises(Misconfigured):
        records.put(a_rejected(raw="x" * 500_000))
