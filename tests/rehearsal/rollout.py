"""A rollout without a cluster: two of each process, all replaced while jobs run and are watched."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from deploy.start import PROCESSES
from longhaul_client import AsyncLonghaul
from tests.rehearsal.replica import LOOK_SECONDS, End, Replica, Terms
from tests.rehearsal.service import Service
from tests.rehearsal.watch import Work, watch_by_socket, watch_by_stream

if TYPE_CHECKING:
    from pathlib import Path

    from longhaul_client.errors import LonghaulError
    from tests.stack import LocalStack

EACH = 2
WITHIN = 900.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A rehearsal: `scale` is how long the manifests' times are here, 1 for as they are.

    `overlong` jobs begin right before the first worker goes and take twice as long as it drains:
    those that run on an old worker must be handed on.
    """

    jobs: int = 60
    shortest: float = 1.0
    longest: float = 60.0
    scale: float = 1.0
    over: float = 90.0
    overlong: int = 0
    seed: int = 1

    def works(self) -> list[Work]:
        chance = random.Random(self.seed)  # noqa: S311 - replayable
        lengths = [chance.uniform(self.shortest, self.longest) for _ in range(self.jobs)]
        return [
            Work(number=number, at=self.over * number / self.jobs, seconds=seconds)
            for number, seconds in enumerate(lengths)
        ]

    def overlong_works(self, drain: float) -> list[Work]:
        numbers = range(self.jobs, self.jobs + self.overlong)
        return [Work(number=number, at=0, seconds=2 * drain) for number in numbers]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What became of a job: its row, what its watcher read, and the calls that were paid for."""

    work: Work
    job_id: str
    status: str
    result: str
    watched: str
    calls: int


@dataclass(kw_only=True)
class Report:
    """What a rehearsal has seen."""

    plan: Plan
    drain: float
    seen: list[Seen] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    idle_mib: dict[str, float] = field(default_factory=dict)
    retries: int = 0
    refused: int = 0

    def findings(self) -> list[str]:
        """Say which promise was broken where."""
        found = [
            f"{one.name} ended with {one.status} after {one.seconds:.1f} s"
            for one in self.ends
            if one.was_killed or one.status != 0
        ]
        for one in self.seen:
            must_be_handed_on = one.work.seconds > self.drain
            if one.status != "COMPLETED":
                found.append(f"{one.job_id} of {one.work.seconds:.0f} s is {one.status}")
            elif one.result != one.work.text or one.watched != one.work.text:
                found.append(f"{one.job_id}: another text was stored, or watched")
            if one.calls > 1 and not must_be_handed_on:
                found.append(f"{one.job_id} of {one.work.seconds:.0f} s: {one.calls} calls")
        if self.refused:
            found.append(f"{self.refused} connections found no endpoint")
        return found

    def __str__(self) -> str:
        calls = sum(one.calls for one in self.seen)
        lines = [f"{len(self.seen)} jobs, {calls} calls, {self.retries} requests tried again"]
        for process in PROCESSES:
            ends = [one for one in self.ends if one.name.startswith(process)]
            slowest = max(one.seconds for one in ends)
            peak = max(one.peak_mib for one in ends)
            idle = self.idle_mib[process]
            lines.append(
                f"{process}: {len(ends)} replaced, the slowest in {slowest:.1f} s;"
                f" {idle:.0f} MiB when ready, {peak:.0f} MiB at most"
            )
        return "\n".join([*lines, *(self.findings() or ["every promise was kept"])])


async def rehearse(plan: Plan, stack: LocalStack, folder: Path) -> Report:
    """Play it; raises TimeoutError where it does not come to an end."""
    rollout = Rollout(plan, stack, folder)
    try:
        async with asyncio.timeout(WITHIN), rollout.service:
            await rollout.play()
    finally:
        for replica in rollout.replicas:
            replica.kill()
    return rollout.report


class Rollout:
    """One rehearsal under way."""

    def __init__(self, plan: Plan, stack: LocalStack, folder: Path) -> None:
        self.service = Service()
        self.replicas: list[Replica] = []
        self._terms = {process: Terms.of(process, scale=plan.scale) for process in PROCESSES}
        self.report = Report(plan=plan, drain=self._terms["worker"].drain)
        self._plan = plan
        self._stack = stack
        self._folder = folder

    async def play(self) -> None:
        """Start two of each, let jobs run, replace all, and see every client to its end."""
        first = {
            process: [self._begin(process, number) for number in range(EACH)]
            for process in PROCESSES
        }
        for replica in self.replicas:
            await replica.become_ready()
        self.report.idle_mib = {name: first[name][0].peak_mib() for name in PROCESSES}
        self.service.endpoints = {replica.port for replica in first["web"]}
        async with asyncio.TaskGroup() as clients:
            for work in self._plan.works():
                clients.create_task(self._follow(work))
            await asyncio.sleep(self._plan.over / 4)  # jobs run before anything is replaced
            async with asyncio.TaskGroup() as rolls:
                for process in PROCESSES:
                    rolls.create_task(self._roll(process, first[process], clients))
        self.report.refused = self.service.refused

    def _begin(self, process: str, number: int) -> Replica:
        replica = Replica(
            process,
            number,
            terms=self._terms[process],
            stack=self._stack.environ,
            logs=self._folder,
        )
        self.replicas.append(replica)
        return replica

    async def _roll(self, process: str, old: list[Replica], clients: asyncio.TaskGroup) -> None:
        """Replace one after another: maxSurge 1, maxUnavailable 0; who drains is not counted."""
        ends = []
        behind = self.service if process == "web" else None
        for number, replica in enumerate(old):
            new = self._begin(process, EACH + number)
            await new.become_ready()
            if behind is not None:
                behind.endpoints.add(new.port)
            if process == "worker" and number == 0:
                await self._begin_overlong(clients)
            ends.append(asyncio.create_task(replica.terminate(behind)))
        self.report.ends += await asyncio.gather(*ends)

    async def _begin_overlong(self, clients: asyncio.TaskGroup) -> None:
        """Submit the jobs that cannot finish, and wait until their calls have begun."""
        runs = []
        for work in self._plan.overlong_works(self.report.drain):
            runs.append(asyncio.Event())
            clients.create_task(self._follow(work, runs=runs[-1]))
        for event in runs:
            await event.wait()

    async def _follow(self, work: Work, *, runs: asyncio.Event | None = None) -> None:
        """Be a client of one job, who submits it and watches it to its end."""
        await asyncio.sleep(work.at)
        async with (
            httpx.AsyncClient(trust_env=False) as http,
            AsyncLonghaul(self.service.url, on_retry=self._note_retry, http=http) as client,
        ):
            job = await client.jobs.create(prompt=work.prompt)
            if runs is not None:
                while not await asyncio.to_thread(self._stack.model_calls, job.id):  # noqa: ASYNC110 - another process tells
                    await asyncio.sleep(LOOK_SECONDS)
                runs.set()
            if work.number % 2:
                watched = await watch_by_stream(client, job.id)
            else:
                watched = await watch_by_socket(self.service.url, job.id)
            ended = await client.jobs.wait(job.id)
            result = await client.jobs.result(job.id)
        calls = await asyncio.to_thread(self._stack.model_calls, job.id)
        self.report.seen.append(
            Seen(
                work=work,
                job_id=job.id,
                status=ended.status,
                result=result,
                watched=watched,
                calls=len(calls),
            )
        )

    def _note_retry(self, _: LonghaulError, __: float) -> None:
        self.report.retries += 1
