"""ministack again, for what ends are told to: EventBridge, SQS behind it, IoT Core, API Gateway.

The laptop's stand-ins serve none of it: who names a bus means one of their own.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.free_ports import free_base
from tests.stack import Program, answers, clean_environ, http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "127.0.0.1"
REGION = "us-east-1"
THROTTLED = {
    "FailedEntryCount": 1,
    "Entries": [{"ErrorCode": "ThrottlingException", "ErrorMessage": "Rate exceeded"}],
}
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
SERVICES = "events,sqs,iot,iot-data,apigateway"


class PushStandIn:
    """One server; `url` is where every service answers."""

    def __init__(self, folder: Path, *, services: str = SERVICES) -> None:
        self._folder = folder
        self._services = services
        self.port = free_base(1)
        self.url = f"http://{HOST}:{self.port}"

    @contextmanager
    def running(self) -> Iterator[PushStandIn]:
        (self._folder / "tmp").mkdir(parents=True, exist_ok=True)
        program = Program(
            (sys.executable, "-P", "-m", "deploy.local.ministack"),
            environ={
                **clean_environ(),
                "BIND_HOST": HOST,
                "MINISTACK_HOST": HOST,
                "GATEWAY_PORT": str(self.port),
                "SERVICES": self._services,
                "TMPDIR": str(self._folder / "tmp"),
                "LOG_LEVEL": "WARNING",
                "SFTP_ENABLED": "0",
                "IOT_MTLS_ENABLED": "0",
                "DOCKER_HOST": f"unix://{self._folder}/no-docker",
            },
            log=self._folder / "push.log",
        )
        try:
            program.wait_for(self._answers, "ministack answers")
            yield self
        finally:
            program.kill()

    def _answers(self) -> bool:
        return answers(f"{self.url}/_ministack/health")

    def client(self, service: str) -> Any:  # noqa: ANN401 - of any service
        make: Any = boto3.client  # its overloads know each service by a literal
        return make(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
            **CREDENTIALS,
        )


@dataclass
class BusProxy:
    """In front of a bus: notes the entries that are put, and lets the first be refused."""

    behind: str
    refusals: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    @contextmanager
    def running(self) -> Iterator[BusProxy]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = proxy.answer(dict(self.headers.items()), body)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Keep silent."""

        with ThreadingHTTPServer((HOST, 0), Handler) as server:
            self.url = f"http://{HOST}:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            yield self
            server.shutdown()
            thread.join(5)

    def answer(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if headers["X-Amz-Target"] == "AWSEvents.PutEvents":
            self.entries += json.loads(body)["Entries"]
            if len(self.entries) <= self.refusals:
                return 200, json.dumps(THROTTLED).encode()
        kept = {name: headers[name] for name in ("X-Amz-Target", "Content-Type", "Authorization")}
        passed = http.post(self.behind, content=body, headers=kept)
        return passed.status_code, passed.content


class BusReader:
    """A bus, and a queue that a rule leads its events to."""

    def __init__(self, stand_in: PushStandIn, bus: str, *, source: str) -> None:
        events, self._sqs = stand_in.client("events"), stand_in.client("sqs")
        events.create_event_bus(Name=bus)
        self._queue = self._sqs.create_queue(QueueName=f"{bus}-events")["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(
            QueueUrl=self._queue, AttributeNames=["QueueArn"]
        )
        events.put_rule(
            Name="ends", EventBusName=bus, EventPattern=json.dumps({"source": [source]})
        )
        events.put_targets(
            Rule="ends",
            EventBusName=bus,
            Targets=[{"Id": "queue", "Arn": attributes["Attributes"]["QueueArn"]}],
        )
        self.events: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """Give every event that came so far."""
        answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
        for message in answer.get("Messages", []):
            self.events.append(json.loads(message["Body"]))
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return self.events
