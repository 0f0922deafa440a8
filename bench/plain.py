"""The peer: WebSockets as one writes them by hand, on simple-websocket and redis-py alone.

No users, no jobs, no numbers, no bounds: what a socket costs before Longhaul does anything for it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import gevent
import redis
from simple_websocket import ConnectionClosed, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

CHANNEL = "bench:plain"
STREAM = "bench:stream:"  # and a number: a channel of one socket's own, which asks for it by name
PING_SECONDS = 25

_watchers: set[Server] = set()
_streams: dict[str, Server] = {}
_listeners: list[gevent.Greenlet] = []


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Echo what a WebSocket says; one that has said something is sent what is published. WSGI.

    What it says may be the name of a stream, which then is all that it is sent.
    """
    if "HTTP_UPGRADE" not in environ:
        start_response("200 OK", [("Content-Length", "0")])
        return []
    if not _listeners:
        _listeners.append(gevent.spawn(_listen))
    server = Server(environ, ping_interval=PING_SECONDS)
    try:
        while True:
            said = server.receive()
            if said.startswith(STREAM):
                _streams[said] = server
            else:
                _watchers.add(server)
            server.send(said)
    except ConnectionClosed:
        _watchers.discard(server)
    raise StopIteration  # gunicorn's sign that nothing is left to answer


def _listen() -> None:
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    pubsub = client.pubsub()  # type: ignore[no-untyped-call] # redis-py's
    pubsub.subscribe(CHANNEL)
    pubsub.psubscribe(f"{STREAM}*")
    while True:
        message = pubsub.get_message(timeout=1.0)
        if message is not None and message["type"] == "pmessage":
            _streams[message["channel"].decode()].send(message["data"].decode())
        elif message is not None and message["type"] == "message":
            text = message["data"].decode()
            for server in tuple(_watchers):
                server.send(text)
