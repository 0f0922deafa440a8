"""Load: what comes late of the clients' own accord is told apart from what the server takes."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

from bench.load import LoadGenerator, post

_ANSWER = b"HTTP/1.1 202 ACCEPTED\r\nContent-Length: 2\r\n\r\n{}"


def test_a_request_that_waits_for_a_slow_server_is_not_late_by_the_clients() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        threading.Thread(target=answer_each, args=(server,), daemon=True).start()
        with LoadGenerator(port, post("/", b"{}", port=port), connections=1) as clients:
            load = clients.offer(400, seconds=0.25)

    assert len(load.late) == len(load.latencies) > 0
    assert min(load.late) >= 0
    assert sum(load.late) < sum(load.latencies)


def answer_each(server: socket.socket) -> None:
    """Answer one request after the other, each a little after it has come."""
    client, _ = server.accept()
    with client:
        while client.recv(64 * 1024):
            threading.Event().wait(0.005)
            client.sendall(_ANSWER)
