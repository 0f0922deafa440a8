"""A whole system says nothing that /asyncapi.json does not describe, and says all of it."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import redis
from standardwebhooks import Webhook
from websockets.sync.client import connect

from tests.asyncapi import Contract, specification
from tests.integration.test_documents import upload
from tests.stack import LocalStack, System, http, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = "key-of-ada-0123456789"
ADA = {"Authorization": f"Bearer {KEY}"}
OF_32000_TOKENS = "mistral.mistral-7b-instruct-v0:2"
SETTINGS = {
    "LONGHAUL_API_KEYS": f"ada:{KEY}",
    "LONGHAUL_WEBHOOK_SECRETS": f"{SECRET},whsec_{'QUJD' * 8}",
    "LONGHAUL_WEBHOOK_ALLOW_LOOPBACK": "true",
    "LONGHAUL_SWEEP_SECONDS": "0.5",
}
TERMINAL = {"job.completed", "job.failed", "job.cancelled", "job.expired"}
WITHIN_SECONDS = 60


class Talk:
    """One WebSocket, with both directions held against the contract."""

    def __init__(self, socket: ClientConnection, contract: Contract) -> None:
        self._socket = socket
        self._contract = contract

    def ask(self, kind: str, **members: object) -> dict[str, Any]:
        """Say something, and give what is no event of what comes then."""
        message = {"type": kind, **members}
        self._contract.take("socket", message)
        self._socket.send(json.dumps(message))
        return self.hear(lambda told: told["type"] != "event")

    def watch(self, job_id: str, after: int = 0, until: frozenset[str] | None = None) -> None:
        """Subscribe, and listen up to a job's end."""
        assert self.ask("subscribe", job_id=job_id, after=after)["type"] == "subscribed"
        ends = until or TERMINAL
        self.hear(lambda told: told.get("job_id") == job_id and told.get("event") in ends)

    def hear(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + WITHIN_SECONDS
        while time.monotonic() < deadline:
            told: dict[str, Any] = json.loads(self._socket.recv(timeout=WITHIN_SECONDS))
            self._contract.take("socket", told)
            if is_it(told):
                return told
        pytest.fail("it was never told")


@contextmanager
def receiving(contract: Contract) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the URL of a webhook's receiver, and what it has got; a wrong call gets no answer."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = dict(self.headers.items())
            told = Webhook(SECRET).verify(body, headers)
            contract.take_announcement(headers, told)
            bodies.append(told)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", bodies
        server.shutdown()
        thread.join(5)


def test_all_that_a_system_says_is_described_and_all_that_is_described_is_said(
    tmp_path: Path,
) -> None:
    with ExitStack() as exits:
        stack = exits.enter_context(LocalStack(tmp_path / "stack"))
        system = exits.enter_context(System(stack, settings=SETTINGS))
        contract = Contract(http.get(f"{system.url}/asyncapi.json").raise_for_status().json())
        assert not list(specification().iter_errors(contract.document))
        hook, announced = exits.enter_context(receiving(contract))
        logs = exits.enter_context(redis.Redis.from_url(stack.redis_url))
        socket = exits.enter_context(connect(_address(contract), proxy=None))
        talk = Talk(socket, contract)

        def submit(faults: str, **more: object) -> str:
            body = {"prompt": f"Say it. <<stand-in: {faults}>>", "webhook": {"url": hook}, **more}
            answer = http.post(f"{system.url}/v1/jobs", json=body, headers=ADA)
            job_id: str = answer.raise_for_status().json()["id"]
            return job_id

        assert talk.ask("auth", token=KEY) == {"type": "authenticated"}
        assert talk.ask("ping") == {"type": "pong"}
        assert talk.ask("subscribe", job_id="nonsense")["code"] == "job_not_found"

        completed = submit("tokens=40", metadata={"a": "b"})
        talk.watch(completed)
        failed = submit("validation_error=no such field")
        talk.watch(failed)
        talk.watch(submit("throttle_first=1; tokens=3"))
        talk.watch(submit("tokens=200; duration_s=60", run_timeout_s=1))
        long = upload(system, b"A line of a long report.\n" * 8_000, "text/plain", headers=ADA)
        in_parts = {"documents": [{"upload_id": long}], "model": OF_32000_TOKENS}
        talk.watch(submit("tokens=3", inference_config={"max_tokens": 2_000}, **in_parts))
        cancelled = submit("tokens=200; duration_s=60")
        talk.watch(cancelled, until=frozenset({"job.delta"}))
        assert talk.ask("cancel", job_id=cancelled)["type"] == "cancelled"

        for job_id in (completed, failed):
            _read_stream(system, job_id, contract)
        for job_id in (completed, failed):  # their logs are gone: told from the row
            assert logs.delete(f"longhaul:log:{job_id}")
            _read_stream(system, job_id, contract)
            talk.watch(job_id)
        talk.watch(completed, after=1_000_002)  # in mid-text: the end carries the result
        assert talk.ask("unsubscribe", job_id=completed)["type"] == "unsubscribed"
        wait_until(lambda: {told["type"] for told in announced} == TERMINAL, "all announcements")

    assert contract.said["socket"] == contract.names("socket")
    assert contract.said["webhook"] == contract.names("webhook")
    assert {"stream.gap", "job.delta", "job.failed"} <= contract.said["stream"]


def _address(contract: Contract) -> str:
    """Read from the document where the WebSocket is."""
    server = contract.document["servers"]["socket"]
    return f"{server['protocol']}://{server['host']}{contract.document['channels']['socket']['address']}"


def _read_stream(system: System, job_id: str, contract: Contract) -> None:
    address = contract.document["channels"]["stream"]["address"].format(job_id=job_id)
    told = httpx.get(f"{system.url}{address}", headers=ADA, timeout=60, trust_env=False).text
    events = [json.loads(line[6:]) for line in told.splitlines() if line[:6] == "data: "]
    for event in events:
        contract.take("stream", event)
    assert events[-1]["event"] in TERMINAL
