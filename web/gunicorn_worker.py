"""gunicorn's gevent worker, whose idle connections are kept for long and end with a drain."""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent
from gevent import monkey
from gunicorn.workers.ggevent import GeventWorker

from web.door import Door

if TYPE_CHECKING:
    from types import TracebackType

# Who connects has something to ask; a connection that has answered may be kept for the next.
_FIRST_HEAD_SECONDS = 5


class WebWorker(GeventWorker):  # type: ignore[misc] # gunicorn is not typed
    """Closes connections that wait between two requests once it is told to go.

    gunicorn waits until each of them has been silent for `keepalive`. A head whose first bytes
    have come is a request under way, and is read to its end.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's
        super().__init__(*args, **kwargs)
        self._connections: dict[Any, _Connection] = {}

    def server_class(
        self,
        listener: Any,  # noqa: ANN401 - gevent's socket
        *,
        spawn: Any,  # noqa: ANN401 - gevent's pool
        ssl_context: Any = None,  # noqa: ANN401 - ssl's
        **_for_pywsgi: object,
    ) -> Door:
        """Give what accepts; gunicorn calls this where a worker class has a server of its own."""
        door = Door(
            listener,
            handle=partial(self.handle, _Named(listener.getsockname())),
            spawn=spawn,
            is_closing=lambda: not self.alive,
            # Where the worker is full; the other half is for those who were let in.
            patience_seconds=self.cfg.graceful_timeout / 2,
            **({"ssl_context": ssl_context} if ssl_context else {}),
        )
        if self.cfg.workers > 1:
            door.max_accept = 1  # as gunicorn does, so that its siblings get their share
        return door

    def handle(self, listener: Any, client: Any, addr: Any) -> None:  # noqa: ANN401 - gunicorn's
        """Know the connection while its greenlet runs."""
        me = gevent.getcurrent()
        self._connections[me] = _Connection(client, self)
        try:
            super().handle(listener, client, addr)
        finally:
            del self._connections[me]

    def timeout_ctx(self) -> _Connection:
        """Give what gunicorn holds while it waits for a request's head."""
        return self._connections[gevent.getcurrent()]

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:  # noqa: ANN401
        """Watch from here on whether bytes of the next request have come."""
        self._connections[gevent.getcurrent()].watch(req.unreader)
        return super().handle_request(listener_name, req, sock, addr)

    def close_idle(self) -> None:
        """End each connection that waits for a request of which nothing has come."""
        for connection in list(self._connections.values()):
            connection.close_if_idle()


class _Named:
    """What gunicorn asks a listener for, also of a connection that is taken up after its close."""

    def __init__(self, name: Any) -> None:  # noqa: ANN401 - an address of any family
        self._name = name

    def getsockname(self) -> Any:  # noqa: ANN401 - an address of any family
        return self._name


class _Connection:
    """One client's connection: a context around each wait for a head, and what is read by."""

    def __init__(self, client: Any, worker: WebWorker) -> None:  # noqa: ANN401 - gevent's socket
        self._client = client
        self._worker = worker
        self._timeout: Any = None
        self._answers = 0
        self._idle = False

    def watch(self, unreader: Any) -> None:  # noqa: ANN401 - gunicorn's
        self._answers += 1
        unreader.sock = self

    def recv(self, size: int) -> bytes:
        data: bytes = self._client.recv(size)
        self._idle = False
        return data

    def close_if_idle(self) -> None:
        """Let the wait read the end, unless something has come that it has not read yet.

        By the kernel's own calls: gevent's would break the wait off, and log it as an error.
        """
        if not self._idle:
            return
        own = monkey.get_original("socket", "socket")(fileno=os.dup(self._client.fileno()))
        try:
            own.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            own.shutdown(socket.SHUT_RD)
        except OSError:
            pass  # the client has broken it off; the wait is told so
        finally:
            own.close()

    def __enter__(self) -> None:
        seconds = self._worker.cfg.keepalive if self._answers else _FIRST_HEAD_SECONDS
        self._timeout = gevent.Timeout.start_new(seconds, exception=False)
        self._idle = self._answers > 0
        if not self._worker.alive:
            self.close_if_idle()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> bool:
        self._idle = False
        self._timeout.close()
        return error is self._timeout
