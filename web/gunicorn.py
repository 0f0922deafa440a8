"""gunicorn's configuration, read once before a worker is forked: settings fail here, in a line."""

from __future__ import annotations

import gc
import math
import os
import sys
import time
from typing import TYPE_CHECKING

import gevent
import gunicorn.http.wsgi

from adapters.listening import check_port
from adapters.logs import configure_logs, get_urgent_log
from adapters.metrics_sharing import begin_sharing, end_sharing, forget_process
from adapters.settings import read_settings
from jobs.errors import Misconfigured
from web.background import spawn
from web.door import turn_newcomers_away
from web.gunicorn_log import OneLog

if TYPE_CHECKING:
    from types import TracebackType

    from gunicorn.arbiter import Arbiter

    from web.gunicorn_worker import WebWorker

_LOOK_SECONDS = 0.1

try:
    _settings = read_settings(os.environ)
except Misconfigured as error:
    sys.stderr.write(f"web: {error}\n")
    sys.exit(2)

gunicorn.http.wsgi.SERVER = "longhaul"  # the Server header; what serves it is nobody's business


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


bind = [_address(_settings.host, _settings.port)]
if begin_sharing() and "GUNICORN_FD" not in os.environ:
    try:  # gunicorn would try for five seconds and then say it in a traceback
        check_port("requests", _settings.host, _settings.port)
        if _settings.metrics_port:
            check_port("metrics", _settings.metrics_host, _settings.metrics_port)
    except Misconfigured as error:
        end_sharing()
        sys.stderr.write(f"web: {error}\n")
        sys.exit(2)
if _settings.metrics_port:
    bind.append(_address(_settings.metrics_host, _settings.metrics_port))
workers = _settings.web_processes
worker_class = "web.gunicorn_worker.WebWorker"
worker_connections = _settings.web_connections
backlog = 2048
timeout = 60  # a worker whose event loop has stood still for so long is replaced
graceful_timeout = max(5, math.ceil(_settings.drain_seconds))
# Longer than a load balancer's 120 s: the one that asks must be the one that closes.
keepalive = 130
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
control_socket_disable = True  # it would be opened under $HOME, which containers keep read-only
# What a client says of another server in front of this one is not believed: SCRIPT_NAME made a 500.
forwarder_headers = ""
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
accesslog = None  # web/app.py tells of each request
errorlog = "-"
logger_class = OneLog
configure_logs(_settings)
loglevel = "info"


def when_ready(server: Arbiter) -> None:
    """Let the arbiter turn newcomers away before it tells its workers to go; it has no hook there.

    Not where another listens on the same sockets: after SIGUSR2, or under systemd's activation.
    """
    stop = server.stop

    def turn_away_and_stop(graceful: bool = True) -> None:  # noqa: FBT001, FBT002 - gunicorn's
        is_only_one = server.reexec_pid == server.master_pid == 0 and not server.systemd
        if graceful and is_only_one:
            turn_newcomers_away(server.LISTENERS)
        stop(graceful)

    server.stop = turn_away_and_stop


def post_fork(server: Arbiter, worker: WebWorker) -> None:  # noqa: ARG001 - gunicorn's signature
    """Let a greenlet that ends by an error say so as a thread does; gevent would quote it."""
    gevent.get_hub().print_exception = _tell_end


def post_worker_init(worker: WebWorker) -> None:
    """Close WebSockets and idle connections as soon as the worker is told to go.

    gunicorn only waits for them, until the graceful time-out cuts them off without a word. What
    was loaded stays: the garbage collector need not look at it again, which takes it 0.1 s.
    """
    gc.collect()
    gc.freeze()
    spawn(lambda: _drain_at_the_end(worker))


def child_exit(server: Arbiter, worker: WebWorker) -> None:  # noqa: ARG001 - gunicorn's signature
    """Forget the sockets that a worker held when it ended."""
    forget_process(worker.pid)


def on_exit(server: Arbiter) -> None:  # noqa: ARG001 - gunicorn's signature
    """Remove what the workers have counted."""
    end_sharing()


def _tell_end(
    context: object,  # noqa: ARG001 - gevent's signature; it shows the greenlet's arguments
    kind: type[BaseException],
    error: BaseException | None,
    at: TracebackType | None,
) -> None:
    get_urgent_log().critical("greenlet_ended", exc_info=(kind, error, at))


def _drain_at_the_end(worker: WebWorker) -> None:
    from web.app import drain  # noqa: PLC0415 - nothing that opens sockets before gevent patches

    while worker.alive:
        time.sleep(_LOOK_SECONDS)
    worker.close_idle()
    drain(worker.wsgi)
