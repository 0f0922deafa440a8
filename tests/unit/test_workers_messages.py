import json
from datetime import UTC, datetime, timedelta
from typing import Any

import kombu
import pytest
from celery import Celery
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.exceptions import OperationalError

from adapters.local_slots import LocalSlots
from jobs.errors import InvalidRequest, Unavailable
from jobs.job import JobStatus, ModelId, UserId, new_job_id
from jobs.task import Task
from jobs.trace import Trace, TraceId
from tests.builders import (
    JOB_ID,
    NOW,
    RecordingLog,
    a_job,
    a_task,
    a_trace,
    deliver_parts,
    run_parts,
)
from workers.broker import RUN_QUEUE, CeleryTaskQueue, make_celery
from workers.desk import Desk
from workers.messages import (
    RUN_TASK,
    TRACE_HEADER,
    Message,
    headers_of,
    read_message,
    write_message,
)
from workers.messenger import Messenger
from workers.tasks import register_tasks
from workers.timers import Timers
from workers.turnstile import Turnstile

MILLISECONDS = st.integers(0, 10**12).map(
    lambda ms: datetime(2001, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)
HEX = "0123456789abcdef"
TRACES = st.builds(
    lambda epoch, unique, parent, sampled: Trace(
        id=TraceId(f"1-{epoch}-{unique}"), parent=parent, sampled=sampled
    ),
    st.text(HEX, min_size=8, max_size=8),
    st.text(HEX, min_size=24, max_size=24),
    st.none() | st.text(HEX, min_size=16, max_size=16),
    st.none() | st.booleans(),
)
TASKS = st.builds(
    Task,
    job_id=st.builds(new_job_id, MILLISECONDS, st.binary(min_size=10, max_size=10)),
    user=st.text().map(UserId),
    model=st.text().map(ModelId),
    trace=TRACES,
    seen_at=MILLISECONDS,
    enqueued_at=MILLISECONDS,
    by=st.text(),
    not_before=st.none() | MILLISECONDS,
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
WRITTEN = write_message(a_task(a_job(), not_before=NOW))


@settings(deadline=None)
@given(task=TASKS)
def test_a_task_survives_its_message(task: Task) -> None:
    message = write_message(task)
    sent = json.loads(json.dumps(message.fields))

    assert read_message(task.job_id, Message(fields=sent, headers=message.headers)) == task


def test_a_message_holds_references_and_times_and_no_payload() -> None:
    assert WRITTEN.fields == {
        "user": "ada",
        "model": "amazon.nova-lite-v1:0",
        "seen_at": "2026-11-23T04:38:00.000Z",
        "enqueued_at": "2026-11-23T04:38:00.000Z",
        "by": "feed@test:1",
        "not_before": "2026-11-23T04:38:00.000Z",
    }
    assert WRITTEN.headers == {TRACE_HEADER: a_trace().header}


@pytest.mark.parametrize("job_id", [None, 7, "", "job_1", [JOB_ID], {"id": JOB_ID}, JOB_ID + "\n"])
def test_a_message_without_a_job_id_is_refused(job_id: object) -> None:
    with pytest.raises(InvalidRequest):
        read_message(job_id, WRITTEN)


@pytest.mark.parametrize("headers", [{}, {TRACE_HEADER: ""}, {TRACE_HEADER: "Root=1"}])
def test_a_message_without_a_trace_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        read_message(JOB_ID, Message(fields=WRITTEN.fields, headers=headers))


@pytest.mark.parametrize("field", ["user", "model", "seen_at", "enqueued_at", "by"])
def test_a_message_without_a_field_is_refused(field: str) -> None:
    fields = {name: value for name, value in WRITTEN.fields.items() if name != field}

    with pytest.raises(InvalidRequest):
        read_message(JOB_ID, Message(fields=fields, headers=WRITTEN.headers))


@pytest.mark.parametrize("name", ["user", "model", "by"])
@pytest.mark.parametrize("value", [None, 7, ["feed@test:1"], {"by": "feed"}])
def test_a_message_whose_names_are_no_text_is_refused(name: str, value: Any) -> None:  # noqa: ANN401 - JSON
    fields = {**WRITTEN.fields, name: value}

    with pytest.raises(InvalidRequest, match=name):
        read_message(JOB_ID, Message(fields=fields, headers=WRITTEN.headers))


@settings(deadline=None)
@given(
    changes=st.dictionaries(
        st.sampled_from(["user", "model", "seen_at", "enqueued_at", "by", "not_before"]),
        JSON_VALUES | st.sampled_from(["2026-11-23", "2026-11-23T04:38:00"]),
        min_size=1,
    )
)
def test_garbage_is_refused_or_else_makes_a_whole_task(changes: dict[str, Any]) -> None:
    message = Message(fields={**WRITTEN.fields, **changes}, headers=WRITTEN.headers)

    try:
        task = read_message(JOB_ID, message)
    except InvalidRequest:
        return
    assert isinstance(task.by, str)
    for at in (task.seen_at, task.enqueued_at, task.not_before):
        assert at is None or at.tzinfo is not None


@pytest.mark.parametrize("value", [None, 7, b"Root=1", ["x"]])
def test_a_trace_header_that_is_no_text_is_left_out(value: object) -> None:
    assert headers_of({TRACE_HEADER: value, "id": "x"}) == {}


def test_our_header_is_taken_out_of_celerys_context() -> None:
    assert headers_of({"id": "x", TRACE_HEADER: "Root=1"}) == {TRACE_HEADER: "Root=1"}


class Worker:
    """A worker process's Celery application with its task, connected to nothing."""

    def __init__(self) -> None:
        self.parts = run_parts()
        self.log = RecordingLog()
        self.celery = make_celery("redis://broker.invalid:6379/0", connections=2)
        timers = Timers(clock=self.parts.clock, log=self.log)
        desk = Desk(parts=self.parts, queue=CeleryTaskQueue(self.celery), timers=timers)
        self.turnstile = Turnstile(
            desk=desk, slots=LocalSlots(capacity=2, share=1), room=2, log=self.log
        )
        self.messenger = Messenger(parts=deliver_parts(log=self.log), room=1)
        register_tasks(self.celery, self.turnstile, self.messenger, self.log)

    def receive(self, job_id: object, message: Message) -> None:
        """Run the task as a worker does that has read it from the broker."""
        task = self.celery.tasks[RUN_TASK]
        task.push_request(**message.headers)
        try:
            task.run(job_id, **message.fields)
        finally:
            task.pop_request()
        self.turnstile.wait_until_empty()


def test_a_message_that_a_worker_receives_runs_its_job() -> None:
    worker = Worker()
    worker.parts.store.add(a_job())

    worker.receive(JOB_ID, write_message(a_task(a_job())))

    assert worker.parts.store.get(JOB_ID).status is JobStatus.COMPLETED
    assert worker.log.lines == []


def test_a_message_that_no_worker_can_read_is_logged_and_dropped() -> None:
    worker = Worker()

    worker.receive("../../etc", WRITTEN)
    worker.receive(JOB_ID, Message(fields=WRITTEN.fields, headers={}))

    assert worker.log.count("task_unreadable") == 2


def a_broker_in_memory() -> Celery:
    celery = make_celery("memory://", connections=2)
    celery.conf.broker_transport = "memory"
    celery.conf.broker_transport_options = {}
    return celery


def received(celery: Celery, count: int) -> list[kombu.Message]:
    with celery.connection_for_read() as connection, connection.SimpleQueue(RUN_QUEUE) as queue:
        messages = [queue.get(block=False) for _ in range(count)]
        for message in messages:
            message.ack()
        assert queue.qsize() == 0
        return messages


def test_the_broker_has_every_task_once_enqueue_returns() -> None:
    celery = a_broker_in_memory()
    tasks = [a_task(a_job(id=f"job_{n:026d}")) for n in range(3)]

    CeleryTaskQueue(celery).enqueue(tasks)

    for task, message in zip(tasks, received(celery, 3), strict=True):
        (job_id,), fields, _ = message.payload
        headers = headers_of(message.headers)
        assert read_message(job_id, Message(fields=fields, headers=headers)) == task
    celery.close()


def test_nothing_to_enqueue_asks_nothing_of_the_broker() -> None:
    CeleryTaskQueue(make_celery("redis://broker.invalid:6379/0", connections=1)).enqueue([])


@pytest.mark.parametrize("error", [OperationalError("gone"), ConnectionRefusedError(), OSError()])
def test_a_broker_that_is_away_is_unavailable(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    celery = a_broker_in_memory()

    def send_task(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(celery, "send_task", send_task)
    with pytest.raises(Unavailable) as raised:
        CeleryTaskQueue(celery).enqueue([a_task(a_job())])

    assert raised.value.part == "broker"
    celery.close()


def test_celery_decides_nothing_about_paying_again() -> None:
    conf = make_celery("redis://broker.invalid:6379/0", connections=1).conf

    assert conf.task_acks_late is False
    assert conf.worker_cancel_long_running_tasks_on_connection_loss is False
    assert conf.accept_content == ["json"]
    assert conf.broker_transport_options["socket_timeout"] == 5
