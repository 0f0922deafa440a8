"""What a real worker says of a broker that goes, stays away and comes back."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import redis

from tests.stack import Program, RedisServer, clean_environ

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Redis takes any password from its default user.
SECRET = "word-of-the-broker"


class AloneWorker:
    """A worker whose only part is its broker."""

    def __init__(self, folder: Path, form: str) -> None:
        self.redis = RedisServer(folder / "redis")
        self.redis.start()
        self.place = urlsplit(self.redis.url).netloc
        nowhere = "http://127.0.0.1:1"
        self.program = Program(
            (sys.executable, "-m", "workers.worker_entry"),
            environ={
                **clean_environ(),
                "REDIS_URL": f"redis://default:{SECRET}@{self.place}/0",
                "LONGHAUL_BUCKET": "nowhere",
                "LONGHAUL_LOG_FORMAT": form,
                "LONGHAUL_SPOOL_DIR": str(folder / "spool"),
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "x",
                "AWS_SECRET_ACCESS_KEY": "x",
                "AWS_ENDPOINT_URL": nowhere,
            },
            log=folder / "worker.log",
        )
        self.program.wait_for(self._waits_for_tasks, "it waits for tasks")

    def _waits_for_tasks(self) -> bool:
        with redis.Redis.from_url(self.redis.url) as client:
            return any(one["cmd"] == "brpop" for one in client.client_list())

    def close(self) -> None:
        self.program.kill()
        self.redis.kill()

    def lines_of(self, event: str) -> list[str]:
        return [line for line in self.program.output.splitlines() if event in line]

    def lose_its_broker_for_a_while(self) -> None:
        self.redis.kill()
        self.program.wait_for(lambda: len(self.lines_of("broker_away")) > 1, "it has tried twice")
        self.redis.start()
        self.program.wait_for(lambda: self.lines_of("slots_are_shared"), "it is heard again")


@pytest.fixture
def worker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[AloneWorker]:
    alone = AloneWorker(tmp_path, request.param)
    yield alone
    alone.close()


@pytest.mark.parametrize("worker", ["json"], indirect=True)
def test_a_lost_broker_is_one_line_of_json_and_each_try_to_reach_it_another(
    worker: AloneWorker,
) -> None:
    worker.lose_its_broker_for_a_while()

    lines = [json.loads(line) for line in worker.program.output.splitlines()]
    [lost] = [line for line in lines if line["event"] == "broker_disconnected"]
    away = [line for line in lines if line["event"] == "broker_away"]
    assert {line["broker"] for line in (lost, *away)} == {worker.place}
    assert lost["then"] == "connects again; running jobs go on"
    assert away[0]["reason"] == "ConnectionRefusedError: Connection refused"
    assert [line["then"] for line in away[:2]] == [
        "tries again in 2.00 seconds",
        "tries again in 4.00 seconds",
    ]
    assert [line for line in lines if "logger" in line] == []  # Celery says nothing more itself
    assert SECRET not in worker.program.output


@pytest.mark.parametrize("worker", ["console"], indirect=True)
def test_on_a_terminal_it_is_one_line_too(worker: AloneWorker) -> None:
    worker.lose_its_broker_for_a_while()

    assert all(re.match(r"\d{4}-\d\d-\d\dT", line) for line in worker.program.output.splitlines())
    [lost] = worker.lines_of("broker_disconnected")
    assert f"broker={worker.place}" in lost
    assert "then='connects again; running jobs go on'" in lost
    assert "then='tries again in 2.00 seconds'" in worker.lines_of("broker_away")[0]
    assert SECRET not in worker.program.output
