"""The operator's commands on the feed, over the ports in memory."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.memory import ManualClock, MemoryJobStore, MemoryRejectedRecords
from adapters.settings import Settings
from adapters.wiring import OperatorAdapters
from deploy.cli import main
from jobs.errors import RecordUnreadable, Unavailable, UnreadRecord
from jobs.job import JobId, JobStatus
from jobs.rejected import RejectedRecord
from jobs.shards import ShardId, StreamName
from jobs.task import Task
from tests.builders import JOB_ID, NOW, ShakyTaskQueue, a_job

NONE_DONE = 2


def a_rejected(number: int = 1, job_id: JobId | None = JOB_ID) -> RejectedRecord:
    record = UnreadRecord(
        raw='{"eventName":"INSERT"}', sequence_number=str(number), job_id=job_id, at=NOW
    )
    error = RecordUnreadable(f"record {number}: ValueError('DREAMING')", record=record)
    return RejectedRecord.of(error, stream=StreamName("arn"), shard=ShardId("shard-1"), at=NOW)


class Operator:
    """Who runs `longhaul feed ...`; what the commands stand on is in memory."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.store = MemoryJobStore()
        self.queue = ShakyTaskQueue()
        self.rejected = MemoryRejectedRecords()
        self.output = self.errors = ""

    @property
    def adapters(self) -> OperatorAdapters:
        return OperatorAdapters(
            rejected=self.rejected,
            store=self.store,
            clock=ManualClock(),
            process="operator@test:1",
        )

    def run(self, *arguments: str) -> int:
        try:
            status = main(["feed", *arguments])
        except SystemExit as end:  # argparse's own way out
            status = int(str(end.code))
        self.output, self.errors = self._capsys.readouterr()
        return status

    def rejects(self, *records: RejectedRecord) -> None:
        for record in records:
            self.rejected.put(record)


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Operator:
    operator = Operator(capsys)
    settings = Settings.model_construct(redis_url="redis://127.0.0.1:1/0")
    monkeypatch.setattr("deploy.feed_commands.read_settings", lambda _: settings)
    monkeypatch.setattr("deploy.feed_commands.open_operator_parts", lambda _: operator.adapters)
    monkeypatch.setattr("deploy.feed_commands.CeleryTaskQueue", lambda _: operator.queue)
    return operator


def test_without_rejected_records_it_says_so(operator: Operator) -> None:
    assert operator.run("rejected") == 0
    assert operator.output == "no rejected records\n"


def test_rejected_records_are_listed_in_columns(operator: Operator) -> None:
    record, nobodys = a_rejected(1), a_rejected(2, None)
    operator.rejects(record, nobodys)

    assert operator.run("rejected") == 0

    lines = [line.split() for line in operator.output.splitlines()]
    assert lines[0] == ["ID", "REJECTED", "SHARD", "JOB", "REASON"]
    when = "2026-11-23T04:38:00.000Z"
    assert sorted(lines[1:]) == sorted(
        [
            [record.id, when, "shard-1", JOB_ID, "record", "1:", "ValueError('DREAMING')"],
            [nobodys.id, when, "shard-1", "-", "record", "2:", "ValueError('DREAMING')"],
        ]
    )


def test_a_list_is_no_longer_than_asked_for(operator: Operator) -> None:
    operator.rejects(*(a_rejected(number) for number in range(5)))

    operator.run("rejected", "--limit", "2")

    assert len(operator.output.splitlines()) == 3


def test_a_list_in_json_holds_all_of_each_record(operator: Operator) -> None:
    record = a_rejected()
    operator.rejects(record)

    assert operator.run("rejected", "--json") == 0

    assert json.loads(operator.output) == [
        {
            "id": record.id,
            "rejected_at": "2026-11-23T04:38:00.000Z",
            "stream": "arn",
            "shard": "shard-1",
            "sequence_number": "1",
            "event_id": None,
            "job_id": JOB_ID,
            "changed_at": "2026-11-23T04:38:00.000Z",
            "reason": "record 1: ValueError('DREAMING')",
            "record": {"eventName": "INSERT"},
        }
    ]


def test_one_record_is_shown_whole(operator: Operator) -> None:
    operator.rejects(a_rejected(1), a_rejected(2))

    assert operator.run("rejected", a_rejected(2).id) == 0

    assert json.loads(operator.output)["sequence_number"] == "2"


def test_what_stands_in_a_row_does_not_steer_the_terminal(operator: Operator) -> None:
    operator.rejects(a_rejected(1, JobId("job\x1b[2J\nID")))

    operator.run("rejected")
    assert "\x1b" not in operator.output
    assert len(operator.output.splitlines()) == 2
    operator.run("replay", "--all")

    assert "\x1b" not in operator.output


def test_the_job_of_a_replayed_record_is_triggered(operator: Operator) -> None:
    operator.store.add(a_job())
    operator.rejects(a_rejected())

    assert operator.run("replay", a_rejected().id) == 0

    assert operator.queue.tasks == [Task.of(a_job(), now=NOW, by="operator@test:1")]
    assert operator.rejected.find(limit=10) == []
    assert operator.output == f"{a_rejected().id}  job {JOB_ID} triggered\n"


def test_all_records_can_be_replayed_and_those_that_stay_are_told(operator: Operator) -> None:
    operator.store.add(a_job(status=JobStatus.COMPLETED))
    nobodys = a_rejected(2, None)
    operator.rejects(a_rejected(1), nobodys, a_rejected(3, JobId("job_gone")))

    assert operator.run("replay", "--all") == 1

    assert operator.rejected.find(limit=10) == [nobodys]
    assert f"{nobodys.id}  kept: the record names no job" in operator.output
    assert "COMPLETED" in operator.output
    assert "there is no job job_gone" in operator.output


def test_a_replay_in_json_is_a_line_each_for_a_script(operator: Operator) -> None:
    lost = a_rejected(2, job_id=None)
    operator.rejects(a_rejected(1), lost)

    assert operator.run("replay", "--all", "--json") == 1

    told = [json.loads(line) for line in operator.output.splitlines()]
    assert [one["is_removed"] for one in told] == [True, False]
    assert told[1]["id"] == lost.id
    assert told[0]["told"] == f"removed: there is no job {JOB_ID}"


def test_without_any_record_a_replay_of_all_is_done(operator: Operator) -> None:
    assert operator.run("replay", "--all") == 0
    assert operator.output == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required"),
        (["rejected", "--limit", "0"], "--limit: must be a number from 1 to 1000"),
        (["rejected", "--limit", "1001"], "--limit: must be a number from 1 to 1000"),
        (["rejected", "--limit", "many"], "--limit: must be a number from 1 to 1000"),
        (["rejected", "some-id", "--limit", "3"], "--limit is for the list"),
        (["rejected", "some-id"], "no rejected record 'some-id'"),
        (["rejected", ""], "no rejected record ''"),
        (["rejected", "--wat"], "unrecognized arguments: --wat"),
        (["replay"], "name the records to replay, or say --all"),
        (["replay", "some-id", "--all"], "name the records to replay, or say --all"),
        (["replay", "some-id"], "no rejected record 'some-id'"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_done(
    operator: Operator, arguments: Sequence[str], complaint: str
) -> None:
    operator.rejects(a_rejected())

    assert operator.run(*arguments) == NONE_DONE

    assert complaint in operator.errors
    assert (operator.output, operator.queue.tasks) == ("", [])
    assert len(operator.rejected.find(limit=10)) == 1


def test_of_ids_of_which_one_is_unknown_none_is_replayed(operator: Operator) -> None:
    operator.store.add(a_job())
    operator.rejects(a_rejected())

    assert operator.run("replay", a_rejected().id, "unknown") == NONE_DONE

    assert operator.errors == "longhaul feed replay: no rejected record 'unknown'\n"
    assert operator.queue.tasks == []
    assert len(operator.rejected.find(limit=10)) == 1


def test_an_id_that_is_named_twice_is_replayed_once(operator: Operator) -> None:
    operator.store.add(a_job())
    operator.rejects(a_rejected())

    assert operator.run("replay", a_rejected().id, a_rejected().id) == 0

    assert len(operator.queue.tasks) == 1


def test_a_broker_that_is_away_is_told_and_the_record_stays(operator: Operator) -> None:
    operator.store.add(a_job())
    operator.rejects(a_rejected())
    operator.queue.failures.append(Unavailable("broker", "away (test)"))

    assert operator.run("replay", "--all") == NONE_DONE

    assert operator.errors == "longhaul feed replay: broker: away (test)\n"
    assert len(operator.rejected.find(limit=10)) == 1


def test_settings_that_do_not_fit_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[Any]
) -> None:
    for name in ("REDIS_URL", "LONGHAUL_BUCKET"):
        monkeypatch.delenv(name, raising=False)

    assert main(["feed", "rejected"]) == NONE_DONE
    assert "REDIS_URL is not set" in capsys.readouterr().err
