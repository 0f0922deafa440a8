"""The JavaScript client in Node, against the real system, whose web process it may kill."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.node_tests import node_tests, run_node
from tests.stack import clean_environ
from tests.watcher_stage import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.stack import LocalStack, System

KEYS = {"ada": "key-of-ada-0123456789", "bob": "key-of-bob-0123456789"}


@contextmanager
def on_call(act: Callable[[], None]) -> Iterator[str]:
    """Give an address where a POST makes it act, and is answered once that is done."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            act()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def environ(
    system: System,  # noqa: ARG001 - the workers and the feed
    stand_ins: LocalStack,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, str]]:
    keys = {"LONGHAUL_API_KEYS": ",".join(f"{user}:{key}" for user, key in KEYS.items())}
    web = Web(
        {**clean_environ(), **stand_ins.environ, **keys},
        tmp_path_factory.mktemp("javascript-client") / "web.log",
    )

    def replace() -> None:
        web.kill()
        web.start()

    try:
        web.start()
        with on_call(replace) as control:
            yield {
                "LONGHAUL_TEST_URL": web.url,
                "LONGHAUL_TEST_KEY": KEYS["ada"],
                "LONGHAUL_TEST_OTHERS_KEY": KEYS["bob"],
                "LONGHAUL_TEST_CONTROL": control,
            }
    finally:
        web.kill()


@pytest.mark.parametrize("file", node_tests("system"), ids=lambda file: file.name)
def test_node_finds_the_client_right_with_the_real_server(
    file: Path, environ: dict[str, str]
) -> None:
    sys.stdout.write(run_node("--test", str(file), environ=environ))
