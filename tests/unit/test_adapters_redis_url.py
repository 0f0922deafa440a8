"""REDIS_URL: what redis-py and Celery's kombu both take, and nothing else."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import redis
from kombu.exceptions import OperationalError

from adapters.redis_events import connect_redis
from adapters.redis_url import problem_with_redis_url
from workers.broker import make_celery

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TLS_HANDSHAKE = b"\x16"


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://cache",
        "redis://:word@[::1]:6379",
        "rediss://user:w%3Brd@cache.example.com:6379/0",
        "rediss://cache?ssl_cert_reqs=none",
        "rediss://cache/0?ssl_cert_reqs=required&ssl_check_hostname=false",
    ],
)
def test_an_address_that_both_libraries_take_is_taken(url: str) -> None:
    assert problem_with_redis_url(url) is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://h:1/0?socket_timeut=5", "has no option socket_timeut;"),
        ("redis://h:1/0?socket_timeout=5", "has no option socket_timeout;"),  # kombu's refusal
        ("redis://h:1/0?db=1", "has no option db;"),
        ("rediss://h:1/0?ssl_cert_req=none", "no option ssl_cert_req (ssl_cert_reqs is one)"),
        ("rediss://h:1/0?ssl_cert_reqs=bogus", "ssl_cert_reqs must be none, optional or required"),
        ("redis://h:1/0?ssl_cert_reqs=none", "ssl_cert_reqs is for rediss:// only"),
        ("rediss://h?ssl_check_hostname=0", "ssl_check_hostname must be true or false"),
        ("rediss://h?ssl_ca_certs=/no/such", "ssl_ca_certs must be a file that can be read"),
        ("rediss://h?ssl_ca_certs=%00", "ssl_ca_certs must be a file that can be read"),
        ("rediss://h?ssl_ca_path=", "ssl_ca_path must be a folder that can be read"),
        ("rediss://h?ssl_password=", "ssl_password must be text"),
        (
            "rediss://h?ssl_cert_reqs=none&ssl_cert_reqs=optional",
            "names ssl_cert_reqs twice",
        ),
        ("redis://h:1/0?ssl_cert_reqs", "ssl_cert_reqs is for rediss:// only"),
        ("redis://h:70000/0", "with a port from 1 to 65535"),
        ("redis://h:0", "with a port from 1 to 65535"),
        ("redis://a;redis://b", "must be redis://"),
        ("unix:///run/redis.sock", "must be redis://"),
        ("redis://word?hunter2@h:6379/0", "has an option that is not known"),
    ],
)
def test_what_one_of_them_would_stumble_over_later_is_told(url: str, told: str) -> None:
    problem = problem_with_redis_url(url)

    assert problem is not None
    assert told in problem
    assert "hunter2" not in problem


def test_every_option_that_is_taken_is_taken_by_redis_py(tmp_path: Path) -> None:
    file = tmp_path / "file.pem"
    file.touch()
    options = {
        "ssl_cert_reqs": "optional",
        "ssl_check_hostname": "true",
        "ssl_ca_certs": file,
        "ssl_ca_path": tmp_path,
        "ssl_certfile": file,
        "ssl_keyfile": file,
        "ssl_password": "x",
        "ssl_ciphers": "x",
    }
    url = "rediss://h/0?" + "&".join(f"{name}={value}" for name, value in options.items())

    assert problem_with_redis_url(url) is None
    connect_redis(url, connections=1).connection_pool.make_connection()  # connects to nothing
    make_celery(url, connections=1).connection_for_write()


def ping(url: str) -> None:
    with suppress(redis.ConnectionError):
        connect_redis(url, connections=1).ping()


def send(url: str) -> None:
    with suppress(OperationalError):
        make_celery(url, connections=1).send_task("x", queue="x", retry=False)


@pytest.mark.parametrize("say", [ping, send], ids=["redis-py", "celery"])
@pytest.mark.parametrize("options", ["", "?ssl_cert_reqs=none", "?ssl_check_hostname=false"])
def test_rediss_is_tls_from_the_first_byte(say: Callable[[str], None], options: str) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def hear() -> None:
            connection, _ = listening.accept()
            with connection:
                heard.append(connection.recv(1))
            listening.close()

        listener = threading.Thread(target=hear)
        listener.start()
        say(f"rediss://127.0.0.1:{port}/0{options}")
        listener.join(30)

    assert heard == [TLS_HANDSHAKE]
