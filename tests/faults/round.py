"""One round: the stack, the fleet, the load, the faults; then the evidence and the verdict."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.faults import evidence as collect
from tests.faults.breaker import TABLE, Breaker
from tests.faults.excuses import DRAIN, LEASE
from tests.faults.fleet import Fleet
from tests.faults.load import LONGEST_JOB, Load, plan_jobs
from tests.faults.proxy import FaultProxy
from tests.faults.report import Numbers, Report
from tests.faults.schedule import DIRECTIONS, MEMBERS, FaultKind, Spacing, plan_faults
from tests.faults.verdict import judge
from tests.faults.watchers import Watcher
from tests.free_ports import free_base
from tests.stack import BIN, Clients, LocalStack, RedisServer, clean_environ, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.faults.evidence import Evidence
    from tests.faults.load import JobPlan

ENDS_WITHIN = 120.0  # after the last fault and the last job
LOOK_AGAIN = 1.0
WATCHERS = 4
WATCHED = 3  # every third job
TOLD_WITHIN = 10.0
QUIET_WITHIN = 30.0
SETTINGS = {
    "LONGHAUL_LEASE_SECONDS": f"{LEASE:g}",
    "LONGHAUL_SWEEP_SECONDS": "1",
    "LONGHAUL_DRAIN_SECONDS": f"{DRAIN:g}",
    "LONGHAUL_PATIENCE_SECONDS": "60",
    "LONGHAUL_LOG_FORMAT": "json",
}
THROUGH_THE_PROXY = (
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_DYNAMODB_STREAMS",
    "AWS_ENDPOINT_URL_S3",
)


@dataclass(frozen=True, kw_only=True)
class RoundPlan:
    """All that decides a round."""

    seed: int
    jobs: int
    kinds: tuple[FaultKind, ...] = tuple(FaultKind)
    storms: int = 4
    longest_job: float = LONGEST_JOB
    spacing: Spacing = field(default_factory=Spacing)

    @property
    def replay(self) -> str:
        """The command that runs the same round."""
        only = f" --only {','.join(self.kinds)}" if len(self.kinds) < len(FaultKind) else ""
        return (
            f"python -m tests.faults --jobs {self.jobs} --seed {self.seed} --storms {self.storms}"
            f" --longest-job {self.longest_job:g}"
            f" --gap {self.spacing.least:g} {self.spacing.most:g}{only}"
        )


@dataclass(kw_only=True)
class World:
    """What a round runs on."""

    stack: LocalStack
    redis: RedisServer
    proxy: FaultProxy
    fleet: Fleet
    clients: Clients


def run_round(plan: RoundPlan, folder: Path, tell: Callable[[str], object] = print) -> Report:
    """Run a round and judge it; everything that was started has ended when it returns."""
    began = time.monotonic()
    faults = plan_faults(plan.seed, kinds=plan.kinds, storms=plan.storms, spacing=plan.spacing)
    over = max(fault.ends for fault in faults)
    jobs = plan_jobs(plan.seed, plan.jobs, over=over, longest=plan.longest_job)
    with open_world(plan, folder) as world, watching(world) as watchers:
        tell(f"seed {plan.seed}: {plan.jobs} jobs and {len(faults)} faults in {over:.0f} s")
        load = Load(urls=world.fleet.urls, plans=jobs, on_accepted=_watch_some(watchers))
        breaker = Breaker(
            seed=plan.seed,
            fleet=world.fleet,
            proxy=world.proxy,
            redis=world.redis,
            redis_folder=folder / "redis" / "redis",
            clients=world.clients,
            known_jobs=lambda: list(load.accepted.values()),
            tell=tell,
        )
        begin = time.monotonic()
        loading = threading.Thread(target=load.run, args=(begin,), name="load")
        loading.start()
        breaker.run(faults, begin)
        loading.join()
        quiet_since = time.monotonic()
        _wait_for_all_ends(world)
        ended_after = time.monotonic() - quiet_since
        told_on_asking = _tell_all(watchers)
        evidence = _gather(world, load, breaker, watchers)
    return Report(
        seed=plan.seed,
        replay=plan.replay,
        folder=folder,
        evidence=evidence,
        findings=judge(evidence),
        broken_faults=breaker.errors,
        numbers=Numbers(
            seconds=time.monotonic() - began,
            ended_after_last_fault=ended_after,
            ends_within=ENDS_WITHIN,
            answers=load.answers,
            given_up=len(load.given_up),
            slowest_refusal=load.slowest_refusal,
            struck=world.proxy.struck,
            connections=sum(watcher.connections for watcher in watchers),
            events=sum(len(watcher.sights) for watcher in watchers),
            told_on_asking=told_on_asking,
        ),
    )


@contextmanager
def open_world(plan: RoundPlan, folder: Path) -> Iterator[World]:
    """Start the stand-ins, Redis, the proxy and the fleet, and end them all."""
    with ExitStack() as exits:
        redis = RedisServer(folder / "redis")
        exits.callback(redis.kill)
        redis.start()
        stack = exits.enter_context(LocalStack(folder / "stack", named={"REDIS_URL": redis.url}))
        proxy = exits.enter_context(
            FaultProxy(
                stack.environ["AWS_ENDPOINT_URL_DYNAMODB"],
                chance=random.Random(f"proxy {plan.seed}"),  # noqa: S311 - guards no secret
            )
        )
        clients = Clients.of(stack.environ)
        exits.callback(clients.close)
        base = free_base(MEMBERS)
        fleet = exits.enter_context(
            Fleet(
                environ_of_fleet(stack, proxy),
                ports=tuple(range(base, base + MEMBERS)),
                logs=folder / "logs",
                each=MEMBERS,
                clocks=folder / "clocks" if DIRECTIONS.keys() & set(plan.kinds) else None,
            )
        )
        yield World(stack=stack, redis=redis, proxy=proxy, fleet=fleet, clients=clients)


def environ_of_fleet(stack: LocalStack, proxy: FaultProxy) -> Mapping[str, str]:
    """Name every part, so that the Procfile's commands run at once; stores behind the proxy."""
    return {
        **clean_environ(),
        **stack.environ,
        **dict.fromkeys(THROUGH_THE_PROXY, proxy.url),
        **SETTINGS,
        "LONGHAUL_SPOOL_DIR": str(stack.folder / "spool"),
        "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": sys.prefix,
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def watching(world: World) -> Iterator[list[Watcher]]:
    """Let the watchers watch."""
    watchers = [Watcher(number, world.fleet.urls) for number in range(WATCHERS)]
    for watcher in watchers:
        watcher.start()
    try:
        yield watchers
    finally:
        for watcher in watchers:
            watcher.stop()
        for watcher in watchers:
            watcher.join(QUIET_WITHIN)


def _watch_some(watchers: list[Watcher]) -> Callable[[JobPlan, str], None]:
    def watch(plan: JobPlan, job_id: str) -> None:
        if plan.number % WATCHED == 0:
            watchers[plan.number // WATCHED % len(watchers)].watch(job_id)

    return watch


def _wait_for_all_ends(world: World) -> None:
    """Wait until no row is open, the stated bound at most; the verdict names what is left."""
    deadline = time.monotonic() + ENDS_WITHIN
    pages = world.clients.dynamodb.get_paginator("scan")
    while time.monotonic() < deadline:
        found = pages.paginate(
            TableName=TABLE, ConsistentRead=True, FilterExpression="attribute_exists(DueAt)"
        )
        if not any(page["Items"] for page in found):
            return
        time.sleep(LOOK_AGAIN)  # between two looks at a condition


def _tell_all(watchers: list[Watcher]) -> int:
    """Wait until all watchers saw the ends; count the ends that one saw only on asking again."""
    if _comes_true(lambda: not any(watcher.open for watcher in watchers)):
        return 0
    missing = sum(len(watcher.open) for watcher in watchers)
    for watcher in watchers:
        watcher.reconnect()
    _comes_true(lambda: not any(watcher.open for watcher in watchers))
    return missing


def _comes_true(condition: Callable[[], bool]) -> bool:
    try:
        wait_until(condition, "all to be told", within=TOLD_WITHIN)
    except pytest.fail.Exception:
        return False
    return True


def _gather(world: World, load: Load, breaker: Breaker, watchers: list[Watcher]) -> Evidence:
    stack, clients = world.stack, world.clients
    _comes_true(lambda: not stack.ledger_summary()["in_flight"])
    jobs = collect.read_jobs(clients, TABLE)
    return collect.Evidence(
        plans=load.plans,
        accepted=dict(load.accepted),
        jobs=jobs,
        texts=collect.read_texts(clients, stack.environ["LONGHAUL_BUCKET"], jobs),
        calls=collect.read_calls(stack),
        changes=collect.read_changes(clients, TABLE),
        strikes=tuple(breaker.strikes),
        lives=tuple(world.fleet.lives()),
        sights={watcher.name: tuple(watcher.sights) for watcher in watchers},
        watched={watcher.name: frozenset(watcher.watched) for watcher in watchers},
        answers=dict(load.answers),
    )
