"""jobs.slots.Slots, in one process and in Redis: each promise of their docstrings."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import pytest

from adapters.local_slots import LocalSlots
from adapters.redis_events import connect_redis
from adapters.redis_lines import RedisLines
from adapters.redis_slots import RedisSlots
from jobs.job import JobId, ModelId, UserId
from jobs.slots import Slot, Turn, Turns, Use
from jobs.task import Task
from tests.builders import RecordingLog, a_job
from tests.contracts.stories import START, a_trace, after, new_id
from tests.stack import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

    from jobs.slots import Lines, Slots
    from tests.stack import LocalStack

ROOM = 10
NOVA = ModelId("amazon.nova-lite-v1:0")
ADA, BOB = UserId("ada"), UserId("bob")


@dataclass(frozen=True, kw_only=True)
class WaitingRoom:
    """Slots, and who looks at their lines from outside."""

    slots: Slots
    lines: Lines


class Gate(Protocol):
    """Opens slots of which one user may have so many."""

    def __call__(self, *, share: float = 1.0) -> Slots: ...


@pytest.fixture
def in_redis(stand_ins: LocalStack) -> Iterator[Gate]:
    client = connect_redis(stand_ins.redis_url, connections=4)
    root = f"test:{secrets.token_hex(6)}"

    def open_slots(*, share: float = 1.0) -> Slots:
        return redis_slots(client, root=root, share=share)

    yield open_slots
    client.close()


def redis_slots(
    client: redis.Redis,
    *,
    root: str,
    share: float = 1.0,
    worker: str = "worker@test:1",
    heard: Callable[[ModelId, float], object] = lambda *_: None,
) -> RedisSlots:
    slots = RedisSlots(
        client,
        worker=worker,
        room=ROOM,
        share=share,
        log=RecordingLog(),
        heard=heard,
        root=root,
    )
    slots.keep([])
    return slots


@pytest.fixture(params=["local", "redis"])
def gate(request: pytest.FixtureRequest) -> Gate:
    if request.param == "redis":
        opened: Gate = request.getfixturevalue("in_redis")
        return opened
    return lambda *, share=1.0: LocalSlots(capacity=ROOM, share=share)


@pytest.fixture(params=["local", "redis"])
def waiting_room(request: pytest.FixtureRequest, stand_ins: LocalStack) -> Iterator[WaitingRoom]:
    if request.param == "local":
        local = LocalSlots(capacity=ROOM, share=1)
        yield WaitingRoom(slots=local, lines=local)
        return
    client = connect_redis(stand_ins.redis_url, connections=4)
    root = f"test:{secrets.token_hex(6)}"
    yield WaitingRoom(slots=redis_slots(client, root=root), lines=RedisLines(client, root=root))
    client.close()


def a_task(user: UserId = ADA, model: ModelId = NOVA, **changes: object) -> Task:
    task = Task(
        job_id=new_id(),
        user=user,
        model=model,
        trace=a_trace(),
        seen_at=START,
        enqueued_at=after(0.5),
        by="feed@test:1",
    )
    return replace(task, **changes)  # type: ignore[arg-type] # a Task's own fields


def ask(slots: Slots, task: Task) -> Slot:
    slot = slots.ask(task, has_room=True)
    assert slot is not None
    return slot


def throttle(slots: Slots, *, calls: int = 30) -> None:
    """Let a model take some calls and throttle one more."""
    given = [ask(slots, a_task()) for _ in range(ROOM)]
    for _ in range(calls - ROOM):
        slots.give_back(given.pop(0), Use.CALLED)
        given.append(ask(slots, a_task()))
    for slot in given[1:]:
        slots.give_back(slot, Use.CALLED)
    slots.give_back(given[0], Use.THROTTLED)


@dataclass
class CalledUp:
    """Who has been called up, one look after another."""

    slots: Slots
    turns: list[Turn] = field(default_factory=list)

    def look(self, most: int = 100) -> Turns:
        called = self.slots.call_up(most)
        self.turns += called.turns
        return called

    def has(self, count: int) -> bool:
        self.look()
        return len(self.turns) >= count

    def until(self, count: int) -> list[Turn]:
        wait_until(lambda: self.has(count), f"{count} turns")
        return self.turns

    @property
    def jobs(self) -> list[JobId]:
        return [turn.task.job_id for turn in self.turns]


def test_where_there_is_room_for_all_everyone_gets_a_slot_at_once(gate: Gate) -> None:
    slots = gate()
    task = a_task()

    slot = ask(slots, task)

    assert (slot.job_id, slot.user, slot.model) == (task.job_id, ADA, NOVA)
    assert slots.call_up(10) == Turns(turns=(), again_in=None)


def test_without_room_in_the_worker_the_task_waits_in_line_for_any(gate: Gate) -> None:
    slots = gate()
    task = a_task(not_before=after(3))

    assert slots.ask(task, has_room=False) is None

    (turn,) = CalledUp(slots).until(1)
    assert turn.task == task
    assert turn.slot.job_id == task.job_id
    assert slots.call_up(10) == Turns(turns=(), again_in=None)


def test_a_user_at_the_ceiling_waits_and_others_do_not(gate: Gate) -> None:
    slots = gate(share=0.5)
    given = [ask(slots, a_task()) for _ in range(ROOM // 2)]
    waiting = a_task()

    assert slots.ask(waiting, has_room=True) is None
    assert slots.call_up(10).turns == ()
    assert slots.call_up(10).again_in is not None
    ask(slots, a_task(BOB))

    slots.give_back(given[0], Use.CALLED)
    called = CalledUp(slots)
    called.until(1)
    assert called.jobs == [waiting.job_id]


def test_users_take_turns_and_each_ones_tasks_keep_their_order(gate: Gate) -> None:
    slots = gate()
    of_ada = [a_task() for _ in range(3)]
    of_bob = a_task(BOB)
    for task in (*of_ada, of_bob):
        assert slots.ask(task, has_room=False) is None

    called = CalledUp(slots)
    called.until(4)

    assert called.jobs == [of_ada[0].job_id, of_bob.job_id, of_ada[1].job_id, of_ada[2].job_id]


def test_a_user_who_waits_does_not_overtake_themselves(gate: Gate) -> None:
    slots = gate()
    first, second = a_task(), a_task()
    slots.ask(first, has_room=False)

    assert slots.ask(second, has_room=True) is None

    called = CalledUp(slots)
    called.until(2)
    assert called.jobs == [first.job_id, second.job_id]


def test_a_job_stands_in_line_once(gate: Gate) -> None:
    slots = gate()
    task = a_task()
    for _ in range(3):
        assert slots.ask(task, has_room=False) is None

    called = CalledUp(slots)
    called.until(1)

    assert slots.call_up(10).turns == ()


def test_no_more_are_called_up_than_there_is_room_for(gate: Gate) -> None:
    slots = gate()
    for _ in range(3):
        slots.ask(a_task(), has_room=False)

    assert len(slots.call_up(2).turns) == 2
    assert len(slots.call_up(2).turns) == 1
    assert slots.call_up(2) == Turns(turns=(), again_in=None)


def test_a_model_that_throttles_is_called_more_slowly(gate: Gate) -> None:
    slots = gate()
    throttle(slots)

    waiting = [a_task() for _ in range(20)]
    asked = [slots.ask(task, has_room=True) for task in waiting]

    assert None in asked
    again_in = slots.call_up(10).again_in
    assert again_in is not None
    assert again_in.total_seconds() <= 30
    called = CalledUp(slots)
    called.until(1)
    assert called.jobs[0] in {task.job_id for task in waiting}


def test_one_model_that_throttles_does_not_slow_down_another(gate: Gate) -> None:
    slots = gate()
    throttle(slots)
    while slots.ask(a_task(), has_room=True) is not None:
        pass

    ask(slots, a_task(BOB, ModelId("anthropic.claude")))


def test_a_slot_that_was_not_used_costs_the_pace_nothing(gate: Gate) -> None:
    slots = gate(share=0.5)
    throttle_with = [ask(slots, a_task(BOB)) for _ in range(2)]
    slots.give_back(throttle_with[0], Use.CALLED)
    slots.give_back(throttle_with[1], Use.THROTTLED)
    called = CalledUp(slots)
    slots.ask(a_task(), has_room=False)
    (turn,) = called.until(1)
    slots.ask(a_task(), has_room=False)
    assert called.look().turns == ()  # a call a second at most, and one has begun

    slots.give_back(turn.slot, Use.UNUSED)

    assert len(called.look().turns) == 1


@pytest.mark.parametrize("user", ["a:b", "", "ü ☃", "7:longhaul"])
@pytest.mark.parametrize("model", ["m", "arn:aws:bedrock:eu-west-1::foundation-model/x", "a:1:b"])
def test_names_may_hold_anything(gate: Gate, user: str, model: str) -> None:
    slots = gate()
    task = a_task(UserId(user), ModelId(model))
    slots.ask(task, has_room=False)

    (turn,) = CalledUp(slots).until(1)
    slots.give_back(turn.slot, Use.CALLED)

    assert turn.task == task


def test_slots_of_a_worker_that_is_gone_lapse_and_those_in_use_do_not(
    stand_ins: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.redis_slots.KEPT_SECONDS", 1)
    with connect_redis(stand_ins.redis_url, connections=2) as client:
        slots = redis_slots(client, root=f"test:{secrets.token_hex(6)}", share=0.2)
        kept, left = ask(slots, a_task()), ask(slots, a_task())
        waiting = [a_task(), a_task()]
        for task in waiting:
            assert slots.ask(task, has_room=True) is None
        called = CalledUp(slots)

        def one_was_called() -> bool:
            slots.keep([kept])
            called.look()
            return bool(called.turns)

        wait_until(one_was_called, "the slot of a worker that is gone")

        assert left is not kept
        assert called.jobs == [waiting[0].job_id]


def test_all_workers_share_one_line_and_one_ceiling(stand_ins: LocalStack) -> None:
    root = f"test:{secrets.token_hex(6)}"
    with connect_redis(stand_ins.redis_url, connections=2) as client:
        first = redis_slots(client, root=root, share=0.5, worker="worker@test:1")
        second = redis_slots(client, root=root, share=0.5, worker="worker@test:2")
        given = [ask(first if n % 2 else second, a_task()) for n in range(ROOM)]

        assert first.ask(a_task(), has_room=True) is None
        assert second.call_up(10).turns == ()
        first.give_back(given[0], Use.CALLED)
        assert len(second.call_up(10).turns) == 1

        second.leave()  # with its room goes half of the ceiling
        first.give_back(given[1], Use.CALLED)
        assert first.ask(a_task(), has_room=True) is None


def test_workers_hear_their_part_of_the_pace(stand_ins: LocalStack) -> None:
    root, heard = f"test:{secrets.token_hex(6)}", dict[ModelId, float]()
    with connect_redis(stand_ins.redis_url, connections=2) as client:
        slots = redis_slots(client, root=root, heard=heard.__setitem__)
        redis_slots(client, root=root, worker="worker@test:2")
        throttle(slots)
        slots.ask(a_task(), has_room=False)

        slots.keep([])

        rate = float(client.hget(f"{root}:pace:{len(NOVA)}:{NOVA}", "rate") or 0)
        assert heard == {NOVA: pytest.approx(rate / 2)}


def test_a_line_with_garbage_in_it_moves_on(stand_ins: LocalStack) -> None:
    root = f"test:{secrets.token_hex(6)}"
    with connect_redis(stand_ins.redis_url, connections=2) as client:
        slots = redis_slots(client, root=root)
        bad, good = a_task(), a_task()
        slots.ask(bad, has_room=False)
        slots.ask(good, has_room=False)
        [tasks] = client.keys(f"{root}:tasks*")
        client.hset(tasks, bad.job_id, "{")

        called = CalledUp(slots)
        called.until(1)

        assert called.jobs == [good.job_id]


@pytest.mark.parametrize("model", [NOVA, ModelId("modèle: 1")])
def test_who_stands_in_line_is_seen_from_outside_until_the_turn_has_come(
    waiting_room: WaitingRoom, model: ModelId
) -> None:
    slots, lines = waiting_room.slots, waiting_room.lines
    jobs = [a_job(id=new_id(), user=ADA, model=model) for _ in range(3)]
    for job in jobs[:2]:
        assert slots.ask(a_task(job_id=job.id, model=model), has_room=False) is None

    assert lines.standing(jobs) == {jobs[0].id, jobs[1].id}
    assert lines.standing([]) == frozenset()

    [turn] = slots.call_up(1).turns
    assert turn.task.job_id == jobs[0].id
    assert lines.standing(jobs) == {jobs[1].id}
