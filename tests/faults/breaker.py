"""The breaker: does what the schedule says, and writes down what it did, when and to whom."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import redis

from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.schema import feed_table_name
from jobs.errors import LonghaulError
from jobs.job import JobId
from jobs.task import Task
from tests.faults.clocks import is_steppable
from tests.faults.fleet import Role
from tests.faults.proxy import DYNAMODB, S3, STREAMS, Mode, Rule
from tests.faults.schedule import STORE_FAULTS, Fault, FaultKind
from tests.stack import wait_until
from workers.broker import CeleryTaskQueue, make_celery

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.faults.fleet import Fleet, Member
    from tests.faults.proxy import FaultProxy
    from tests.stack import Clients, RedisServer

TABLE = "LLM_Jobs"
DUPLICATES = 40
THERE_WITHIN = 30.0
WRITES = frozenset({"dynamodb:UpdateItem", "dynamodb:PutItem"})
DYNAMODB_ALL = frozenset({DYNAMODB})
RULES = {
    FaultKind.STORE_REFUSES: Rule(mode=Mode.REFUSE, kinds=DYNAMODB_ALL),
    FaultKind.STORE_AWAY: Rule(mode=Mode.REFUSE, kinds=frozenset({DYNAMODB, STREAMS})),
    FaultKind.STORE_SLOW: Rule(mode=Mode.SLOW, kinds=DYNAMODB_ALL, seconds=1.0),
    FaultKind.STORE_FAILS: Rule(mode=Mode.FAIL, kinds=DYNAMODB_ALL, probability=0.3),
    FaultKind.STORE_DROPS: Rule(mode=Mode.DROP, kinds=WRITES, probability=0.4),
    FaultKind.STREAM_FAILS: Rule(mode=Mode.FAIL, kinds=frozenset({STREAMS}), probability=0.7),
    FaultKind.OBJECTS_FAIL: Rule(mode=Mode.FAIL, kinds=frozenset({S3}), probability=0.7),
    FaultKind.OBJECTS_DROP: Rule(mode=Mode.DROP, kinds=frozenset({S3}), probability=0.5),
}
ROLE_OF = {
    FaultKind.KILL_WORKER: Role.WORKER,
    FaultKind.STOP_WORKER_SHORT: Role.WORKER,
    FaultKind.STOP_WORKER_LONG: Role.WORKER,
    FaultKind.DRAIN_WORKER: Role.WORKER,
    FaultKind.KILL_FEED: Role.FEED,
    FaultKind.STOP_FEED_SHORT: Role.FEED,
    FaultKind.STOP_FEED_LONG: Role.FEED,
    FaultKind.KILL_WEB: Role.WEB,
    FaultKind.STOP_WEB: Role.WEB,
    FaultKind.CLOCK_FORWARD_WORKER: Role.WORKER,
    FaultKind.CLOCK_BACK_WORKER: Role.WORKER,
    FaultKind.CLOCK_FORWARD_FEED: Role.FEED,
    FaultKind.CLOCK_BACK_FEED: Role.FEED,
    FaultKind.CLOCK_FORWARD_WEB: Role.WEB,
    FaultKind.CLOCK_BACK_WEB: Role.WEB,
}
KILLS = frozenset({FaultKind.KILL_WORKER, FaultKind.KILL_FEED, FaultKind.KILL_WEB})


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A fault as it happened; seconds since the epoch. `pid` is the process that it hit."""

    fault: Fault
    began_at: float
    ended_at: float
    pid: int | None = None
    name: str = ""

    @property
    def is_on_store(self) -> bool:
        return self.fault.kind in STORE_FAULTS


@dataclass(kw_only=True)
class Breaker:
    """`known_jobs` gives the ids of jobs that clients know of, to duplicate their tasks."""

    seed: int
    fleet: Fleet
    proxy: FaultProxy
    redis: RedisServer
    redis_folder: Path
    clients: Clients
    known_jobs: Callable[[], Sequence[str]]
    tell: Callable[[str], object]
    strikes: list[Strike] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _redis_lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"breaker {self.seed}")  # noqa: S311 - guards no secret

    def run(self, faults: Sequence[Fault], begin: float) -> None:
        """Break things in time, from monotonic time `begin` on; returns when all is mended."""
        threads = []
        for fault in faults:
            time.sleep(max(0.0, begin + fault.at - time.monotonic()))  # the schedule's own pace
            thread = threading.Thread(target=self._strike, args=(fault,), name=fault.kind)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()

    def _strike(self, fault: Fault) -> None:
        began = time.time()
        self.tell(f"  {fault}")
        try:
            member = self._break(fault)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - the report tells
            self.errors.append(f"{fault.kind}: {error!r}")
            return
        self.strikes.append(
            Strike(
                fault=fault,
                began_at=began,
                ended_at=time.time(),
                pid=member[0] if member else None,
                name=member[1] if member else "",
            )
        )

    def _break(self, fault: Fault) -> tuple[int, str] | None:
        """Do it, mend it after its time, and say which process it hit."""
        if (role := ROLE_OF.get(fault.kind)) is not None:
            return self._break_process(fault, self.fleet.members[role][fault.member])
        if (rule := RULES.get(fault.kind)) is not None:
            self.proxy.add(rule)
            time.sleep(fault.seconds)  # as long as the fault is to last
            self.proxy.remove(rule)
            return None
        match fault.kind:
            case FaultKind.DUPLICATE_TASKS:
                self._duplicate_tasks()
            case FaultKind.REPLAY_RECORDS:
                self._forget_checkpoints()
            case _:
                with self._redis_lock:
                    self._break_redis(fault)
        return None

    def _break_process(self, fault: Fault, member: Member) -> tuple[int, str]:
        wait_until(lambda: member.is_running, f"{member.name} to run", within=THERE_WITHIN)
        pid = member.pid
        if fault.kind in KILLS:
            member.send(signal.SIGKILL)
        elif fault.kind is FaultKind.DRAIN_WORKER:
            member.ask_to_end()
        elif fault.step:
            self._step_clock(fault, member)
        else:
            member.send(signal.SIGSTOP)
            time.sleep(fault.seconds)  # as long as the fault is to last
            try:
                os.killpg(pid, signal.SIGCONT)
            except ProcessLookupError:
                return pid, member.name  # another fault of the storm has killed it
        return pid, member.name

    def _step_clock(self, fault: Fault, member: Member) -> None:
        """Set the clock of the process, and of its successor if it dies, and set it right again."""
        assert member.clock is not None, "the fleet was started without clocks to step"
        assert is_steppable(member.pid), f"{member.name} runs without the library"
        member.clock.step_to(fault.step)
        time.sleep(fault.seconds)  # as long as the fault is to last
        member.clock.step_to(0)

    def _break_redis(self, fault: Fault) -> None:
        if fault.kind is FaultKind.FLUSH_REDIS:
            with redis.Redis.from_url(self.redis.url) as client:
                client.flushall()
            return
        if fault.kind is FaultKind.PAUSE_REDIS:
            self.redis.freeze()
            time.sleep(fault.seconds)  # as long as the fault is to last
            self.redis.thaw()
            return
        self.redis.kill()
        shutil.rmtree(self.redis_folder)
        time.sleep(fault.seconds)  # as long as the fault is to last
        self.redis.start()

    def _duplicate_tasks(self) -> None:
        known = list(self.known_jobs())
        store = DynamoDBJobStore(
            client=self.clients.dynamodb, table=TABLE, retention=timedelta(days=1)
        )
        now = datetime.now(UTC)
        tasks = [
            Task.of(job, now=now, by="faults@here:1")
            for job_id in known[-DUPLICATES:]
            for job in [store.get(JobId(job_id))]
        ]
        self._chance.shuffle(tasks)
        celery = make_celery(self.redis.url, connections=2)
        try:
            CeleryTaskQueue(celery).enqueue([*tasks, *tasks])
        except LonghaulError as error:
            self.tell(f"  duplicate-tasks: not sent: {error}")
        finally:
            celery.close()

    def _forget_checkpoints(self) -> None:
        """Delete the feeds' leases under them: all records are read again from the first."""
        table = feed_table_name(TABLE)
        for item in self.clients.dynamodb.scan(TableName=table)["Items"]:
            self.clients.dynamodb.delete_item(
                TableName=table, Key={name: item[name] for name in ("StreamArn", "ShardId")}
            )
