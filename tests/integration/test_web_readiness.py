"""What is away from a web process that still accepts jobs does not take it out of service."""

from __future__ import annotations

import json
import random
import sys
from typing import TYPE_CHECKING, Any

import pytest

from adapters.checks_processes import look_at_web
from jobs.checkup import State
from tests.faults.proxy import DYNAMODB, S3, FaultProxy, Mode, Rule
from tests.free_ports import free_base
from tests.stack import (
    LocalStack,
    Program,
    RedisServer,
    answers,
    clean_environ,
    http,
    wait_until,
)
from tests.web_by_itself import WebByItself

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READY = {"store": "ready", "objects": "ready", "events": "ready"}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def stack(redis: RedisServer, tmp_path: Path) -> Iterator[LocalStack]:
    with LocalStack(tmp_path / "stack", named={"REDIS_URL": redis.url}) as stack:
        yield stack


def ask(web: WebByItself) -> tuple[int, dict[str, Any]]:
    answer = http.get(f"{web.url}/readyz", timeout=30)
    return answer.status_code, answer.json()


def submit(web: WebByItself) -> int:
    return http.post(f"{web.url}/v1/jobs", json={"prompt": "Wait."}, timeout=30).status_code


def test_web_stays_in_service_while_redis_hangs_or_is_gone(
    redis: RedisServer, stack: LocalStack, tmp_path: Path
) -> None:
    web = WebByItself(stack, tmp_path)
    web.start()
    try:
        assert ask(web) == (200, {"status": "ready", "parts": READY})

        redis.freeze()
        hung, accepted = ask(web), submit(web)
        [told] = look_at_web(web.url, is_named=True)()
        redis.thaw()
        redis.kill()
        gone, accepted_still = ask(web), submit(web)
    finally:
        web.kill()

    assert hung == (200, {"status": "degraded", "parts": {**READY, "events": "silent"}})
    assert gone == (200, {"status": "degraded", "parts": {**READY, "events": "unavailable"}})
    assert (accepted, accepted_still) == (202, 202)
    assert (told.state, "takes requests: events is " in told.told) == (State.WARN, True)


def test_web_leaves_service_while_its_store_is_away_and_comes_back(
    stack: LocalStack, tmp_path: Path
) -> None:
    no_store, no_objects = (
        Rule(mode=Mode.REFUSE, kinds=frozenset({part})) for part in (DYNAMODB, S3)
    )
    chance = random.Random(0)  # noqa: S311 - every request is refused, or none
    with FaultProxy(stack.environ["AWS_ENDPOINT_URL_DYNAMODB"], chance=chance) as proxy:
        named = {"AWS_ENDPOINT_URL_DYNAMODB": proxy.url, "AWS_ENDPOINT_URL_S3": proxy.url}
        web = WebByItself(stack, tmp_path, **named)
        web.start()
        try:
            proxy.add(no_objects)
            without_objects, accepted = ask(web), submit(web)
            proxy.add(no_store)
            without_store = ask(web)
            proxy.remove(no_store)
            wait_until(lambda: answers(f"{web.url}/readyz"), "web is in service again")
        finally:
            web.kill()

    assert (without_objects[0], without_objects[1]["status"], accepted) == (200, "degraded", 202)
    assert (without_store[0], without_store[1]["status"]) == (503, "not_ready")


def test_web_says_at_its_start_that_a_table_is_missing(stack: LocalStack, tmp_path: Path) -> None:
    environ = {
        **clean_environ(),
        **stack.environ,
        "PORT": str(free_base(1)),
        "LONGHAUL_TABLE": "Elsewhere",
        "LONGHAUL_LOG_FORMAT": "json",
    }
    program = Program(
        (sys.executable, "-m", "web.serve"), environ=environ, log=tmp_path / "web.log"
    )
    try:
        program.wait_for(lambda: "started_without" in program.output, "it is told")
        answer = http.get(f"http://127.0.0.1:{environ['PORT']}/readyz", timeout=30)
    finally:
        program.stop()

    assert answer.status_code == 503
    [line] = [line for line in program.output.splitlines() if "started_without" in line]
    told = json.loads(line)
    assert (told["level"], told["role"], told["part"]) == ("warning", "web", "store")
    assert told["reason"].startswith("there is no table Elsewhere: ")
    assert "longhaul bootstrap" in told["reason"]
