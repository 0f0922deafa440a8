"""What Redis and a worker lose, the sweep finds: real processes, a Redis of the test's own."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis

from tests.stack import LocalStack, Program, RedisServer, System, http, wait_until
from workers.broker import RUN_QUEUE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAITING_JOBS = 300
STOPPED_JOBS = 60
BACK_OFF_SECONDS = 8
AGAIN_WITHIN = 10.0  # seconds after its NotBefore
POLICY = (
    '[{"ErrorEquals": ["Bedrock.ThrottlingException"], "MaxAttempts": 2,'
    f' "IntervalSeconds": {BACK_OFF_SECONDS}}}]'
)


class Place:
    """Stand-ins with a Redis that can be killed by itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        self.redis = RedisServer(self.folder / "redis")
        self.redis.start()
        self._exits.callback(self.redis.kill)
        named = {"REDIS_URL": self.redis.url}
        self.stack = self._exits.enter_context(LocalStack(self.folder / "stack", named=named))
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def run(self, *processes: str, name: str, **settings: str) -> System:
        """Give some of the Procfile's processes, to be entered."""
        return System(self.stack, processes=processes, settings=settings, name=name)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Place(tmp_path) as place:
        yield place


def submit(system: System, faults: str) -> str:
    body = {"prompt": f"Say it. <<stand-in: {faults}>>"}
    job_id: str = http.post(f"{system.url}/v1/jobs", json=body).raise_for_status().json()["id"]
    return job_id


def show(system: System, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = http.get(f"{system.url}/v1/jobs/{job_id}").raise_for_status().json()
    return job


def has(system: System, job_id: str, status: str) -> bool:
    return bool(show(system, job_id)["status"] == status)


def kill_group(program: Program | None) -> None:
    assert program is not None
    program.stop(signal.SIGKILL)


def test_jobs_that_wait_when_redis_is_wiped_all_end(place: Place) -> None:
    with place.run("web", "feed", name="front") as front:
        jobs = [submit(front, "tokens=3") for _ in range(WAITING_JOBS)]
        with redis.Redis.from_url(place.redis.url) as client:
            wait_until(lambda: client.llen(RUN_QUEUE) >= WAITING_JOBS, "all tasks")
            client.flushall()
        with place.run("worker", name="worker"):
            for job_id in jobs:
                wait_until(
                    lambda job_id=job_id: has(front, job_id, "COMPLETED"),  # type: ignore[misc] # mypy infers no lambda with a default
                    f"the end of {job_id}",
                    within=90,
                )

    for job_id in jobs[::20]:
        assert len(place.stack.model_calls(job_id)) == 1


def test_the_timeline_of_a_job_that_no_worker_took_for_long_is_in_order(place: Place) -> None:
    with place.run("web", "feed", name="front") as front:
        job_id = submit(front, "tokens=3")
        wait_until(lambda: "swept" in names_of(steps_of(front, job_id)), "a sweep", within=90)
        with place.run("worker", name="worker"):
            wait_until(lambda: has(front, job_id, "COMPLETED"), "the end")
        steps = steps_of(front, job_id)

    # Two tasks wait for the worker, the feed's and the sweep's: whichever claims, notes its making.
    names = names_of(steps)
    assert names[:2] == ["accepted", "written"]
    assert names.index("seen") < names.index("enqueued") < names.index("claimed")
    assert names.index("swept") < names.index("claimed")
    times = [step["at"] for step in steps]
    assert times == sorted(times)


def steps_of(system: System, job_id: str) -> list[dict[str, Any]]:
    timeline = http.get(f"{system.url}/v1/jobs/{job_id}/timeline").raise_for_status().json()
    steps: list[dict[str, Any]] = timeline["steps"]
    return steps


def names_of(steps: list[dict[str, Any]]) -> list[str]:
    return [step["step"] for step in steps]


def test_a_job_in_back_off_runs_again_though_its_worker_and_redis_are_killed(place: Place) -> None:
    with place.run("web", "feed", name="front", LONGHAUL_RETRY_POLICY=POLICY) as front:
        with place.run("worker", name="first", LONGHAUL_RETRY_POLICY=POLICY) as first:
            job_id = submit(front, "throttle_first=1; tokens=3")
            wait_until(lambda: has(front, job_id, "PENDING_RETRY"), "the back-off")
            kill_group(first.program)
            place.redis.kill()
        place.redis.start()
        with place.run("worker", name="second", LONGHAUL_RETRY_POLICY=POLICY):
            wait_until(lambda: has(front, job_id, "COMPLETED"), "the end", within=60)

    throttled, again = place.stack.model_calls(job_id)
    waited = again["started_at"] - throttled["started_at"]
    assert BACK_OFF_SECONDS <= waited < BACK_OFF_SECONDS + AGAIN_WITHIN


def be_taken_and_held(system: System, worker: Program, client: redis.Redis) -> str | None:
    """Submit a job whose task a frozen worker is handed; None where it was between two looks."""
    signal_all(worker, signal.SIGSTOP)
    before = enqueued(system)
    job_id = submit(system, "tokens=3")
    wait_until(lambda: enqueued(system) > before, "the task")
    if client.llen(RUN_QUEUE) == 0:
        return job_id
    signal_all(worker, signal.SIGCONT)
    wait_until(lambda: has(system, job_id, "COMPLETED"), "the end")
    return None


def enqueued(system: System) -> int:
    return sum(line["tasks"] for line in system.log_lines(event="tasks_enqueued"))


def signal_all(program: Program, number: signal.Signals) -> None:
    for pid in (program.pid, *program.children()):
        os.kill(pid, number)


def test_a_task_that_a_killed_worker_had_taken_and_not_begun_is_found_by_the_sweep(
    place: Place,
) -> None:
    with place.run("web", "feed", name="front") as front:
        client = redis.Redis.from_url(place.redis.url)
        with place.run("worker", name="first") as first, client:
            assert first.program is not None
            taken = (be_taken_and_held(front, first.program, client) for _ in range(20))
            job_id = next(filter(None, taken))
            first.program.kill()
        with place.run("worker", name="second"):
            wait_until(lambda: has(front, job_id, "COMPLETED"), "the end", within=90)

    assert len(front.log_lines(event="job_swept", job_id=job_id)) == 1
    assert len(place.stack.model_calls(job_id)) == 1


def test_workers_that_are_asked_to_end_while_they_take_tasks_lose_none(place: Place) -> None:
    never = {"LONGHAUL_SWEEP_SECONDS": "600"}
    with place.run("web", "feed", name="front", **never) as front:
        jobs = [submit(front, "tokens=3") for _ in range(STOPPED_JOBS)]
        with redis.Redis.from_url(place.redis.url) as client:
            wait_until(lambda: client.llen(RUN_QUEUE) >= STOPPED_JOBS, "all tasks")
            for number in range(3):
                with place.run("worker", name=f"worker-{number}"):
                    left = client.llen(RUN_QUEUE)
                    wait_until(lambda left=left: client.llen(RUN_QUEUE) < max(left, 1), "its first")  # type: ignore[misc] # mypy infers no lambda with a default
        with place.run("worker", name="last"):
            for job_id in jobs:
                wait_until(
                    lambda job_id=job_id: has(front, job_id, "COMPLETED"),  # type: ignore[misc] # mypy infers no lambda with a default
                    f"the end of {job_id}",
                    within=60,
                )

    for job_id in jobs:
        assert len(place.stack.model_calls(job_id)) == 1
