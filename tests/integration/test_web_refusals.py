"""Handshakes that are refused, as a browser sees it and as any other client does."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.test_web_process import WebProcess, close_code, web
from tests.stack import wait_until
from tests.web_world import ADA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

__all__ = ["web"]

FOREIGN = "https://evil.example"
NOBODY = {"Authorization": "Bearer nobody"}


@pytest.fixture(scope="module")
def shared_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path_factory.mktemp("web"), auth_seconds=0.5)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def anonymous_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProcess]:
    process = WebProcess(tmp_path_factory.mktemp("web"), allow_anonymous=True)
    yield process
    process.stop()


def own_page(web: WebProcess) -> dict[str, Any]:
    """Give what a browser adds on a page of the server's own."""
    return {"origin": f"http://127.0.0.1:{web.port}"}


def refusal_of(client: ClientConnection) -> tuple[int, str]:
    """Give the close frame's code and reason. Fails where a message came before it."""
    with pytest.raises(ConnectionClosed) as closed:
        pytest.fail(f"a refused socket was told {client.recv(timeout=30)!r}")
    assert closed.value.rcvd is not None, "no close frame came"
    return closed.value.rcvd.code, closed.value.rcvd.reason


def trace_of(client: ClientConnection) -> str:
    assert client.response is not None
    return client.response.headers["X-Amzn-Trace-Id"].split(";")[0].removeprefix("Root=")


@pytest.mark.parametrize(
    ("headers", "query", "reason"),
    [
        ({}, "?ticket=nobody", "this ticket is used or over: ask for another"),
        ({}, "?ticket=", "this ticket is used or over: ask for another"),
        (NOBODY, "", "nobody knows this key"),
        ({"Authorization": "Basic eDp5"}, "", "Authorization must be: Bearer <key>"),
    ],
)
def test_a_browser_with_a_bad_credential_is_told_4401(
    shared_web: WebProcess, headers: dict[str, str], query: str, reason: str
) -> None:
    with shared_web.connect(headers=headers, query=query, **own_page(shared_web)) as client:
        assert refusal_of(client) == (4401, reason)


def test_a_page_of_a_foreign_origin_is_told_4403_and_spends_no_ticket(
    shared_web: WebProcess,
) -> None:
    given = shared_web.http.post("/v1/ws-tickets", headers=ADA).json()
    query = f"?ticket={given['ticket']}"
    with shared_web.connect(headers={}, query=query, origin=FOREIGN) as client:
        code, reason = refusal_of(client)

    assert (code, reason) == (4403, "pages of this origin may not open a WebSocket here")
    with shared_web.connect(headers={}, query=query, **own_page(shared_web)) as client:
        client.send('{"type":"ping"}')
        assert json.loads(client.recv(timeout=30)) == {"type": "pong"}


def test_a_page_that_was_made_to_lead_here_watches_nobody(anonymous_web: WebProcess) -> None:
    page = {"name": "evil.example", "origin": f"http://evil.example:{anonymous_web.port}"}
    with anonymous_web.connect(headers={}, **page) as client:
        code, reason = refusal_of(client)
    assert (code, "LONGHAUL_ALLOWED_HOSTS" in reason) == (4403, True)

    with (
        pytest.raises(InvalidStatus) as refused,
        anonymous_web.connect(headers={}, name="evil.example"),
    ):
        pass
    assert refused.value.response.status_code == 421
    assert refused.value.response.body is not None
    assert json.loads(refused.value.response.body)["code"] == "host_refused"


def test_a_credential_or_a_ticket_watches_under_every_name(anonymous_web: WebProcess) -> None:
    given = anonymous_web.http.post("/v1/ws-tickets", headers=ADA).json()
    page = {"name": "app.example", "origin": f"http://app.example:{anonymous_web.port}"}
    for headers, query in ((ADA, ""), ({}, f"?ticket={given['ticket']}")):
        with anonymous_web.connect(headers=headers, query=query, **page) as client:
            client.send('{"type":"ping"}')
            assert json.loads(client.recv(timeout=30)) == {"type": "pong"}


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
        b"GET /v1/jobs HTTP/1.1\r\nHost: evil.example\r\nHost: localhost",
        b"GET http://localhost/v1/jobs HTTP/1.1\r\nHost: evil.example",
        b"GET /v1/jobs HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost",
        b"GET /v1/jobs HTTP/1.0",
    ],
    ids=["first", "second", "target", "forwarded", "none"],
)
def test_no_way_to_write_a_foreign_host_passes(anonymous_web: WebProcess, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", anonymous_web.port), timeout=30) as line:
        line.sendall(head + b"\r\nConnection: close\r\n\r\n")
        status = int(line.makefile("rb").readline().split()[1])

    assert status in (400, 421)


def test_a_ticket_that_is_used_is_told_4401_the_second_time(shared_web: WebProcess) -> None:
    given = shared_web.http.post("/v1/ws-tickets", headers=ADA).json()
    query = f"?ticket={given['ticket']}"
    with shared_web.connect(headers={}, query=query, **own_page(shared_web)):
        pass

    with shared_web.connect(headers={}, query=query, **own_page(shared_web)) as client:
        assert refusal_of(client)[0] == 4401


def test_a_client_that_names_the_protocol_is_told_the_code_as_well(
    shared_web: WebProcess,
) -> None:
    with shared_web.connect(headers=NOBODY, subprotocols=["longhaul.v1"]) as client:
        assert client.subprotocol == "longhaul.v1"
        assert refusal_of(client)[0] == 4401


def test_any_other_client_reads_the_status(shared_web: WebProcess) -> None:
    for headers, query in ((NOBODY, ""), ({}, "?ticket=nobody")):
        with (
            pytest.raises(InvalidStatus) as refused,
            shared_web.connect(headers=headers, query=query),
        ):
            pass
        response = refused.value.response
        assert response.status_code == 401
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.body is not None
        assert json.loads(response.body)["code"] == "unauthenticated"


def test_a_process_that_drains_sends_browsers_away_with_1012(web: WebProcess) -> None:
    web.command("drain")

    with web.connect(headers=ADA, **own_page(web)) as client:
        assert refusal_of(client)[0] == 1012
    with pytest.raises(InvalidStatus) as refused, web.connect(headers=ADA):
        pass
    assert refused.value.response.status_code == 503


def test_a_ticket_that_cannot_be_checked_is_told_1011_and_nothing_of_the_inside(
    web: WebProcess,
) -> None:
    web.command("lose_tickets")

    with web.connect(headers={}, query="?ticket=x", **own_page(web)) as client:
        trace_id = trace_of(client)
        code, reason = refusal_of(client)

    assert (code, "redis" in reason) == (1011, False)
    wait_until(lambda: web.log_of(trace_id)[1:], "both lines")
    told, closed = web.log_of(trace_id)
    assert (told["level"], told["reason"]) == ("warning", "events: redis.internal is away")
    assert closed["code"] == 1011


def test_nothing_is_left_of_a_refused_socket_whatever_its_client_does(web: WebProcess) -> None:
    with web.connect(headers={}, query="?ticket=x", origin=FOREIGN) as client:
        trace_id = trace_of(client)
        assert close_code(client) == 4403
    rude = [web.connect(headers=NOBODY, **own_page(web)) for _ in range(5)]
    for client in rude:
        client.socket.close()  # it neither reads the close frame nor answers it

    def ended() -> int:
        return sum(line["event"] == "socket_closed" for line in web.http.get("/test/log").json())

    wait_until(lambda: ended() == 6, "all are let go")
    assert [(line["event"], line["code"]) for line in web.log_of(trace_id)] == [
        ("handshake_refused", "origin_refused"),
        ("socket_closed", 4403),
    ]
    assert web.sockets() == {"sockets": 0, "topics": 0}
    assert "Traceback" not in web.program.output


def test_what_a_refused_client_goes_on_to_send_is_not_answered(shared_web: WebProcess) -> None:
    with shared_web.connect(headers=NOBODY, **own_page(shared_web)) as client:
        token = ADA["Authorization"].removeprefix("Bearer ")
        try:
            for message in ({"type": "auth", "token": token}, {"type": "ping"}):
                client.send(json.dumps(message))
        except ConnectionClosed:
            pass  # it was closed before

        assert refusal_of(client)[0] == 4401


def test_who_does_not_authenticate_in_time_is_told_4401(shared_web: WebProcess) -> None:
    with shared_web.connect(headers={}, **own_page(shared_web)) as client:
        assert json.loads(client.recv(timeout=30))["code"] == "unauthenticated"
        assert close_code(client) == 4401
