import threading
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from adapters.local_slots import LocalSlots
from adapters.memory import ManualClock, MemoryTaskQueue
from jobs.job import Job, JobId, JobStatus, UserId
from jobs.slots import Slot, Turns, Use
from jobs.task import Task
from tests.builders import (
    NOW,
    Answer,
    HeldTimers,
    RecordingLog,
    ScriptedModel,
    a_job,
    a_task,
    claim_terms,
    run_parts,
    store_away,
    throttled,
)
from tests.stack import wait_until
from workers.desk import Desk
from workers.turnstile import Turnstile

LATER = NOW + timedelta(minutes=5)


class NotedSlots(LocalSlots):
    """Slots that note what became of them, and can break."""

    def __init__(self, *, capacity: int = 100, share: float = 1.0) -> None:
        super().__init__(capacity=capacity, share=share)
        self.uses: list[Use] = []
        self.kept: list[int] = []
        self.breaks = 0

    def give_back(self, slot: Slot, use: Use) -> None:
        self.uses.append(use)
        super().give_back(slot, use)

    def call_up(self, most: int) -> Turns:
        if self.breaks:
            self.breaks -= 1
            raise RuntimeError("broken (test)")
        return super().call_up(most)

    def keep(self, slots: object) -> None:
        self.kept.append(len(cast("list[Slot]", slots)))


class Worker:
    """A turnstile before a desk on in-memory parts."""

    def __init__(
        self, *answers: Answer | Exception, room: int = 10, slots: NotedSlots | None = None
    ) -> None:
        self.log = RecordingLog()
        self.model = ScriptedModel(*answers)
        self.parts = run_parts(model=self.model, log=self.log)
        self.queue = MemoryTaskQueue()
        self.timers = HeldTimers(cast("ManualClock", self.parts.clock), self.log)
        self.desk = Desk(parts=self.parts, queue=self.queue, timers=self.timers)
        self.slots = slots or NotedSlots()
        self.turnstile = Turnstile(desk=self.desk, slots=self.slots, room=room, log=self.log)

    def add(self, number: int = 0, user: str = "ada") -> Task:
        job = a_job(id=JobId(f"job_{number:026d}"), user=UserId(user))
        self.parts.store.add(job)
        return a_task(job)

    def job(self, task: Task) -> Job:
        return self.parts.store.get(task.job_id)

    def end(self) -> None:
        self.turnstile.close()
        self.turnstile.wait_until_empty()


class Gate:
    """A model's answer that waits until the gate is open."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.waiting = threading.Semaphore(0)

    def answer(self) -> Answer:
        return Answer(before_piece=lambda index: self._pass() if index == 0 else None)

    def open(self) -> None:
        self._open.set()

    def _pass(self) -> None:
        self.waiting.release()
        assert self._open.wait(10)


def test_a_task_for_which_there_is_room_runs_its_job() -> None:
    worker = Worker(Answer())
    task = worker.add()

    worker.turnstile.enter(task)
    worker.end()

    assert worker.job(task).status is JobStatus.COMPLETED
    assert worker.slots.uses == [Use.CALLED]


def test_a_job_that_was_throttled_says_so_to_the_limiter() -> None:
    worker = Worker(throttled())
    task = worker.add()

    worker.turnstile.enter(task)
    worker.end()

    assert worker.job(task).status is JobStatus.PENDING_RETRY
    assert worker.slots.uses == [Use.THROTTLED]


def test_a_task_whose_claim_is_refused_has_used_no_slot() -> None:
    worker = Worker()
    task = worker.add()
    worker.parts.store.claim(task.job_id, claim_terms(token="other"))

    worker.turnstile.enter(task)
    worker.end()

    assert worker.slots.uses == [Use.UNUSED]


def test_a_task_that_comes_early_waits_without_a_slot() -> None:
    worker = Worker()
    task = replace(worker.add(), not_before=LATER)

    worker.turnstile.enter(task)
    worker.end()

    assert worker.slots.uses == []
    assert [at for at, _ in worker.timers.held] == [LATER]


def test_no_more_jobs_run_than_there_is_room_for_and_the_rest_follow() -> None:
    gate = Gate()
    worker = Worker(*[gate.answer() for _ in range(5)], room=2)
    tasks = [worker.add(n) for n in range(5)]
    worker.turnstile.start()

    for task in tasks:
        worker.turnstile.enter(task)
    for _ in range(2):
        assert gate.waiting.acquire(timeout=10)
    assert len(worker.model.invocations) == 2

    gate.open()
    wait_until(lambda: len(worker.slots.uses) == 5, "all five")
    worker.end()
    assert {worker.job(task).status for task in tasks} == {JobStatus.COMPLETED}


def test_who_waits_for_room_is_called_up_as_soon_as_a_job_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.turnstile._EMPTY_SECONDS", 60.0)
    gate = Gate()
    worker = Worker(gate.answer(), Answer(), room=1)
    worker.turnstile.enter(worker.add(0))
    worker.turnstile.start()  # finds no room, which says nothing of the line
    worker.turnstile.enter(worker.add(1))

    gate.open()

    wait_until(lambda: len(worker.slots.uses) == 2, "the one that waited")
    worker.end()


def test_another_users_job_does_not_wait_behind_a_crowd() -> None:
    gate = Gate()
    worker = Worker(
        *[gate.answer() for _ in range(6)], room=4, slots=NotedSlots(capacity=4, share=0.75)
    )
    worker.turnstile.start()
    for n in range(5):
        worker.turnstile.enter(worker.add(n))
    for _ in range(3):
        assert gate.waiting.acquire(timeout=10)

    single = worker.add(9, user="bob")
    worker.turnstile.enter(single)

    assert gate.waiting.acquire(timeout=10)
    assert worker.model.invocations[-1].job == single.job_id
    gate.open()
    wait_until(lambda: len(worker.slots.uses) == 6, "all six")
    worker.end()


def test_a_task_that_comes_while_the_worker_drains_goes_to_another() -> None:
    worker = Worker()
    task = worker.add()
    worker.turnstile.close()
    worker.desk.hand_over_parked()

    worker.turnstile.enter(task)

    assert [sent.job_id for sent in worker.queue.tasks] == [task.job_id]
    worker.end()


def test_a_limiter_that_breaks_delays_and_loses_nobody() -> None:
    slots = NotedSlots()
    slots.breaks = 1
    worker = Worker(Answer(), slots=slots)
    task = worker.add()
    slots.ask(task, has_room=False)

    worker.turnstile.start()
    wait_until(lambda: slots.uses, "the job to run")
    worker.end()

    assert worker.job(task).status is JobStatus.COMPLETED
    assert worker.log.count("turnstile_broke") == 1


@pytest.mark.parametrize("error", [store_away(), RuntimeError("broken (test)")])
def test_room_is_given_back_whatever_becomes_of_a_job(error: Exception) -> None:
    worker = Worker(error, Answer(), room=1)
    first, second = worker.add(0), worker.add(1)
    worker.turnstile.start()

    worker.turnstile.enter(first)
    wait_until(lambda: len(worker.slots.uses) == 1, "the first to end")
    worker.turnstile.enter(second)
    wait_until(lambda: len(worker.slots.uses) == 2, "the second to end")
    worker.end()

    assert worker.job(second).status is JobStatus.COMPLETED


def test_slots_in_use_are_kept_from_the_beginning() -> None:
    worker = Worker()

    worker.turnstile.start()
    wait_until(lambda: worker.slots.kept, "the first word")

    assert worker.slots.kept == [0]
    worker.end()
