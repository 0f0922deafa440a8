"""What Redis and a worker lose, the sweep finds: real processes, a Redis of the test's own."""

from __future__ import annotations

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

    names = names_of(steps)
    assert names[:4] == ["accepted", "written", "seen", "enqueued"]
    assert names.index("enqueued") < names.index("swept") < names.index("claimed")
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
