"""Two hundred watchers of one job, who leave and come back on two web processes at random."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.free_ports import free_base
from tests.integration.test_main_path import directive, ended, result_of, submit
from tests.stack import BIN, Program, answers, clean_environ
from tests.watching import Follower

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import LocalStack, System

WATCHERS = 200
RETURNS = 5
JOB_SECONDS = 12
WITHIN = 90.0
SEED = random.SystemRandom().randrange(2**32)


@contextmanager
def second_web(stand_ins: LocalStack, folder: Path) -> Iterator[str]:
    """Run one more web process beside the system's own, and give its address."""
    port = free_base(1)
    program = Program(
        (f"{BIN}/gunicorn", "--config", "web/gunicorn.py", "web.entry:app"),
        environ={**clean_environ(), **stand_ins.environ, "PORT": str(port)},
        log=folder / "web-2.log",
    )
    url = f"http://127.0.0.1:{port}"
    try:
        program.wait_for(lambda: answers(f"{url}/readyz"), "the second web process is ready")
        yield url
    finally:
        program.kill()


async def watch(job_id: str, urls: list[str], chance: random.Random) -> Follower:
    """Follow a job to its end, leaving and coming back at random moments."""
    follower = Follower()
    returns = RETURNS
    while follower.end is None:
        stays = chance.uniform(0.2, JOB_SECONDS / RETURNS) if returns else WITHIN
        returns = max(0, returns - 1)
        try:
            async with (
                asyncio.timeout(stays),
                connect(
                    chance.choice(urls).replace("http", "ws", 1) + "/v1/ws",
                    compression=None,
                    proxy=None,
                ) as socket,
            ):
                await socket.send(follower.subscription(job_id))
                # Until then it may hear the state events of all its user's jobs.
                while json.loads(await socket.recv())["type"] != "subscribed":
                    pass
                while follower.end is None:
                    follower.take(json.loads(await socket.recv()))
        except (TimeoutError, OSError, WebSocketException):
            continue
    return follower


async def watch_all(job_id: str, urls: list[str]) -> list[Follower]:
    async with asyncio.timeout(WITHIN):
        return await asyncio.gather(
            *(watch(job_id, urls, random.Random(f"{SEED} {n}")) for n in range(WATCHERS))  # noqa: S311 - replayable
        )


def test_all_who_leave_and_come_back_end_with_the_exact_result(
    system: System, stand_ins: LocalStack, tmp_path: Path
) -> None:
    sys.stdout.write(f"seed {SEED}\n")
    with second_web(stand_ins, tmp_path) as url:
        faults = f"tokens=200; duration_s={JOB_SECONDS}; first_token_s=0.5"
        job_id = submit(system, directive(faults))["id"]
        followers = asyncio.run(watch_all(job_id, [system.url, url]))

    ended(system, job_id)
    result = result_of(system, job_id)
    assert {follower.end for follower in followers} == {"job.completed"}
    assert {follower.text for follower in followers} == {result}
    assert {follower.gaps for follower in followers} == {0}
    whole = [1, *range(1_000_001, followers[0].last + 1)]
    assert {tuple(follower.numbers) for follower in followers} == {tuple(whole)}
