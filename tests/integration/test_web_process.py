"""The web process under its real gunicorn and gevent, on parts in memory."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from deploy.local.environment import REPO_ROOT
from tests.free_ports import free_base
from tests.stack import BIN, Program, clean_environ, wait_until
from tests.web_world import ADA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection

# What runs in the process under test: the app on memory, with a hand for the test to publish.
ENTRY = """
import os
from datetime import timedelta

import gevent
from flask import request

import web.event_stream
import web.sockets
import web.wire_socket
from adapters.clock import SystemClock
from jobs.errors import Unavailable
from jobs.events import EventType
from tests.web_world import World, event_of

web.event_stream.COMMENT_SECONDS = 0.5
web.sockets.AUTH_SECONDS = float(os.environ["TEST_AUTH_SECONDS"])
web.wire_socket.WRITE_SECONDS = float(os.environ["TEST_WRITE_SECONDS"])
world = World(
    clock=SystemClock(),
    max_request_bytes=25 * 1024 * 1024,
    allow_anonymous=os.environ["TEST_ALLOW_ANONYMOUS"] == "1",
)
app = world.app
app.config["SOCK_SERVER_OPTIONS"]["ping_interval"] = float(os.environ["TEST_PING_SECONDS"])
world.hub.start()


@app.post("/test/publish")
def publish():
    asked = request.get_json()
    job = world.store.get(asked["job_id"])
    for number in range(asked["first"], asked["first"] + asked["count"]):
        text = f"{number}:".ljust(asked["size"], "x")
        world.events.publish(event_of(job, number, EventType(asked["event"]), text))
    return {}


@app.post("/test/complete")
def complete():
    job = world.complete(request.get_json()["job_id"])
    return {"seq": job.seq}


@app.post("/test/lose_touch")
def lose_touch():
    world.events.lose_touch()
    return {}


@app.post("/test/drain")
def drain():
    world.hub.drain()
    return {}


@app.post("/test/break_greenlet")
def break_greenlet():
    def fail(text):
        raise ValueError(text)

    gevent.spawn(fail, request.get_json()["text"])
    return {}


@app.post("/test/lose_tickets")
def lose_tickets():
    def take(ticket):
        raise Unavailable("events", "redis.internal is away")

    world.tickets.take = take
    return {}


@app.get("/test/log")
def log():
    return [{"event": line.event, "level": line.level, **line.keys} for line in world.log.lines]


@app.get("/test/sockets")
def sockets():
    return {"sockets": len(world.hub._watchers), "topics": len(world.events.topics)}
"""


class WebProcess:
    """gunicorn with web/gunicorn.py and the app above."""

    def __init__(
        self,
        folder: Path,
        *,
        write_seconds: float = 10,
        auth_seconds: float = 10,
        ping_seconds: float = 25,
        allow_anonymous: bool = False,
    ) -> None:
        (folder / "tiny_entry.py").write_text(ENTRY)
        self.port = free_base(1)
        environ = {
            **clean_environ(),
            "PYTHONPATH": str(folder),
            "PORT": str(self.port),
            "REDIS_URL": "redis://nowhere.invalid",
            "LONGHAUL_BUCKET": "nowhere",
            "HOME": str(folder),
            "TEST_AUTH_SECONDS": str(auth_seconds),
            "TEST_ALLOW_ANONYMOUS": str(int(allow_anonymous)),
            "TEST_PING_SECONDS": str(ping_seconds),
            "TEST_WRITE_SECONDS": str(write_seconds),
        }
        command = (f"{BIN}/gunicorn", "--config", "web/gunicorn.py", "tiny_entry:app")
        self.program = Program(command, environ=environ, log=folder / "web.log")
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.program.wait_for(self._answers, "the web process answers")

    def submit(self, headers: dict[str, str] = ADA) -> str:
        answer = self.http.post("/v1/jobs", json={"prompt": "x"}, headers=headers)
        job_id: str = answer.raise_for_status().json()["id"]
        return job_id

    def command(self, name: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        answer: dict[str, Any] = self.http.post(f"/test/{name}", json=body).json()
        return answer

    def publish(
        self, job_id: str, *, first: int, count: int, size: int = 10, event: str = "job.delta"
    ) -> None:
        self.command("publish", job_id=job_id, first=first, count=count, size=size, event=event)

    def sockets(self) -> dict[str, int]:
        sockets: dict[str, int] = self.http.get("/test/sockets").json()
        return sockets

    def log_of(self, trace_id: str) -> list[dict[str, Any]]:
        """Give the log lines of one request."""
        lines: list[dict[str, Any]] = self.http.get("/test/log").json()
        return [line for line in lines if line.get("trace_id") == trace_id]

    def connect(
        self,
        headers: dict[str, str] = ADA,
        query: str = "",
        name: str = "127.0.0.1",
        **options: Any,  # noqa: ANN401 - websockets' own
    ) -> ClientConnection:
        """Open a socket to the process, under a name that leads nowhere else."""
        url = f"ws://{name}:{self.port}/v1/ws{query}"
        line = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        client: ClientConnection = connect(url, sock=line, additional_headers=headers, **options)
        return client

    def stop(self) -> None:
        self.http.close()
        self.program.kill()

    def _answers(self) -> bool:
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def shared_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    """One for the tests that neither stop it nor look at all that it holds."""
    process = WebProcess(tmp_path_factory.mktemp("web"))
    yield process
    process.stop()


def receive(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(client.recv(timeout=30))
    return message


def close_code(client: ClientConnection) -> int | None:
    """Read on until the other side has closed, and give its code."""
    try:
        while True:
            client.recv(timeout=30)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def test_sigterm_closes_every_socket_with_1012_and_ends_the_process(web: WebProcess) -> None:
    job_id = web.submit()
    with ExitStack() as stack:
        clients = [stack.enter_context(web.connect()) for _ in range(20)]
        for client in clients[:10]:
            client.send(json.dumps({"type": "subscribe", "job_id": job_id}))
            assert receive(client)["type"] == "subscribed"
        wait_until(lambda: web.sockets()["sockets"] == 20, "all sockets are in")

        web.program.process.send_signal(signal.SIGTERM)

        assert [close_code(client) for client in clients] == [1012] * 20
    assert web.program.process.wait(30) == 0
    assert "Traceback" not in web.program.output
    assert "graceful timeout" not in web.program.output


def read_answer(line: socket.socket) -> HTTPResponse:
    answer = HTTPResponse(line)
    answer.begin()
    answer.read()
    return answer


def ask(line: socket.socket) -> None:
    """Send one request on a connection that is kept, and read its answer."""
    line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert read_answer(line).status == 200


def test_a_kept_connection_is_closed_by_a_drain_and_does_not_delay_it(web: WebProcess) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as line:
        ask(line)
        ask(line)

        web.program.process.send_signal(signal.SIGTERM)

        assert line.recv(65536) == b""  # in 20 s: by itself it would be kept for 130
    assert web.program.process.wait(20) == 0
    assert "Socket error" not in web.program.log.read_text()


def test_requests_under_way_end_while_the_process_drains(web: WebProcess) -> None:
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"".join(f"{name}: {value}\r\n".encode() for name, value in ADA.items())
    with ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=20))
            for _ in range(3)
        ]
        kept, half_a_head, half_a_body = lines
        for line in lines:
            ask(line)
        half_a_head.sendall(head)
        half_a_body.sendall(head + b"Content-Length: 15\r\n\r\n{")

        web.program.process.send_signal(signal.SIGTERM)
        assert kept.recv(65536) == b""
        half_a_head.sendall(b'Content-Length: 15\r\n\r\n{"prompt": "x"}')
        half_a_body.sendall(b'"prompt": "x"}')

        for line in (half_a_head, half_a_body):
            assert read_answer(line).status == 202
            assert line.recv(65536) == b""
    assert web.program.process.wait(20) == 0


def test_an_idle_process_leaves_no_file_in_home_and_no_warning(web: WebProcess) -> None:
    home = web.program.log.parent

    assert {path.name for path in home.iterdir()} <= {"tiny_entry.py", "web.log", "__pycache__"}
    assert "Warning" not in web.program.output
    assert web.http.get("/healthz").headers["Server"] == "longhaul"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_30_mb_gets_a_413_that_the_client_can_read(
    shared_web: WebProcess,
    is_chunked: bool,  # noqa: FBT001 - pytest's way
) -> None:
    body = b'{"prompt": "' + b"x" * 30_000_000 + b'"}'
    pieces = (body[start : start + 65_536] for start in range(0, len(body), 65_536))

    answer = shared_web.http.post(
        "/v1/jobs",
        content=pieces if is_chunked else body,
        headers={**ADA, "Content-Type": "application/json"},
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert shared_web.http.get("/healthz").status_code == 200


def test_a_refused_caller_with_a_big_body_can_read_the_refusal(shared_web: WebProcess) -> None:
    answer = shared_web.http.post("/v1/jobs", content=b"x" * 30_000_000)

    assert answer.status_code == 401


def test_curl_reads_the_413_as_well(shared_web: WebProcess, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    assert curl, "curl is not installed"
    body = tmp_path / "body.json"
    body.write_bytes(b'{"prompt": "' + b"x" * 30_000_000 + b'"}')

    done = subprocess.run(  # noqa: S603 - our own command
        [
            curl,
            "-sS",
            "--data-binary",
            f"@{body}",
            *("-H", f"Authorization: {ADA['Authorization']}"),
            *("-H", "Content-Type: application/json"),
            f"http://127.0.0.1:{shared_web.port}/v1/jobs",
        ],
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert json.loads(done.stdout)["code"] == "payload_too_large", done.stderr


@pytest.mark.parametrize(
    "tail",
    [
        b"Content-Length: 500\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ],
)
def test_a_body_that_breaks_off_never_makes_a_500(shared_web: WebProcess, tail: bytes) -> None:
    head = (
        "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: {ADA['Authorization']}\r\n"
    )
    with socket.create_connection(("127.0.0.1", shared_web.port), timeout=30) as sock:
        sock.sendall(head.encode() + tail)
        sock.shutdown(socket.SHUT_WR)

        answer = sock.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert "request_failed" not in shared_web.program.output


def test_a_greenlet_that_ends_by_an_error_is_one_line_that_does_not_quote_it(
    shared_web: WebProcess,
) -> None:
    secret = "the-prompt-of-ada"

    shared_web.command("break_greenlet", text=secret)

    def told() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in shared_web.program.output.splitlines()]
        return [line for line in lines if line["event"] == "greenlet_ended"]

    [line] = wait_until(told, "the line")
    assert line["level"] == "critical"
    assert "tiny_entry.py" in line["exception"]
    assert "ValueError in fail (tiny_entry.py:" in line["exception"]
    assert secret not in shared_web.program.output


GUNICORN = (f"{BIN}/gunicorn", "--config", "web/gunicorn.py", "web.entry:app")
SERVE = (sys.executable, "-m", "web.serve")


def refusal_of(command: tuple[str, ...], **environ: str) -> str:
    """Start with what is wrong, and give the one line in which that is said."""
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        env={**clean_environ(), **environ},
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    [line] = f"{done.stdout}{done.stderr}".splitlines()
    return line


@pytest.mark.parametrize("command", [GUNICORN, SERVE], ids=["gunicorn", "serve"])
def test_wrong_settings_end_the_process_with_one_clear_line(command: tuple[str, ...]) -> None:
    line = refusal_of(command, LONGHAUL_TABEL="x", REDIS_URL="redis://nowhere.invalid")

    assert "LONGHAUL_TABEL: no such setting" in line
    assert "LONGHAUL_BUCKET is not set" in line


@pytest.mark.parametrize("value", ["abc", "0", "", "2.5", "4.0", " "])
def test_a_number_of_processes_that_is_none_is_told_as_any_setting(value: str) -> None:
    line = refusal_of(
        SERVE, WEB_CONCURRENCY=value, REDIS_URL="redis://127.0.0.1:1", LONGHAUL_BUCKET="bucket"
    )

    assert line == f"web: WEB_CONCURRENCY: must be a whole number from 1 to 64, not {value!r}"


@pytest.mark.parametrize(
    "module", ["web.serve", "workers.worker_entry", "workers.feed_entry"], ids=str
)
def test_what_traces_cannot_honour_ends_each_process_with_one_clear_line(module: str) -> None:
    line = refusal_of(
        (sys.executable, "-m", module),
        REDIS_URL="redis://127.0.0.1:1",
        LONGHAUL_BUCKET="bucket",
        OTEL_EXPORTER_OTLP_ENDPONT="http://127.0.0.1:4318",
        OTEL_PROPAGATORS="b3",
    )

    assert "OTEL_EXPORTER_OTLP_ENDPONT: no such setting" in line
    assert "OTEL_PROPAGATORS: must be of tracecontext" in line


def test_the_real_entry_comes_up_under_gunicorn_with_every_part_away(tmp_path: Path) -> None:
    port = free_base(1)
    nowhere = "http://127.0.0.1:1"
    environ = {
        **clean_environ(),
        "PORT": str(port),
        "REDIS_URL": "redis://127.0.0.1:1",
        "LONGHAUL_BUCKET": "nowhere",
        "LONGHAUL_ALLOW_ANONYMOUS": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_ENDPOINT_URL": nowhere,
    }
    program = Program(
        SERVE,
        environ=environ,
        log=tmp_path / "web.log",
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        try:
            program.wait_for(lambda: _is_alive(http), "the entry answers")

            ready = http.get("/readyz")
            submit = http.post("/v1/jobs", json={"prompt": "x"})
        finally:
            code = program.stop()

    assert ready.status_code == 503
    assert set(ready.json()["parts"]) == {"store", "objects", "events"}
    assert submit.status_code == 503, submit.text
    assert code == 0, program.tail()
    assert "MonkeyPatchWarning" not in program.output


def _is_alive(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False
