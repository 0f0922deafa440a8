"""jobs.feed_ports.ChangeStream and ShardReader, in memory, on DynamoDB and on the stand-in."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.memory import MemoryJobStore
from adapters.streams import DynamoDBChangeStream
from jobs.dispatch import Change, ChangeRecord, Image, part_ends_in
from jobs.division import Division, PartOf, PlanId
from jobs.errors import PositionLost
from jobs.job import JobStatus
from jobs.shards import LATEST, Batch, Position, StreamName
from tests.contracts.stories import (
    a_job,
    after,
    claim,
    claimed_job,
    completed,
    divided,
    invoked,
    retrying,
)
from tests.stack import wait_until
from tests.streams_stand_in import StreamsStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobs.feed_ports import ChangeStream, ShardReader
    from jobs.ports import JobStore
    from tests.stack import Clients, LocalStack

NEVER_GIVEN = Position("9" * 30)  # in the form of a sequence number
Told = tuple[Change, JobStatus | None, JobStatus | None]

# What the rows of `tell_a_story` go through.
STORY: list[Told] = [
    (Change.INSERT, None, JobStatus.PENDING),
    (Change.MODIFY, JobStatus.PENDING, JobStatus.RUNNING),
    (Change.MODIFY, JobStatus.RUNNING, JobStatus.RUNNING),
    (Change.MODIFY, JobStatus.RUNNING, JobStatus.PENDING_RETRY),
    (Change.MODIFY, JobStatus.PENDING_RETRY, JobStatus.RUNNING),
    (Change.MODIFY, JobStatus.RUNNING, JobStatus.COMPLETED),
]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A store of jobs and the stream of its changes."""

    store: JobStore
    stream: ChangeStream

    def open_only_shard(self, *, after: Position | None = None) -> ShardReader:
        name = self.stream.name()
        [shard] = self.stream.shards(name)
        return self.stream.open(name, shard.id, after=after)


@pytest.fixture(params=["memory", "dynamodb", "stand-in"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        store = MemoryJobStore()
        yield Table(store=store, stream=store.stream)
        return
    clients: Clients = request.getfixturevalue("clients")
    name = clients.make_tables(f"Contract_Stream_{request.node.name}"[:100].split("[")[0])
    if request.param == "dynamodb":
        yield on_dynamodb(clients, name)
    else:
        stand_ins: LocalStack = request.getfixturevalue("stand_ins")
        with in_shards(clients, name, stand_ins.environ, shards=1) as (_, table):
            yield table
    clients.drop_tables(name)


def on_dynamodb(clients: Clients, name: str) -> Table:
    return Table(
        store=DynamoDBJobStore(client=clients.dynamodb, table=name, retention=timedelta(days=1)),
        stream=DynamoDBChangeStream(tables=clients.dynamodb, streams=clients.streams, table=name),
    )


@contextmanager
def in_shards(
    clients: Clients, name: str, environ: Mapping[str, str], *, shards: int
) -> Iterator[tuple[StreamsStandIn, Table]]:
    """Let the stand-in spread the stream of a table's changes over shards."""
    table = on_dynamodb(clients, name)
    with StreamsStandIn(clients.streams, table.stream.name(), shards=shards) as stand_in:
        client = stand_in.connect(environ)
        stream = DynamoDBChangeStream(tables=clients.dynamodb, streams=client, table=name)
        yield stand_in, replace(table, stream=stream)
        client.close()


def tell_a_story(store: JobStore) -> str:
    """Make a change of each kind in a new row, and give its id."""
    job = a_job()
    store.add(job)
    first = claim(store, job.id)
    store.mark_invoked(first, invoked(after(1)))
    store.settle(first, retrying(first, after(2)))
    second = claim(store, job.id, after(6))
    store.settle(second, completed(second, after(7)))
    return job.id


def read_records(reader: ShardReader, count: int) -> tuple[list[ChangeRecord], Position | None]:
    """Read until `count` records came; give them, and the last batch's position."""
    records: list[ChangeRecord] = []
    position: list[Position | None] = [None]

    def came() -> bool:
        batch = reader.read()
        assert not batch.ended
        records.extend(record for record in batch.records if isinstance(record, ChangeRecord))
        position[0] = batch.position or position[0]
        return len(records) >= count

    wait_until(came, f"{count} change records")
    return records, position[0]


def after_image(record: ChangeRecord) -> Image:
    assert record.after is not None
    return record.after


def told_by(records: list[ChangeRecord]) -> list[Told]:
    return [(record.change, record.before, after_image(record).status) for record in records]


def test_every_change_of_a_row_comes_once_and_in_order(table: Table) -> None:
    reader = table.open_only_shard()
    job_ids = [tell_a_story(table.store) for _ in range(3)]

    records, _ = read_records(reader, 3 * len(STORY))

    for job_id in job_ids:
        assert told_by([record for record in records if record.job_id == job_id]) == STORY
    assert len(records) == 3 * len(STORY)
    assert len({record.sequence_number for record in records}) == len(records)


def test_a_record_tells_a_part_and_whose_and_how_a_job_was_divided(table: Table) -> None:
    division = Division(plan=PlanId("0123456789abcdef"), total=3)
    held = claimed_job(table.store)
    table.store.mark_divided(held, division)
    job = table.store.settle(held, divided(held, after(1)))
    table.store.note_part(job, 2, after(2))
    part = PartOf(job=job.id, plan=division.plan, number=2, total=3, pages="pages 5 to 8")
    of_part = replace(a_job(), part=part)
    table.store.add(of_part)
    held_part = claim(table.store, of_part.id)
    table.store.settle(held_part, completed(held_part, after(3)))

    records, _ = read_records(table.open_only_shard(), 8)

    told = [after_image(record) for record in records if record.job_id == job.id]
    assert told[-1].division == replace(division, ended=frozenset({2}))
    images = [after_image(record) for record in records if record.job_id == of_part.id]
    assert {image.part for image in images} == {part}
    assert images[-1].end is None
    assert [ended for ended, _ in part_ends_in(records)] == [part]


def test_a_record_carries_the_trace_and_the_wait(table: Table) -> None:
    job_id = tell_a_story(table.store)

    records, _ = read_records(table.open_only_shard(), len(STORY))

    images = [after_image(record) for record in records]
    assert {image.trace for image in images} == {table.store.get(records[0].job_id).trace}
    assert records[0].job_id == job_id
    assert [image.not_before for image in images] == [None, None, None, after(5), None, None]


def test_what_came_before_the_reader_was_opened_comes_too(table: Table) -> None:
    tell_a_story(table.store)

    records, _ = read_records(table.open_only_shard(), len(STORY))

    assert told_by(records) == STORY


def test_an_empty_batch_is_not_the_end(table: Table) -> None:
    reader = table.open_only_shard()

    batches = [reader.read(), reader.read()]

    assert batches == [Batch(records=(), position=None, ended=False)] * 2


def test_nothing_comes_twice_to_one_reader(table: Table) -> None:
    reader = table.open_only_shard()
    tell_a_story(table.store)
    read_records(reader, len(STORY))

    assert reader.read().records == ()


def test_opening_after_a_position_gives_what_follows_it(table: Table) -> None:
    tell_a_story(table.store)
    _, position = read_records(table.open_only_shard(), len(STORY))
    later = tell_a_story(table.store)

    records, _ = read_records(table.open_only_shard(after=position), len(STORY))

    assert {record.job_id for record in records} == {later}
    assert told_by(records) == STORY


def test_opening_after_the_last_position_gives_nothing_yet(table: Table) -> None:
    tell_a_story(table.store)
    _, position = read_records(table.open_only_shard(), len(STORY))

    batch = table.open_only_shard(after=position).read()

    assert (batch.records, batch.ended) == ((), False)


def test_a_reader_at_latest_gives_what_is_written_after_its_first_read(table: Table) -> None:
    tell_a_story(table.store)
    read_records(table.open_only_shard(), len(STORY))  # a change comes to the stream a little later
    reader = table.open_only_shard(after=LATEST)
    assert reader.read().records == ()
    later = tell_a_story(table.store)

    records, position = read_records(reader, len(STORY))

    assert {record.job_id for record in records} == {later}
    assert told_by(records) == STORY
    assert table.open_only_shard(after=position).read().records == ()


def test_a_position_that_the_stream_never_gave_is_lost(table: Table) -> None:
    tell_a_story(table.store)

    with pytest.raises(PositionLost):
        table.open_only_shard(after=NEVER_GIVEN).read()


def test_on_dynamodb_a_position_of_another_stream_is_lost(clients: Clients) -> None:
    other = on_dynamodb(clients, clients.make_tables("Contract_Stream_Other"))
    ours = on_dynamodb(clients, clients.make_tables("Contract_Stream_Ours"))
    tell_a_story(ours.store)
    tell_a_story(other.store)
    _, position = read_records(other.open_only_shard(), len(STORY))

    with pytest.raises(PositionLost):
        ours.open_only_shard(after=position).read()


def test_on_dynamodb_a_stream_that_is_gone_has_lost_every_position(clients: Clients) -> None:
    table = on_dynamodb(clients, clients.make_tables("Contract_Stream_Gone"))
    tell_a_story(table.store)
    reader = table.open_only_shard()
    [shard] = table.stream.shards(table.stream.name())

    gone = StreamName(f"{table.stream.name()}0")

    assert reader.read().records
    with pytest.raises(PositionLost):
        table.stream.open(gone, shard.id, after=None).read()


def test_the_name_stays_the_same(table: Table) -> None:
    assert table.stream.name() == table.stream.name()
