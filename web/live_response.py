"""A live response: an answer of unknown length to a peer that may stop reading, or leave.

gunicorn would wait for ever for a peer that does not read, and keep the connection for the next
request afterwards: a browser that is sent away by a draining process would come back to it.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.wsgi import ClosingIterator

from web import wire_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Peer:
    """The other end of the connection, as far as the server shows its socket."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._sock: socket.socket | None = environ.get("gunicorn.socket")

    def has_left(self) -> bool:
        """Whether the peer has hung up; a write would be told so by the second one only."""
        if self._sock is None:
            return False
        try:
            readable, _, _ = select.select([self._sock], [], [], 0)
            return bool(readable) and not self._sock.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def cut_off(self) -> None:
        """End the connection: a write that waits for the peer returns."""
        self._shut(socket.SHUT_RDWR)

    def begin(self) -> None:
        """Bound how long a write waits, and how much the kernel holds for a slow peer."""
        if self._sock is not None:
            self._sock.settimeout(wire_socket.WRITE_SECONDS)
            size = wire_socket.KERNEL_BYTES
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    def finish(self) -> None:
        """Take no further request; leave a connection that has room for the answer's last bytes."""
        if self._sock is None:
            return
        with suppress(OSError, ValueError):
            _, writable, _ = select.select([], [self._sock], [], wire_socket.WRITE_SECONDS)
            self._shut(socket.SHUT_RD if writable else socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        if self._sock is not None:
            with suppress(OSError):
                self._sock.shutdown(how)


class LiveResponse(Response):
    """Sends its chunks as they come; `peer` is cut off where it does not take them."""

    automatically_set_content_length = False

    def __init__(self, chunks: Iterable[bytes], *, peer: Peer, content_type: str) -> None:
        super().__init__(chunks, content_type=content_type)
        self._peer = peer

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer by WSGI's `write` under gunicorn, so that a failed write is met here."""
        if "gunicorn.socket" not in environ or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        headers = self.get_wsgi_headers(environ).to_wsgi_list()
        _say_that_it_closes(start_response)
        self._send(start_response(self.status, headers))
        return ClosingIterator((), self.close)

    def _send(self, write: Callable[[bytes], object]) -> None:
        self._peer.begin()
        try:
            for chunk in self.iter_encoded():
                write(chunk)
        except OSError:
            self._peer.cut_off()
        finally:
            self._peer.finish()


def _say_that_it_closes(start_response: StartResponse) -> None:
    """Have gunicorn send `Connection: close`, a header that WSGI keeps from its applications.

    Without it a client would send its next request on a connection that takes none.
    """
    gunicorns_response: Any = getattr(start_response, "__self__", None)
    if gunicorns_response is not None:
        gunicorns_response.force_close()
