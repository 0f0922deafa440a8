from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.shards import (
    LATEST,
    Checkpoint,
    Position,
    Shard,
    ShardId,
    begun_at_the_end,
    readable,
)

ENDED = Checkpoint(position=Position("9"), ended=True)
A, B, C = ShardId("a"), ShardId("b"), ShardId("c")


@st.composite
def shard_trees(draw: st.DrawFn) -> list[Shard]:
    """Forests: each shard's parent is an earlier one, one that is gone, or none."""
    count = draw(st.integers(1, 12))
    shards: list[Shard] = []
    for index in range(count):
        choices: list[ShardId | None] = [None, ShardId("gone"), *[s.id for s in shards]]
        parent = draw(st.sampled_from(choices))
        shards.append(Shard(id=ShardId(f"shard-{index}"), parent=parent))
    return draw(st.permutations(shards))


def test_a_fresh_reader_starts_with_the_shards_that_have_no_parent() -> None:
    shards = [Shard(id=B, parent=A), Shard(id=A), Shard(id=C)]

    assert readable(shards, {}) == [(Shard(id=A), Checkpoint()), (Shard(id=C), Checkpoint())]


def test_a_child_is_read_from_its_beginning_once_its_parent_has_ended() -> None:
    shards = [Shard(id=A), Shard(id=B, parent=A), Shard(id=C, parent=A)]

    assert readable(shards, {A: ENDED}) == [
        (shards[1], Checkpoint()),
        (shards[2], Checkpoint()),
    ]


def test_a_parent_that_has_been_read_but_not_to_its_end_holds_its_children_back() -> None:
    shards = [Shard(id=A), Shard(id=B, parent=A)]
    somewhere = Checkpoint(position=Position("3"))

    assert readable(shards, {A: somewhere}) == [(shards[0], somewhere)]


def test_a_parent_that_is_gone_from_the_stream_holds_nobody_back() -> None:
    assert readable([Shard(id=B, parent=A)], {}) == [(Shard(id=B, parent=A), Checkpoint())]


def test_a_shard_goes_on_at_its_checkpoint() -> None:
    somewhere = Checkpoint(position=Position("3"))

    assert readable([Shard(id=A)], {A: somewhere}) == [(Shard(id=A), somewhere)]


def test_a_shard_that_has_ended_is_not_read_again() -> None:
    assert readable([Shard(id=A)], {A: ENDED}) == []


def test_no_shards_are_nothing_to_read() -> None:
    assert readable([], {A: ENDED}) == []


@settings(deadline=None)
@given(shards=shard_trees(), data=st.data())
def test_parents_are_read_before_children_and_everything_gets_read(
    shards: list[Shard], data: st.DataObject
) -> None:
    present = {shard.id for shard in shards}
    checkpoints: dict[ShardId, Checkpoint] = {}
    ended: set[ShardId] = set()

    while now := readable(shards, checkpoints):
        for shard, checkpoint in now:
            assert shard.id not in ended
            assert checkpoint == checkpoints.get(shard.id, Checkpoint())
            assert shard.parent in {None, *ended} or shard.parent not in present
        closing = data.draw(st.sampled_from([shard for shard, _ in now]))
        checkpoints[closing.id] = Checkpoint(position=Position("1"), ended=True)
        ended.add(closing.id)

    assert ended == present


@settings(deadline=None)
@given(shards=shard_trees())
def test_a_stream_begun_at_its_end_is_read_at_the_ends_of_its_newest_shards(
    shards: list[Shard],
) -> None:
    checkpoints = dict(begun_at_the_end(shards))

    now = readable(shards, checkpoints)

    parents = {shard.parent for shard in shards}
    assert {shard.id for shard, _ in now} == {shard.id for shard in shards} - parents
    assert all(checkpoint == Checkpoint(position=LATEST) for _, checkpoint in now)


def test_what_comes_after_a_stream_was_begun_at_its_end_is_read_from_its_beginning() -> None:
    checkpoints = dict(begun_at_the_end([Shard(id=A)])) | {A: ENDED}

    assert readable([Shard(id=A), Shard(id=B, parent=A)], checkpoints) == [
        (Shard(id=B, parent=A), Checkpoint())
    ]
