"""rediss:// and its options: redis-py and Celery speak to a Redis behind TLS alike."""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import pytest
import redis
from kombu.exceptions import OperationalError

from adapters.redis_events import connect_redis
from adapters.redis_url import problem_with_redis_url
from tests.certificates import write_certificate
from tests.free_ports import free_base
from tests.stack import RedisServer
from workers.broker import make_celery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOST = "127.0.0.1"


class Terminator:
    """Takes TLS off in front of a Redis, in a thread of its own."""

    def __init__(self, upstream: int, certificate: Path) -> None:
        self.port = free_base(1)
        self._upstream = upstream
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._is_up = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_up.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(30)

    async def _run(self) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        server = await asyncio.start_server(self._serve, HOST, self.port, ssl=self._context)
        self._is_up.set()
        await stopped.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(HOST, self._upstream)
        try:
            await asyncio.gather(_pass_on(reader, forth), _pass_on(back, writer))
        except asyncio.CancelledError:
            pass  # the test is over; asyncio would tell of it
        finally:
            forth.transport.abort()
            writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()
        writer.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls"))


def ping(url: str) -> None:
    with connect_redis(url, connections=1) as client:
        assert client.ping()


def send(url: str) -> None:
    with make_celery(url, connections=1) as celery:
        celery.send_task("x", queue="x", retry=False)


@pytest.fixture
def tls(server: RedisServer, certificate: Path) -> Iterator[Terminator]:
    """A port of its own for each test: kombu keeps connections by port, whatever their options."""
    port = urlsplit(server.url).port
    assert port is not None
    with Terminator(port, certificate) as tls:
        yield tls


@pytest.mark.parametrize("say", [ping, send], ids=["redis-py", "celery"])
@pytest.mark.parametrize(
    "options",
    [
        "ssl_ca_certs={file}",
        "ssl_cert_reqs=required&ssl_check_hostname=true&ssl_ca_certs={file}",
        "ssl_cert_reqs=none",
    ],
    ids=["ca", "all", "none"],
)
def test_both_speak_to_a_redis_behind_tls(
    tls: Terminator, certificate: Path, options: str, say: Callable[[str], None]
) -> None:
    url = f"rediss://{HOST}:{tls.port}/0?{options.format(file=certificate)}"

    assert problem_with_redis_url(url) is None
    say(url)


@pytest.mark.parametrize("say", [ping, send], ids=["redis-py", "celery"])
def test_both_refuse_one_for_whose_certificate_nobody_vouches(
    tls: Terminator, say: Callable[[str], None]
) -> None:
    with pytest.raises((redis.ConnectionError, OperationalError), match="CERTIFICATE_VERIFY"):
        say(f"rediss://{HOST}:{tls.port}/0")
