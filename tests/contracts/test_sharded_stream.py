"""What no emulator shows of DynamoDB Streams, through the adapter: shards that split, refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobs.dispatch import ChangeRecord
from jobs.errors import PositionLost, Unavailable
from jobs.shards import ShardId
from tests.contracts.test_change_stream import STORY, in_shards, read_records, tell_a_story
from tests.sharded_stream import Refusal
from tests.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.feed_ports import ShardReader
    from jobs.job import JobId
    from jobs.shards import Position, Shard
    from tests.contracts.test_change_stream import Table
    from tests.stack import Clients, LocalStack
    from tests.streams_stand_in import StreamsStandIn

TRIES = 3  # of the adapter's client
NAME = "Contract_Sharded_Stream"
Sharded = tuple["StreamsStandIn", "Table"]


@pytest.fixture
def shards(request: pytest.FixtureRequest) -> int:
    """How many there are: one, unless a test names another number."""
    return int(getattr(request, "param", 1))


@pytest.fixture
def sharded(clients: Clients, stand_ins: LocalStack, shards: int) -> Iterator[Sharded]:
    name = clients.make_tables(NAME)
    with in_shards(clients, name, stand_ins.environ, shards=shards) as both:
        yield both
    clients.drop_tables(name)


def list_shards(table: Table) -> list[Shard]:
    return list(table.stream.shards(table.stream.name()))


def open_shard(table: Table, shard: ShardId, *, after: Position | None = None) -> ShardReader:
    return table.stream.open(table.stream.name(), shard, after=after)


def read_to_the_end(reader: ShardReader) -> list[JobId]:
    """Read until the shard's end and give whose records came."""
    jobs: list[JobId] = []

    def has_ended() -> bool:
        batch = reader.read()
        jobs.extend(record.job_id for record in batch.records if isinstance(record, ChangeRecord))
        return batch.ended

    wait_until(has_ended, "the end of the shard")
    return jobs


@pytest.mark.parametrize("shards", [105], indirect=True)
def test_all_shards_are_listed_though_a_page_has_a_hundred(sharded: Sharded) -> None:
    _, table = sharded

    listed = list_shards(table)

    assert len({shard.id for shard in listed}) == len(listed) == 105


@pytest.mark.parametrize("shards", [4], indirect=True)
def test_a_rows_changes_are_all_in_one_shard(sharded: Sharded) -> None:
    stand_in, table = sharded
    written = [tell_a_story(table.store) for _ in range(12)]
    for shard in list_shards(table):
        stand_in.split(shard.id)

    read = [
        read_to_the_end(open_shard(table, shard.id))
        for shard in list_shards(table)
        if shard.parent is None
    ]

    assert sorted(job for jobs in read for job in jobs) == sorted(written * len(STORY))
    for job in written:
        assert sum(job in jobs for jobs in read) == 1


def test_a_split_shard_ends_and_its_children_go_on(sharded: Sharded) -> None:
    stand_in, table = sharded
    [parent] = list_shards(table)
    before = tell_a_story(table.store)

    stand_in.split(parent.id)
    later = [tell_a_story(table.store) for _ in range(4)]
    children = [shard for shard in list_shards(table) if shard.parent == parent.id]
    for child in children:
        stand_in.split(child.id)

    assert len(children) == 2
    assert set(read_to_the_end(open_shard(table, parent.id))) == {before}
    in_children = [read_to_the_end(open_shard(table, child.id)) for child in children]
    assert {job for jobs in in_children for job in jobs} == set(later)


def test_an_ended_shard_that_is_opened_at_its_end_has_ended(sharded: Sharded) -> None:
    stand_in, table = sharded
    [parent] = list_shards(table)
    tell_a_story(table.store)
    _, position = read_records(open_shard(table, parent.id), len(STORY))
    stand_in.split(parent.id)

    batch = open_shard(table, parent.id, after=position).read()

    assert (batch.records, batch.position, batch.ended) == ((), None, True)


def test_an_iterator_that_expires_costs_no_record(sharded: Sharded) -> None:
    stand_in, table = sharded
    reader = table.open_only_shard()
    tell_a_story(table.store)
    read_records(reader, len(STORY))
    later = tell_a_story(table.store)

    stand_in.expire_iterators()
    records, _ = read_records(reader, len(STORY))

    assert [record.job_id for record in records] == [later] * len(STORY)


def test_a_position_that_was_trimmed_is_lost(sharded: Sharded) -> None:
    stand_in, table = sharded
    [shard] = list_shards(table)
    tell_a_story(table.store)
    _, position = read_records(open_shard(table, shard.id), len(STORY))
    stand_in.trim(shard.id)

    with pytest.raises(PositionLost):
        open_shard(table, shard.id, after=position).read()


def test_a_reader_whose_next_records_were_trimmed_has_lost_its_position(sharded: Sharded) -> None:
    stand_in, table = sharded
    reader = table.open_only_shard()
    reader.read()
    tell_a_story(table.store)
    stand_in.trim(list_shards(table)[0].id)

    with pytest.raises(PositionLost):
        reader.read()


def test_a_shard_that_is_gone_has_lost_every_position(sharded: Sharded) -> None:
    _, table = sharded

    with pytest.raises(PositionLost):
        open_shard(table, ShardId("shardId-00000001795408739120-a1b2c3d4")).read()


def test_throttling_passes(sharded: Sharded) -> None:
    stand_in, table = sharded
    job_id = tell_a_story(table.store)
    stand_in.refuse_reads(Refusal.THROTTLED, times=TRIES - 1)

    records, _ = read_records(table.open_only_shard(), len(STORY))

    assert {record.job_id for record in records} == {job_id}


def test_throttling_that_lasts_is_told_and_costs_no_record(sharded: Sharded) -> None:
    stand_in, table = sharded
    job_id = tell_a_story(table.store)
    reader = table.open_only_shard()
    stand_in.refuse_reads(Refusal.THROTTLED, times=TRIES)

    with pytest.raises(Unavailable):
        reader.read()

    records, _ = read_records(reader, len(STORY))
    assert [record.job_id for record in records] == [job_id] * len(STORY)
