"""A row that is not ours, straight into the real table: from the real feed to the operator."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from adapters.dynamodb_rejected import DynamoDBRejectedRecords
from adapters.dynamodb_row import to_item
from deploy.local.environment import REPO_ROOT
from jobs.job import JobId, UserId
from tests.builders import a_job
from tests.contracts.stories import new_id
from tests.stack import clean_environ, http, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.rejected import RejectedRecord
    from tests.stack import Clients, LocalStack, System

TABLE = "LLM_Jobs"
ENDS_WITHIN = 60.0
NO_REDIS = "redis://127.0.0.1:1/0"  # nobody listens there


@dataclass(frozen=True, kw_only=True)
class Operator:
    """Who runs `longhaul feed ...`, and who has a hand in the table."""

    environ: dict[str, str]
    clients: Clients

    @property
    def records(self) -> DynamoDBRejectedRecords:
        return DynamoDBRejectedRecords(
            client=self.clients.dynamodb, jobs=TABLE, retention=timedelta(days=1)
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the command under test
            [sys.executable, "-m", "deploy.cli", "feed", *arguments],
            cwd=REPO_ROOT,
            env=self.environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def rejected(self, job_id: str) -> list[RejectedRecord]:
        """Give the rejected records of a job, the oldest first."""
        found = self.records.find(limit=1000)
        mine = [record for record in found if record.record.job_id == job_id]
        return sorted(mine, key=lambda record: record.record.sequence_number or "")

    def wait_for_rejected(self, job_id: str, count: int) -> list[RejectedRecord]:
        return wait_until(
            lambda: found if len(found := self.rejected(job_id)) == count else [],
            f"{count} rejected records of {job_id}",
        )

    def put(self, row: dict[str, Any]) -> None:
        self.clients.dynamodb.put_item(TableName=TABLE, Item=row)

    def set_status(self, job_id: str, status: str) -> None:
        self.clients.dynamodb.update_item(
            TableName=TABLE,
            Key={"JobId": {"S": job_id}},
            UpdateExpression="SET JobStatus = :status",
            ExpressionAttributeValues={":status": {"S": status}},
        )

    def delete(self, job_id: str) -> None:
        self.clients.dynamodb.delete_item(TableName=TABLE, Key={"JobId": {"S": job_id}})


@pytest.fixture
def operator(stand_ins: LocalStack, clients: Clients) -> Operator:
    return Operator(environ={**clean_environ(), **stand_ins.environ}, clients=clients)


@pytest.fixture
def riddle(operator: Operator) -> Iterator[JobId]:
    """Put a whole row in the table, but for a status that nobody knows; no sweep will find it."""
    job_id = new_id()
    row = to_item(a_job(id=job_id, user=UserId("local"), due_at=None))
    operator.put(row | {"JobStatus": {"S": "DREAMING"}})
    yield job_id
    operator.delete(job_id)
    for record in operator.rejected(job_id):
        operator.records.remove(record.id)


def status_of(system: System, job_id: str) -> str:
    answer = http.get(f"{system.url}/v1/jobs/{job_id}").raise_for_status()
    return str(answer.json()["status"])


def run_a_job(system: System) -> None:
    """Submit a job and see it through."""
    answer = http.post(f"{system.url}/v1/jobs", json={"prompt": "Say hello"})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    job_id = answer.json()["id"]
    wait_until(lambda: status_of(system, job_id) == "COMPLETED", job_id, within=ENDS_WITHIN)


def test_a_row_that_nobody_can_read_is_set_aside_mended_and_replayed(
    system: System, operator: Operator, riddle: JobId
) -> None:
    run_a_job(system)  # which came after it

    [record] = operator.wait_for_rejected(riddle, 1)
    assert "DREAMING" in record.reason
    assert record.id in operator.run("rejected").stdout
    shown = json.loads(operator.run("rejected", record.id).stdout)
    assert (shown["id"], shown["job_id"], shown["reason"]) == (record.id, riddle, record.reason)
    assert shown["record"]["dynamodb"]["NewImage"]["JobStatus"] == {"S": "DREAMING"}

    early = operator.run("replay", record.id)
    assert (early.returncode, early.stdout.split()[:2]) == (1, [record.id, "kept:"])
    assert operator.rejected(riddle) == [record]

    operator.set_status(riddle, "PENDING")
    # The mending is a change from a status that nobody knows, and so unreadable, too.
    _, mending = operator.wait_for_rejected(riddle, 2)
    assert status_of(system, riddle) == "PENDING"
    replayed = operator.run("replay", record.id)
    assert (replayed.returncode, replayed.stdout) == (
        0,
        f"{record.id}  job {riddle} triggered\n",
    )
    wait_until(lambda: status_of(system, riddle) == "COMPLETED", riddle, within=ENDS_WITHIN)

    again = operator.run("replay", mending.id)
    assert (again.returncode, "COMPLETED" in again.stdout) == (0, True)
    assert operator.rejected(riddle) == []


def test_a_row_of_someone_else_is_set_aside_until_it_is_gone(
    system: System, operator: Operator
) -> None:
    key = f"order-{new_id()}"
    operator.put({"JobId": {"S": key}, "Total": {"N": "7"}, "Scan": {"B": b"\x00\xff"}})
    run_a_job(system)

    [record] = operator.wait_for_rejected(key, 1)
    raw = json.loads(record.record.raw)
    assert raw["dynamodb"]["NewImage"]["Scan"] == {"B": "AP8="}
    assert operator.run("replay", record.id).returncode == 1

    operator.delete(key)
    records = operator.wait_for_rejected(key, 2)
    replayed = operator.run("replay", *(one.id for one in records))

    assert (replayed.returncode, replayed.stdout.count("there is no job")) == (0, 2)
    assert operator.rejected(key) == []


def test_a_table_that_is_missing_is_told_in_a_line(operator: Operator) -> None:
    lost = replace(operator, environ={**operator.environ, "LONGHAUL_TABLE": "Nobody_Made_It"})

    told = lost.run("rejected")

    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("longhaul feed rejected: there is no table Nobody_Made_It_Reject")
    assert len(told.stderr.splitlines()) == 1


@pytest.mark.usefixtures("system")
def test_without_a_broker_nothing_is_lost(operator: Operator, riddle: JobId) -> None:
    [record] = operator.wait_for_rejected(riddle, 1)
    operator.set_status(riddle, "PENDING")
    operator.wait_for_rejected(riddle, 2)
    cut_off = replace(operator, environ={**operator.environ, "REDIS_URL": NO_REDIS})

    told = cut_off.run("replay", record.id)

    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith("longhaul feed replay: broker: ")
    assert len(told.stderr.splitlines()) == 1
    assert len(operator.rejected(riddle)) == 2
