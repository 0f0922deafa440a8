"""The client's own httpx clients: where they go, and what leaves with a failure."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

import longhaul_client as lh
from tests.client_ways import WAYS, client_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.parametrize("way", WAYS)


class _Here(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def here() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Here) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_proxy_is_not_for_a_server_on_this_machine(
    way: str, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    with client_of(way, here) as client, pytest.raises(lh.NotFound):
        client.jobs.get("job_1")


def test_a_failure_does_not_repeat_the_address_of_a_permission(way: str) -> None:
    once = lh.Retry(tries=1)

    with (
        client_of(way, "http://127.0.0.1:1", "key-of-ada", retry=once) as client,
        pytest.raises(lh.NotConnected) as raised,
    ):
        next(iter(client.jobs.list(status="X-Amz-Signature")))

    assert str(raised.value).startswith("http://127.0.0.1:1/v1/jobs cannot be reached")
    assert "Signature" not in str(raised.value)
