"""A whole run at DEBUG, with everything going wrong, and what no line of any process shows."""

from __future__ import annotations

import base64
import json
import re
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from deploy.start import PROCESSES
from tests.credentials import Place, bearer, running_place, say
from tests.documents import PDF, a_pdf
from tests.integration.test_documents import upload
from tests.markers import Markers
from tests.stack import LocalStack, Program, answers, clean_environ, http, wait_until
from tests.webhook_receiver import receiving
from workers.broker import RUN_QUEUE, make_celery

if TYPE_CHECKING:
    from pathlib import Path

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "EXPIRED")
NOT_A_LOG = re.compile(r"\w+\.1 (started|stopped)|attach: |SIG\w+ received|sending ")
BIG = 70 * 1024  # a result that goes to S3


class Run:
    """One user's day; every secret and payload has a marker."""

    def __init__(self, place: Place, markers: Markers, key: str) -> None:
        self.place = place
        self.markers = markers
        self.key = key
        self.url = place.system.url

    def ended(self, job_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            job: dict[str, Any] = self.place.call(self.key, f"/v1/jobs/{job_id}").json()
            return job if job["status"] in ENDED else None

        return wait_until(look, f"the end of {job_id}", within=90) or {}

    def submit(self, prompt: str, **more: Any) -> str:  # noqa: ANN401 - JSON
        return self.place.submit(self.key, prompt, **more)

    def jobs(self, hook: str) -> None:
        """Submit what completes, what is throttled, what fails, and documents good and broken."""
        mark = self.markers.make
        prompt, result = mark("prompt"), mark("result")
        refused = mark("refusal")
        whole = self.submit(
            f"{prompt} <<stand-in: throttle_first=1; echo={result}>>",
            metadata={mark("metadatakey"): mark("metadata")},
            system=mark("system"),
            webhook={"url": f"{hook}?token={mark('hookquery')}"},
        )
        failing = self.submit(f"{prompt} <<stand-in: validation_error={refused}>>")
        text = mark("document")
        good = upload(
            self.place.system,
            a_pdf(text),
            PDF,
            name=mark("filename"),
            headers=bearer(self.key),
        )
        broken = upload(
            self.place.system, b"%PDF-1.7 " + text.encode(), PDF, headers=bearer(self.key)
        )
        documents = [self.submit(prompt, documents=[{"upload_id": one}]) for one in (good, broken)]
        native = self.place.call(
            self.key,
            "/v1/jobs",
            method="POST",
            body={"model": "amazon.nova-lite-v1:0", "body": {"messages": mark("native")}},
        )
        big = self.submit(f"{'x' * BIG} {mark('bigprompt')}")

        assert self.ended(whole)["result"]["text"].strip() != ""
        assert self.ended(failing)["error"]["code"] == "model_rejected_request"
        states = [self.ended(job_id)["status"] for job_id in documents]
        assert states == ["COMPLETED", "FAILED"]
        self.ended(native.json()["id"])
        self.ended(big)

    def signed_urls(self) -> None:
        """Look at an upload's URL, whose signature is the right to write."""
        offer = self.place.call(
            self.key,
            "/v1/uploads",
            method="POST",
            body={
                "content_type": "text/plain",
                "bytes": 3,
                "sha256": base64.b64encode(b"\0" * 32).decode(),
            },
        ).json()
        query = parse_qs(urlsplit(offer["url"]).query)
        self.markers.add("signature", query["X-Amz-Signature"][0])
        http.put(offer["url"], content=b"abc", headers=offer["headers"])

    def bad_requests(self) -> None:
        """Send what is refused, with a marker wherever something can be put."""
        mark = self.markers.make
        post = f"{self.url}/v1/jobs"
        who = bearer(self.key)
        for body in (
            f'{{"prompt": "{mark("cutbody")}"',
            json.dumps({"prompt": [mark("wrongtype")]}),
            json.dumps({mark("unknownfield"): 1, "prompt": "x"}),
            json.dumps({"prompt": "x", "webhook": {"url": f"ftp://{mark('badhook')}/"}}),
        ):
            answer = http.post(post, content=body, headers={**who, "Content-Type": "text/json"})
            assert answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR
            http.post(post, content=body, headers={**who, "Content-Type": "application/json"})
        idempotency = {"Idempotency-Key": mark("idempotency")}
        for prompt in ("one", "one", "another"):
            self.place.call(
                self.key, "/v1/jobs", method="POST", body={"prompt": prompt}, headers=idempotency
            )
        self.place.call(mark("unknownkey"), "/v1/jobs")
        self.place.call(f"eyJhbGciOiJSUzI1NiJ9.{mark('badjwt')}.c2ln", "/v1/jobs")
        http.get(f"{self.url}/v1/jobs/{mark('badid')}?x={mark('query')}", headers=who)
        for raw in (
            f"GET /v1/ws?ticket={mark('rawticket')} HTTX\r\n\r\n",
            f"GET / HTTP/1.1\r\nAuthorization Bearer {mark('rawheader')}\r\n\r\n",
            f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {mark('rawcoding')}\r\n\r\n",
            f"POST /v1/jobs HTTP/1.1\r\nContent-Length: {mark('rawlength')}\r\n\r\n",
        ):
            parts = urlsplit(self.url)
            with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as client:
                client.sendall(raw.encode())
                with suppress(OSError):
                    client.recv(4096)

    def sockets(self) -> None:
        """Open sockets by a ticket and by a message, and by ones that nobody made."""
        ticket = self.place.call(self.key, "/v1/ws-tickets", method="POST").json()["ticket"]
        self.markers.add("ticket", ticket)
        with self.place.socket(query=f"?ticket={ticket}") as client:
            say(client, type="ping")
            client.send(f'{{"type": "{self.markers.make("message")}"')
            client.recv(timeout=30)
        for query in (f"?ticket={ticket}", f"?ticket={self.markers.make('badticket')}"):
            with suppress(Exception), self.place.socket(query=query) as client:
                client.recv(timeout=30)
        with suppress(ConnectionClosed), self.place.socket() as client:
            say(client, type="auth", token=self.markers.make("socketkey"))

    def garbage(self) -> None:
        """Put into Redis what is no message of ours, and what is for a task that nobody has."""
        celery = make_celery(self.place.redis.url, connections=1)
        celery.send_task("nobody.knows", args=(self.markers.make("taskarg"),), queue=RUN_QUEUE)
        celery.send_task("longhaul.run", args=(self.markers.make("jobarg"),), queue=RUN_QUEUE)
        celery.close()
        with redis.Redis.from_url(self.place.redis.url) as client:
            client.lpush(RUN_QUEUE, self.markers.make("nomessage"))
            for channel in ("longhaul:fenced", "longhaul:user:ada"):
                client.publish(channel, self.markers.make("published"))

    def begin_work(self) -> None:
        """Leave a call under way, for whatever comes next."""
        job_id = self.submit(f"{self.markers.make('lastprompt')} <<stand-in: duration_s=60>>")
        wait_until(
            lambda: self.place.call(self.key, f"/v1/jobs/{job_id}").json()["status"] == "RUNNING",
            "the call",
        )

    def redis_away(self) -> None:
        """Work on while Redis is away, and come back."""
        self.place.redis.kill()
        job_id = self.submit(self.markers.make("awayprompt"))
        with suppress(Exception):
            self.place.call(self.key, "/v1/ws-tickets", method="POST")
        self.place.redis.start()
        self.ended(job_id)


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_line_at_any_level_shows_a_payload_or_a_secret(form: str, tmp_path: Path) -> None:
    markers = Markers()
    settings_key = markers.make("settingskey")
    raw = markers.make("webhooksecret").encode()
    secret = "whsec_" + base64.b64encode(raw[:30].ljust(30, b"q")).decode()
    markers.add("signingsecret", secret.removeprefix("whsec_"))
    with (
        receiving(refusals=2) as receiver,
        running_place(
            tmp_path,
            LONGHAUL_LOG_FORMAT=form,
            LONGHAUL_API_KEYS=f"ada:{settings_key}",
            LONGHAUL_WEBHOOK_SECRETS=f"{secret},whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            LONGHAUL_WEBHOOK_SCHEDULE="0,1,1,1",
            LONGHAUL_SWEEP_SECONDS="0.5",
            LONGHAUL_DRAIN_SECONDS="1",
        ) as place,
    ):
        run = Run(place, markers, settings_key)
        made = markers.add("madekey", place.make_key("ada"))
        assert place.call(made, "/v1/jobs").status_code == httpx.codes.OK
        token = markers.add("jwt", place.issuer.token("ada"))
        assert place.call(token, "/v1/jobs").status_code == httpx.codes.OK
        place.call(place.issuer.token("ada", exp=1), "/v1/jobs")

        run.jobs(receiver.url)
        run.signed_urls()
        run.bad_requests()
        run.sockets()
        run.garbage()
        run.redis_away()
        run.begin_work()
        program = place.system.program
    assert program is not None
    assert receiver.statuses, "no webhook was tried"
    assert markers.leaks(program.output) == []
    assert "request_answered" in program.output
    assert "Invalid request from" in program.output, "gunicorn had nothing to refuse"
    if form == "json":
        lines_are_whole(program.output)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_each_process_says_all_in_json_from_its_start_to_its_end_with_work_in_hand(
    tmp_path: Path, number: signal.Signals
) -> None:
    with LocalStack(tmp_path / "stack") as stack, ExitStack() as held:
        environ = {
            **clean_environ(),
            **stack.environ,
            "LONGHAUL_LOG_FORMAT": "json",
            "LONGHAUL_DRAIN_SECONDS": "1",
        }
        programs = {
            name: Program(
                (sys.executable, "-m", *command), environ=environ, log=tmp_path / f"{name}.log"
            )
            for name, command in PROCESSES.items()
        }
        for program in programs.values():
            held.callback(program.kill)
        web, worker, feed = (programs[name] for name in ("web", "worker", "feed"))
        web.wait_for(lambda: answers(f"{stack.web_url}/readyz"), "web is ready")
        worker.wait_for(lambda: "worker_started" in worker.output, "the worker")
        feed.wait_for(lambda: "feed_started" in feed.output, "the feed")

        body = {"prompt": "Go on. <<stand-in: duration_s=60; tokens=300; first_token_s=0>>"}
        job = http.post(f"{stack.web_url}/v1/jobs", json=body).raise_for_status().json()
        url = stack.web_url.replace("http", "ws")
        held.enter_context(connect(f"{url}/v1/ws", proxy=None))
        held.enter_context(http.stream("GET", f"{stack.web_url}/v1/jobs/{job['id']}/events"))
        worker.wait_for(lambda: "first_token_came" in worker.output, "a call")
        codes = {name: programs[name].stop(number) for name in programs}

    assert codes["web"] == codes["feed"] == 0
    for program in programs.values():
        lines = program.output.splitlines()
        assert [line for line in lines if not line.startswith("{")] == []
        assert all(json.loads(line)["event"] for line in lines)
    assert "drain_handed_over" in worker.output
    assert "worker_ended" in worker.output
    assert "feed_ended" in feed.output


def lines_are_whole(output: str) -> None:
    """Every line is JSON, but honcho's and attach's; what names a job names its trace."""
    others = [line for line in output.splitlines() if not line.startswith("{")]
    assert [line for line in others if not NOT_A_LOG.match(line)] == []
    told = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    without = [line for line in told if "job_id" in line and "trace_id" not in line]
    assert without == []
    begun = [line for line in told if line["event"] == "call_begun"]
    assert begun
    assert all(line["attempt"] for line in begun)
