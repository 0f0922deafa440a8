"""The side in the pattern's AWS form, on an emulator of its own: Pipes and Step Functions.

ministack 1.5.33 has them all but the model: `bedrock:invokeModel` is no integration of its Step
Functions, so the call is an activity (bench/peers/pattern.py).
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3

from bench.crowd import HOST
from bench.movers import Mover, flask_command, front, make_table, running, whole
from bench.peers.pattern import SOURCE, state_machine
from deploy.local.servers import answers_http
from tests.free_ports import free_base
from tests.stack import clean_environ, environ_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.stack import LocalStack

PATTERN = "Step Functions"
_TABLE = "bench-pattern"
_ROLE = "arn:aws:iam::000000000000:role/bench"
_SERVICES = "dynamodb,dynamodbstreams,states,pipes,events,sqs"
_MOST_MESSAGES = 10  # SQS's own
_WAIT_SECONDS = 1


@contextmanager
def on_step_functions(stack: LocalStack) -> Iterator[Mover]:
    """Run the emulator, a front that puts rows, and an activity worker that calls the model."""
    port = free_base(1)
    with ExitStack() as opened:
        emulator = opened.enter_context(
            running(
                (sys.executable, "-P", "-m", "deploy.local.ministack"),
                environ=_emulators(port, folder=str(stack.folder)),
                log=stack.folder / "pattern-emulator.log",
            )
        )
        emulator.wait_for(lambda: answers_http(port, "/_ministack/health"), "the emulator answers")
        environ = _named(stack, f"http://{HOST}:{port}")
        with environ_of(environ):
            activity, ends = _build()
            dynamodb = boto3.client("dynamodb")
        environ |= clean_environ() | {"BENCH_TABLE": _TABLE, "BENCH_ACTIVITY": activity}
        address, served = opened.enter_context(
            front(
                flask_command("bench.peers.pattern:app"),
                environ=environ,
                log=stack.folder / "pattern-web.log",
            )
        )
        worker = opened.enter_context(
            running(
                (sys.executable, "-m", "bench.peers.pattern"),
                environ=environ,
                log=stack.folder / "pattern-worker.log",
            )
        )
        yield Mover(
            name=PATTERN,
            address=address,
            table=_TABLE,
            dynamodb=dynamodb,
            ends=ends,
            parts=(whole("web", served), whole("worker", worker), whole("emulator", emulator)),
        )


@dataclass(kw_only=True)
class QueueEnds:
    """The ends as EventBridge puts them into a queue of SQS."""

    sqs: Any  # boto3's client
    queue: str
    _read: list[str] = field(default_factory=list)

    def next_end(self) -> str | None:
        """Read a message, of ten at most that came at once."""
        if not self._read:
            answer = self.sqs.receive_message(
                QueueUrl=self.queue,
                MaxNumberOfMessages=_MOST_MESSAGES,
                WaitTimeSeconds=_WAIT_SECONDS,
            )
            for message in answer.get("Messages", []):
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                self._read.append(json.loads(message["Body"])["detail"]["job_id"])
        return self._read.pop(0) if self._read else None


def _build() -> tuple[str, QueueEnds]:
    """Make table, pipe, state machine, activity, rule and queue; give the activity's name."""
    dynamodb = boto3.client("dynamodb")
    make_table(dynamodb, _TABLE, has_stream=True)
    stream = dynamodb.describe_table(TableName=_TABLE)["Table"]["LatestStreamArn"]
    steps: Any = boto3.client("stepfunctions")
    sqs: Any = boto3.client("sqs")
    events: Any = boto3.client("events")
    activity: str = steps.create_activity(name="call")["activityArn"]
    machine = steps.create_state_machine(
        name="bench", definition=state_machine(_TABLE, activity), roleArn=_ROLE
    )["stateMachineArn"]
    boto3.client("pipes").create_pipe(
        Name="bench",
        Source=stream,
        Target=machine,
        RoleArn=_ROLE,
        SourceParameters={"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON"}},
    )
    queue = sqs.create_queue(QueueName="ends")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    events.put_rule(Name="ends", EventPattern=json.dumps({"source": [SOURCE]}))
    target = {"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}
    events.put_targets(Rule="ends", Targets=[target])
    return activity, QueueEnds(sqs=sqs, queue=queue)


def _named(stack: LocalStack, emulator: str) -> dict[str, str]:
    """Name the emulator for all of AWS but the model."""
    kept = {
        name: value
        for name, value in stack.environ.items()
        if not name.startswith("AWS_ENDPOINT_URL") or name == "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
    }
    return {**kept, "AWS_ENDPOINT_URL": emulator}


def _emulators(port: int, *, folder: str) -> Mapping[str, str]:
    return {
        **{name: value for name, value in clean_environ().items() if name in ("PATH", "HOME")},
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "SERVICES": _SERVICES,
        "LOG_LEVEL": "WARNING",
        "TMPDIR": folder,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder}/no-docker",
    }
