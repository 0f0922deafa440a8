import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dynamodb_row import to_item
from adapters.streams import DynamoDBChangeStream, read_record
from jobs.dispatch import Change, ChangeRecord, Image, wants_worker
from jobs.errors import (
    Misconfigured,
    PositionLost,
    RecordUnreadable,
    Unavailable,
    UnreadRecord,
)
from jobs.events import terminal_event
from jobs.job import JobError, JobStatus
from jobs.receiver import DeliveryKind, Receiver
from jobs.shards import LATEST, Batch, Position, Shard, ShardId, StreamName
from tests.builders import JOB_ID, NOW, a_job

ARN = StreamName(
    "arn:aws:dynamodb:us-east-1:000000000000:table/LLM_Jobs/stream/2026-11-23T04:38:00.000"
)
SHARD = ShardId("shardId-00000001795408739120-a1b2c3d4")
AT = datetime(2026, 11, 23, 4, 38, tzinfo=UTC)
NEW = to_item(a_job())
FIFTH, NINTH = f"{5:021d}", f"{9:021d}"  # sequence numbers have 21 digits at least


def a_record(name: str = "INSERT", number: str = FIFTH, **images: Any) -> Any:  # noqa: ANN401 - AWS's own shape
    """Make a record as GetRecords gives it."""
    return {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": AT,
            "Keys": {"JobId": {"S": JOB_ID}},
            "SequenceNumber": number,
            "SizeBytes": 700,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images,
        },
    }


def read(record: Any) -> ChangeRecord:  # noqa: ANN401 - AWS's own shape
    change = read_record(record)
    assert isinstance(change, ChangeRecord)
    return change


def test_a_new_row_is_read() -> None:
    assert read(a_record(NewImage=NEW)) == ChangeRecord(
        sequence_number=FIFTH,
        change=Change.INSERT,
        at=AT,
        job_id=JOB_ID,
        before=None,
        after=Image(
            status=JobStatus.PENDING,
            user=a_job().user,
            model=a_job().model,
            trace=a_job().trace,
        ),
    )


def test_a_changed_row_is_read_with_what_it_was() -> None:
    until = NOW + timedelta(seconds=3)
    waiting = to_item(a_job(status=JobStatus.PENDING_RETRY, not_before=until))
    running = to_item(a_job(status=JobStatus.RUNNING))

    change = read(a_record("MODIFY", NewImage=waiting, OldImage=running))

    assert change.change is Change.MODIFY
    assert change.before is JobStatus.RUNNING
    assert change.after is not None
    assert change.after.status is JobStatus.PENDING_RETRY
    assert change.after.not_before == until
    assert wants_worker(change)


def test_a_deleted_row_is_read_and_wants_no_worker() -> None:
    change = read(a_record("REMOVE", OldImage=NEW))

    assert (change.change, change.before, change.after) == (
        Change.REMOVE,
        JobStatus.PENDING,
        None,
    )
    assert not wants_worker(change)


def test_a_row_that_its_time_to_live_deleted_is_read_like_any_other() -> None:
    record = a_record("REMOVE", OldImage=NEW) | {
        "userIdentity": {"principalId": "dynamodb.amazonaws.com", "type": "Service"}
    }

    assert read(record) == read(a_record("REMOVE", OldImage=NEW))


def test_a_stream_without_images_wants_no_worker() -> None:
    change = read(a_record("MODIFY"))

    assert (change.before, change.after) == (None, None)
    assert not wants_worker(change)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"eventName": "INSERT"},
        {"eventName": "INSERT", "dynamodb": {}},
        a_record("UPSERT", NewImage=NEW),
        a_record(NewImage=NEW, Keys={}),
        a_record(NewImage=NEW, Keys={"OrderId": {"S": "7"}}),
        a_record(NewImage=NEW, Keys={"JobId": {"N": "7"}}),
        a_record(NewImage={"JobId": {"S": JOB_ID}}),
        a_record(NewImage=NEW | {"JobStatus": {"S": "DREAMING"}}),
        a_record(NewImage=NEW | {"JobStatus": {"N": "1"}}),
        a_record("MODIFY", NewImage=NEW, OldImage={"JobStatus": {"S": "DREAMING"}}),
        a_record(NewImage=NEW | {"NotBefore": {"S": "soon"}}),
        a_record(NewImage=NEW | {"NotBefore": {"NULL": True}}),
        a_record(NewImage={"JobStatus": {"S": "PENDING"}}),  # without a trace
    ],
)
def test_a_record_that_is_not_ours_is_unreadable_and_raises_nothing(record: Any) -> None:  # noqa: ANN401 - AWS's own shape
    assert isinstance(read_record(record), RecordUnreadable)


def test_an_unreadable_record_is_named_by_its_number() -> None:
    assert "record 4711:" in str(read_record(a_record("UPSERT", number="4711", NewImage=NEW)))


def test_an_unreadable_record_carries_what_was_read() -> None:
    record = a_record(NewImage=NEW | {"JobStatus": {"S": "DREAMING"}})

    error = read_record(record)

    assert isinstance(error, RecordUnreadable)
    told = error.record
    assert (told.sequence_number, told.job_id, told.at) == (FIFTH, JOB_ID, AT)
    assert told.event_id == "c4ca4238a0b923820dcc509a6f75849b"
    raw = json.loads(told.raw)
    assert raw["dynamodb"]["NewImage"] == NEW | {"JobStatus": {"S": "DREAMING"}}


def test_a_record_of_which_nothing_can_be_told_is_unreadable_all_the_same() -> None:
    error = read_record({})

    assert isinstance(error, RecordUnreadable)
    assert error.record == UnreadRecord(raw="{}")


def test_a_reason_is_short_whatever_stood_in_the_row() -> None:
    error = read_record(a_record(NewImage=NEW | {"JobStatus": {"S": "x" * 390_000}}))

    assert len(str(error)) < 400


VALUES = st.recursive(
    st.builds(lambda text: {"S": text}, st.text(max_size=5))
    | st.builds(lambda number: {"N": str(number)}, st.integers() | st.floats())
    | st.builds(lambda flag: {"BOOL": flag}, st.booleans())
    | st.just({"NULL": True}),
    lambda inner: (
        st.builds(lambda items: {"L": items}, st.lists(inner, max_size=2))
        | st.builds(
            lambda fields: {"M": fields}, st.dictionaries(st.text(max_size=3), inner, max_size=2)
        )
    ),
    max_leaves=4,
)
IMAGES = st.dictionaries(
    st.sampled_from(["JobId", "JobStatus", "TraceId", "TraceHeader", "NotBefore"]),
    VALUES | st.just({"S": "PENDING"}),
)


@settings(deadline=None)
@given(new=IMAGES, old=IMAGES, keys=IMAGES, name=st.sampled_from(["INSERT", "MODIFY", "x"]))
def test_no_record_whatsoever_blocks_its_shard(
    *, new: dict[str, Any], old: dict[str, Any], keys: dict[str, Any], name: str
) -> None:
    change = read_record(a_record(name, NewImage=new, OldImage=old, Keys=keys))

    assert isinstance(change, (ChangeRecord, RecordUnreadable))


class Aws:
    """The adapter on two stubbed clients."""

    def __init__(self, tables: Any, streams: Any) -> None:  # noqa: ANN401 - stubbed clients
        self.tables = Stubber(tables)
        self.streams = Stubber(streams)
        self.change_stream = DynamoDBChangeStream(tables=tables, streams=streams, table="LLM_Jobs")

    def will_open(self, iterator: str, *, after: str | None = None) -> None:
        place = (
            {"ShardIteratorType": "TRIM_HORIZON" if after is None else "LATEST"}
            if after is None or after == LATEST
            else {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
        )
        self.streams.add_response(
            "get_shard_iterator",
            {"ShardIterator": iterator},
            {"StreamArn": ARN, "ShardId": SHARD, **place},
        )

    def will_give(
        self, *records: object, iterator: str, then: str | None, limit: int = 1000
    ) -> None:
        answer: dict[str, object] = {"Records": list(records)}
        if then is not None:
            answer["NextShardIterator"] = then
        self.streams.add_response(
            "get_records", answer, {"ShardIterator": iterator, "Limit": limit}
        )


@pytest.fixture
def aws() -> Iterator[Aws]:
    stubbed = Aws(
        boto3.client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        ),
        boto3.client(
            "dynamodbstreams",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        ),
    )
    with stubbed.tables, stubbed.streams:
        yield stubbed
        stubbed.tables.assert_no_pending_responses()
        stubbed.streams.assert_no_pending_responses()


def test_a_stream_is_named_by_its_arn(aws: Aws) -> None:
    aws.tables.add_response("describe_table", {"Table": {"LatestStreamArn": ARN}})

    assert aws.change_stream.name() == ARN


def test_a_table_without_a_stream_is_misconfigured(aws: Aws) -> None:
    aws.tables.add_response("describe_table", {"Table": {}})

    with pytest.raises(Misconfigured, match="LLM_Jobs"):
        aws.change_stream.name()


def test_shards_are_listed_page_by_page(aws: Aws) -> None:
    aws.streams.add_response(
        "describe_stream",
        {
            "StreamDescription": {
                "Shards": [{"ShardId": "shardId-1" + "0" * 20}],
                "LastEvaluatedShardId": "shardId-1" + "0" * 20,
            }
        },
        {"StreamArn": ARN},
    )
    aws.streams.add_response(
        "describe_stream",
        {
            "StreamDescription": {
                "Shards": [
                    {
                        "ShardId": "shardId-2" + "0" * 20,
                        "ParentShardId": "shardId-1" + "0" * 20,
                    }
                ]
            }
        },
        {"StreamArn": ARN, "ExclusiveStartShardId": "shardId-1" + "0" * 20},
    )

    first, second = ShardId("shardId-1" + "0" * 20), ShardId("shardId-2" + "0" * 20)
    assert aws.change_stream.shards(ARN) == [Shard(id=first), Shard(id=second, parent=first)]


def test_a_shard_is_read_from_its_oldest_record_on(aws: Aws) -> None:
    aws.will_open("one")
    aws.will_give(a_record(number=FIFTH, NewImage=NEW), iterator="one", then="two")
    aws.will_give(iterator="two", then="three")
    aws.will_give(a_record(number=NINTH, NewImage=NEW), iterator="three", then=None)
    reader = aws.change_stream.open(ARN, SHARD, after=None)

    batches = [reader.read(), reader.read(), reader.read()]

    record = read(a_record(number=FIFTH, NewImage=NEW))
    assert batches == [
        Batch(records=(record,), position=Position(FIFTH), ended=False),
        Batch(records=(), position=None, ended=False),
        Batch(
            records=(replace(record, sequence_number=NINTH),), position=Position(NINTH), ended=True
        ),
    ]


def test_a_shard_goes_on_after_its_position(aws: Aws) -> None:
    aws.will_open("one", after=FIFTH)
    aws.will_give(iterator="one", then="two")

    reader = aws.change_stream.open(ARN, SHARD, after=Position(FIFTH))

    assert reader.read() == Batch(records=(), position=None, ended=False)


def test_a_shard_is_read_from_its_end_and_then_on_from_its_position(aws: Aws) -> None:
    aws.will_open("one", after=LATEST)
    aws.will_give(a_record(number=FIFTH, NewImage=NEW), iterator="one", then="two")
    aws.streams.add_client_error("get_records", "ExpiredIteratorException", http_status_code=400)
    aws.will_open("three", after=FIFTH)
    aws.will_give(iterator="three", then="four")
    reader = aws.change_stream.open(ARN, SHARD, after=LATEST)

    assert [reader.read().position, reader.read().position] == [Position(FIFTH), None]


def test_a_read_asks_for_no_more_records_than_it_was_told(aws: Aws) -> None:
    aws.will_open("one")
    aws.will_give(iterator="one", then="two", limit=10)

    replace(aws.change_stream, batch=10).open(ARN, SHARD, after=None).read()


def test_an_iterator_that_expired_is_opened_again_where_it_stood(aws: Aws) -> None:
    aws.will_open("one")
    aws.will_give(a_record(number=FIFTH, NewImage=NEW), iterator="one", then="two")
    aws.streams.add_client_error("get_records", "ExpiredIteratorException", http_status_code=400)
    aws.will_open("three", after=FIFTH)
    aws.will_give(iterator="three", then="four")
    reader = aws.change_stream.open(ARN, SHARD, after=None)

    reader.read()

    assert reader.read() == Batch(records=(), position=None, ended=False)


@pytest.mark.parametrize(
    "code", ["TrimmedDataAccessException", "ResourceNotFoundException", "ValidationException"]
)
def test_a_position_that_the_stream_no_longer_has_is_lost(aws: Aws, code: str) -> None:
    aws.streams.add_client_error("get_shard_iterator", code, http_status_code=400)
    reader = aws.change_stream.open(ARN, SHARD, after=Position(FIFTH))

    with pytest.raises(PositionLost):
        reader.read()


@pytest.mark.parametrize(
    ("code", "status"),
    [("LimitExceededException", 400), ("InternalServerError", 500), ("ThrottlingException", 400)],
)
def test_a_stream_that_is_busy_is_unavailable(aws: Aws, code: str, status: int) -> None:
    aws.streams.add_client_error("get_shard_iterator", code, http_status_code=status)

    with pytest.raises(Unavailable):
        aws.change_stream.open(ARN, SHARD, after=None).read()


def test_a_position_passes_over_records_without_a_number(aws: Aws) -> None:
    unnumbered = {"eventName": "INSERT", "dynamodb": {}}
    aws.will_open("one")
    aws.will_give(a_record(number=FIFTH, NewImage=NEW), unnumbered, iterator="one", then="two")

    batch = aws.change_stream.open(ARN, SHARD, after=None).read()

    assert batch.position == Position(FIFTH)
    assert isinstance(batch.records[1], RecordUnreadable)


def test_a_row_that_ended_is_read_with_how_and_who_wants_to_know() -> None:
    error = JobError(code="model_rejected_request", message="No such field", retryable=False)
    job = a_job(
        status=JobStatus.FAILED,
        ended_at=NOW,
        attempt=2,
        seq=2_000_004,
        error=error,
        webhook="https://receiver.example/hook",
        also_tell=(
            Receiver(kind=DeliveryKind.EVENTBRIDGE),
            Receiver(kind=DeliveryKind.APIGATEWAY, address="L0SM9cOFvHcCIhw="),
        ),
    )
    running = to_item(a_job(status=JobStatus.RUNNING))

    change = read(a_record("MODIFY", NewImage=to_item(job), OldImage=running))

    assert change.after is not None
    assert change.after.end == terminal_event(job)
    assert change.after.receivers == job.receivers
