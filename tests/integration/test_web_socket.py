"""WebSockets through real gunicorn, gevent and TCP."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.builders import JOB_ID
from tests.integration.test_web_process import WebProcess, close_code, receive, web
from tests.stack import wait_until
from tests.web_world import ADA, BOB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["web"]

CHUNK = 25
CHUNKS = 50
SIZE = 8_000  # 50 * 25 * 8,000 is 10 MB to each reader
TEXT, CLOSE, PING = 0x1, 0x8, 0x9


@pytest.fixture
def hasty_web(tmp_path: Path) -> Iterator[WebProcess]:
    """Give a web process that waits one second for a slow reader, not ten."""
    process = WebProcess(tmp_path, write_seconds=1)
    yield process
    process.stop()


def test_a_slow_reader_sees_no_corrupt_frame_and_delays_nobody(hasty_web: WebProcess) -> None:
    web = hasty_web
    job_id = web.submit()
    slow = SlowReader(web.port)
    slow.send({"type": "subscribe", "job_id": job_id, "after": 1})
    with ExitStack() as stack:
        fast = [stack.enter_context(web.connect()) for _ in range(20)]
        for client in fast:
            client.send(json.dumps({"type": "subscribe", "job_id": job_id, "after": 1}))
            assert receive(client)["type"] == "subscribed"
        wait_until(lambda: web.sockets()["sockets"] == 21, "all sockets are in")

        for chunk in range(CHUNKS):
            first = 2 + chunk * CHUNK
            web.publish(job_id, first=first, count=CHUNK, size=SIZE)
            for client in fast:
                told = [receive(client) for _ in range(CHUNK)]
                assert [event["seq"] for event in told] == list(range(first, first + CHUNK))
                assert all(len(event["text"]) == SIZE for event in told)

        wait_until(lambda: web.sockets()["sockets"] == 20, "the slow reader is dropped")
        messages, _ = slow.read_to_the_end()
    assert messages[0]["type"] == "subscribed"
    numbers = [message["seq"] for message in messages[1:]]
    assert numbers == list(range(2, 2 + len(numbers)))
    assert 0 < len(numbers) < CHUNKS * CHUNK
    assert all(len(str(message["text"])) == SIZE for message in messages[1:])


def test_a_slow_reader_among_a_hundred_fast_ones_delays_none_of_them(tmp_path: Path) -> None:
    web = WebProcess(tmp_path, write_seconds=60)
    job_id = web.submit()
    slow = SlowReader(web.port)
    slow.send({"type": "subscribe", "job_id": job_id, "after": 1})
    with ExitStack() as stack:
        stack.callback(web.stop)
        stack.callback(slow.sock.close)
        fast = [stack.enter_context(web.connect()) for _ in range(100)]
        for client in fast:
            client.send(json.dumps({"type": "subscribe", "job_id": job_id, "after": 1}))
            assert receive(client)["type"] == "subscribed"
        wait_until(lambda: web.sockets()["sockets"] == 101, "all sockets are in")

        for first in range(2, 102, CHUNK):
            web.publish(job_id, first=first, count=CHUNK, size=SIZE)
            for client in fast:
                told = [receive(client)["seq"] for _ in range(CHUNK)]
                assert told == list(range(first, first + CHUNK))

        # All of them have everything while the slow one, still there, has not read a byte of it:
        # its 800 KB are more than TCP holds for it, so a write has been waiting for it all along.
        assert web.sockets()["sockets"] == 101
        messages = slow.read_messages(101)
    assert [message["seq"] for message in messages] == [1, *range(2, 102)]


def test_a_reader_that_falls_ever_further_behind_sees_whole_frames_to_the_end(
    web: WebProcess,
) -> None:
    job_id = web.submit()
    slow = SlowReader(web.port)
    slow.send({"type": "subscribe", "job_id": job_id, "after": 1})
    wait_until(lambda: web.sockets()["topics"] == 1, "it is subscribed")

    # Of each 205 KB it reads half, so that TCP's buffers are full for a long while, and every
    # write meets a socket that takes a part of it only. It answers pings: it is slow, not dead.
    for chunk in range(CHUNKS):
        web.publish(job_id, first=2 + chunk * CHUNK, count=CHUNK, size=SIZE)
        slow.read_some(100_000)
        slow.pong()
    messages, code = slow.read_to_the_end()

    numbers = [message["seq"] for message in messages[1:]]
    assert numbers == list(range(2, 2 + len(numbers)))
    assert all(len(str(message["text"])) == SIZE for message in messages[1:])
    assert code == 4408


def test_a_slow_reader_that_wakes_up_in_time_is_told_4408(web: WebProcess) -> None:
    job_id = web.submit()
    slow = SlowReader(web.port)
    slow.send({"type": "subscribe", "job_id": job_id, "after": 1})
    wait_until(lambda: web.sockets()["topics"] == 1, "it is subscribed")

    web.publish(job_id, first=2, count=CHUNKS * CHUNK, size=SIZE)
    messages, code = slow.read_to_the_end()

    numbers = [message["seq"] for message in messages[1:]]
    assert numbers == list(range(2, 2 + len(numbers)))
    assert code == 4408
    wait_until(lambda: web.sockets() == {"sockets": 0, "topics": 0}, "nothing is left of it")


def test_a_reader_that_catches_up_gets_everything(web: WebProcess) -> None:
    job_id = web.submit()
    with web.connect() as client:
        client.send(json.dumps({"type": "subscribe", "job_id": job_id, "after": 1}))
        receive(client)
        web.publish(job_id, first=2, count=100, size=SIZE)

        told = [receive(client)["seq"] for _ in range(100)]

    assert told == list(range(2, 102))


def test_a_long_log_is_told_whole_to_who_comes_late(web: WebProcess) -> None:
    job_id = web.submit()
    web.publish(job_id, first=1_000_001, count=1, event="job.started")
    web.publish(job_id, first=1_000_002, count=3_000, size=1_000)
    with web.connect() as client:
        client.send(json.dumps({"type": "subscribe", "job_id": job_id}))
        assert receive(client)["type"] == "subscribed"

        told = [receive(client)["seq"] for _ in range(3_002)]

    assert told == [1, *range(1_000_001, 1_003_002)]


def test_a_whole_job_is_watched(web: WebProcess) -> None:
    job_id = web.submit()
    with web.connect(headers={**ADA, "X-Amzn-Trace-Id": TRACE}) as client:
        assert client.response is not None
        assert client.response.headers["X-Amzn-Trace-Id"] == TRACE
        client.send(json.dumps({"type": "subscribe", "job_id": job_id, "after": 1}))
        opening = receive(client)
        web.publish(job_id, first=1_000_001, count=1, event="job.started")
        web.publish(job_id, first=1_000_002, count=1)
        started, delta = receive(client), receive(client)
        seq = web.command("complete", job_id=job_id)["seq"]
        web.publish(job_id, first=seq, count=1, event="job.completed")
        end = receive(client)
        client.send(json.dumps({"type": "subscribe", "job_id": job_id, "after": delta["seq"]}))
        again, terminal = receive(client), receive(client)

    assert (opening["seq"], opening["job"]["status"]) == (1, "PENDING")
    assert (started["event"], delta["event"]) == ("job.started", "job.delta")
    assert (end["seq"], end["event"]) == (seq, "job.completed")
    assert (again["recovered"], again["job"]["result"]["text"]) == (True, "Hello")
    assert (terminal["seq"], terminal["event"]) == (seq, "job.completed")


def test_after_the_bus_was_away_every_watcher_learns_the_end(web: WebProcess) -> None:
    job_id = web.submit()
    with ExitStack() as stack:
        clients = [stack.enter_context(web.connect()) for _ in range(12)]
        for client in clients:
            client.send(json.dumps({"type": "subscribe", "job_id": job_id, "after": 1}))
            receive(client)
        seq = web.command("complete", job_id=job_id)["seq"]

        web.command("lose_touch")

        for client in clients:
            told = [receive(client) for _ in range(3)]
            assert [event["event"] for event in told] == [
                "job.started",
                "job.delta",
                "job.completed",
            ]
            assert (told[1]["text"], told[2]["seq"]) == ("Hello", seq)


def test_another_users_job_is_not_found(web: WebProcess) -> None:
    job_id = web.submit(ADA)
    with web.connect(headers=BOB) as client:
        errors = []
        for name in (job_id, JOB_ID, "nonsense"):
            client.send(json.dumps({"type": "subscribe", "job_id": name}))
            errors.append(receive(client))
        web.publish(job_id, first=2, count=3)
        web.publish(job_id, first=5, count=1, event="job.completed")
        client.send('{"type":"ping"}')

        assert receive(client) == {"type": "pong"}

    assert {error["code"] for error in errors} == {"job_not_found"}
    assert len({error["detail"] for error in errors}) == 1


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"type":5}',
        '{"type":"shout"}',
        '{"type":["ping"]}',
        '{"type":"subscribe"}',
        '{"type":"subscribe","job_id":5}',
        '{"type":"subscribe","job_id":"x","after":"5"}',
        '{"type":"subscribe","job_id":"x","after":-1}',
        '{"type":"subscribe","job_id":"x","after":true}',
        '{"type":"ping","more":1}',
        '{"type":"unsubscribe","job_id":null}',
        '{"type":"ping","type":"ping"}',
        '{"type":"\\ud800"}',
        "[" * 60_000,
        b"\x00\x01",
    ],
)
def test_a_bad_message_gets_an_error_and_the_connection_stays(
    shared_web: WebProcess, message: str | bytes
) -> None:
    with shared_web.connect() as client:
        client.send(message)
        refusal = receive(client)
        client.send('{"type":"ping"}')

        assert receive(client) == {"type": "pong"}

    assert refusal["type"] == "error"
    assert refusal["code"] in {"invalid_request", "malformed_json"}
    assert refusal["detail"]


@pytest.mark.parametrize("size", [65_537, 5_000_000])
def test_a_message_that_is_too_big_ends_with_1009(shared_web: WebProcess, size: int) -> None:
    with shared_web.connect() as client:
        with suppress(ConnectionClosed):  # the server need not read all of it to say so
            client.send("x" * size)

        assert close_code(client) == 1009


def test_a_message_in_many_fragments_is_bound_as_well(shared_web: WebProcess) -> None:
    with shared_web.connect() as client:
        with suppress(ConnectionClosed):
            client.send("x" * 1_000 for _ in range(70))

        assert close_code(client) == 1009


def test_a_flood_of_messages_ends_with_4429(shared_web: WebProcess) -> None:
    with shared_web.connect(max_queue=None) as client:
        with suppress(ConnectionClosed):
            for _ in range(1_000):
                client.send('{"type":"ping"}')

        assert close_code(client) == 4429


def test_a_peer_that_hangs_up_is_forgotten(web: WebProcess) -> None:
    job_id = web.submit()
    for _ in range(5):
        slow = SlowReader(web.port)
        slow.send({"type": "subscribe", "job_id": job_id})
        slow.sock.close()
    with web.connect() as client:
        client.send(json.dumps({"type": "subscribe", "job_id": job_id}))
        receive(client)

    wait_until(lambda: web.sockets() == {"sockets": 0, "topics": 0}, "nobody is left")
    assert "Traceback" not in web.program.output


def test_frames_that_break_the_protocol_end_the_connection_and_nothing_else(
    shared_web: WebProcess,
) -> None:
    for junk, code in (
        (b"\x81\x05hello", 1002),  # not masked
        (b"\xff" * 40, 1002),
        (b"\x83\x80\x00\x00\x00\x00", 1002),
        (b"\x89\xfe\x01\x00", 1002),
        (b"\x81\x81\x00\x00\x00\x00\xff", 1007),  # not UTF-8
    ):
        slow = SlowReader(shared_web.port)
        slow.sock.sendall(junk)
        assert slow.read_to_the_end()[1] == code, junk

    assert shared_web.http.get("/healthz").status_code == 200
    assert "Traceback" not in shared_web.program.output


def test_a_peer_that_answers_no_ping_is_told_1008(tmp_path: Path) -> None:
    web = WebProcess(tmp_path, ping_seconds=0.5)
    try:
        assert SlowReader(web.port).read_to_the_end()[1] == 1008
        wait_until(lambda: web.sockets()["sockets"] == 0, "it is forgotten")
    finally:
        web.stop()


def test_compression_is_not_accepted(shared_web: WebProcess) -> None:
    with shared_web.connect(compression="deflate") as client:
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Authorization": "Bearer nobody"}, 401),
        ({**ADA, "Origin": "https://evil.example"}, 101),
        ({**ADA, "Origin": "null"}, 101),
        ({"Authorization": "Bearer nobody", "Sec-WebSocket-Protocol": "x, longhaul.v1"}, 101),
        ({**ADA, "X-Odd": "\xe9"}, 101),
        ({**ADA, "Sec-WebSocket-Protocol": ",,"}, 101),
        ({**ADA, "Cookie": "a=" + "b" * 8_000}, 101),
    ],
)
def test_a_handshake_is_taken_or_refused_before_it(
    shared_web: WebProcess, headers: dict[str, str], status: int
) -> None:
    assert _handshake(shared_web.port, headers=headers).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Upgrade": "", "Connection": "close"}, 426),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 426),
        ({"Sec-WebSocket-Key": "!" * 24}, 426),
    ],
)
def test_what_is_no_handshake_is_426(
    shared_web: WebProcess, changes: dict[str, str], status: int
) -> None:
    answer = _handshake(shared_web.port, headers={**ADA, **changes})

    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"application/problem+json" in answer


def test_a_page_of_our_own_may_connect(shared_web: WebProcess) -> None:
    own = f"http://127.0.0.1:{shared_web.port}"

    with shared_web.connect(origin=own) as client:
        client.send('{"type":"ping"}')

        assert receive(client) == {"type": "pong"}
    with shared_web.connect(origin="http://127.0.0.1:1") as client:
        assert close_code(client) == 4403


def test_a_ticket_opens_one_socket(shared_web: WebProcess) -> None:
    given = shared_web.http.post("/v1/ws-tickets", headers=ADA)
    assert given.status_code == 201
    assert given.headers["Cache-Control"] == "no-store"
    query = f"?ticket={given.json()['ticket']}"
    job_id = shared_web.submit()

    with shared_web.connect(headers={}, query=query) as client:
        client.send(json.dumps({"type": "subscribe", "job_id": job_id}))
        assert receive(client)["type"] == "subscribed"
    for used in (query, "?ticket=", "?ticket=nobody"):
        with pytest.raises(InvalidStatus), shared_web.connect(headers={}, query=used):
            pass
    assert shared_web.http.post("/v1/ws-tickets").status_code == 401


def test_the_subprotocol_is_taken_where_it_is_offered(shared_web: WebProcess) -> None:
    with shared_web.connect(subprotocols=["other", "longhaul.v1"]) as client:
        assert client.subprotocol == "longhaul.v1"
    with shared_web.connect(subprotocols=["other"]) as client:
        assert client.subprotocol is None


def test_without_a_header_the_first_message_must_authenticate(shared_web: WebProcess) -> None:
    token = ADA["Authorization"].removeprefix("Bearer ")
    job_id = shared_web.submit()
    with shared_web.connect(headers={}) as client:
        client.send(json.dumps({"type": "auth", "token": token}))
        assert receive(client) == {"type": "authenticated"}
        client.send(json.dumps({"type": "subscribe", "job_id": job_id}))
        assert receive(client)["type"] == "subscribed"

    for first in ('{"type":"ping"}', "nonsense", '{"type":"auth","token":"nobody"}'):
        with shared_web.connect(headers={}) as client:
            client.send(first)
            assert receive(client)["code"] == "unauthenticated"
            assert close_code(client) == 4401


TRACE = "Root=1-6922915b-aaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture(scope="module")
def shared_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path_factory.mktemp("web"))
    yield process
    process.stop()


class SlowReader:
    """A WebSocket client with a small window that reads when it is told to, and strictly."""

    def __init__(self, port: int) -> None:
        self._data = bytearray()
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self.sock.settimeout(60)
        self.sock.connect(("127.0.0.1", port))
        self.sock.sendall(_request(ADA))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 "), head

    def send(self, message: dict[str, object]) -> None:
        data = json.dumps(message).encode()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self.sock.sendall(struct.pack("!BB", 0x81, 0x80 | len(data)) + mask + masked)

    def pong(self) -> None:
        """Say that we live; a pong needs no ping (RFC 6455, 5.5.3)."""
        with suppress(ConnectionError):
            self.sock.sendall(struct.pack("!BB", 0x8A, 0x80) + os.urandom(4))

    def read_some(self, size: int) -> None:
        """Read that much, or what there is before the end."""
        until = len(self._data) + size
        while len(self._data) < until and (piece := self.sock.recv(until - len(self._data))):
            self._data += piece

    def read_messages(self, count: int) -> list[dict[str, object]]:
        """Read until that many messages have come whole."""
        while len(messages := _parse(bytes(self._data))[0]) < count:
            piece = self.sock.recv(65_536)
            assert piece, "the connection has ended"
            self._data += piece
        return messages

    def read_to_the_end(self) -> tuple[list[dict[str, object]], int | None]:
        """Give every message that came whole, and the code of the close frame if one came.

        Fails on any byte that a correct server cannot have sent.
        """
        with suppress(ConnectionResetError):
            while piece := self.sock.recv(1 << 20):
                self._data += piece
        self.sock.close()
        return _parse(bytes(self._data))


def _parse(data: bytes) -> tuple[list[dict[str, object]], int | None]:
    messages: list[dict[str, object]] = []
    code = None
    at = 0
    while at + 2 <= len(data):
        kind, size = data[at] & 0x0F, data[at + 1]
        assert data[at] & 0xF0 == 0x80, f"byte {at} begins no frame: {data[at : at + 20]!r}"
        assert size < 0x80, "a server masks nothing"
        at += 2
        for marker, width in ((126, 2), (127, 8)):
            if size == marker:
                size = int.from_bytes(data[at : at + width])
                at += width
                break
        payload = data[at : at + size]
        at += size
        if len(payload) < size:
            break  # cut off in mid-frame, as TCP does
        if kind == TEXT:
            messages.append(json.loads(payload))
        elif kind == CLOSE:
            code = int.from_bytes(payload[:2])
        else:
            assert kind == PING, f"a frame of kind {kind}"
    return messages, code


def _handshake(port: int, *, headers: dict[str, str]) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(_request(headers))
        sock.shutdown(socket.SHUT_WR)
        return sock.makefile("rb").read()


def _request(headers: dict[str, str]) -> bytes:
    base = {
        "Host": "longhaul.example",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    lines = [f"{name}: {value}" for name, value in (base | headers).items() if value]
    return ("GET /v1/ws HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
