"""The door: what accepts connections, and lets in whom the kernel has let in before it closes.

A connection that stands in the kernel's backlog is one to its client, who has sent a request on it.
It is reset when the last descriptor of the listener closes: gunicorn's arbiter closes its own
first, each worker its own within a second, whoever stands there.
"""

from __future__ import annotations

import ctypes
import select
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING, Any

import gevent
from gevent import monkey
from gevent.server import StreamServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LOOK_SECONDS = 0.02
# A handshake that had begun before newcomers were turned away ends in a round trip.
_HANDSHAKE_SECONDS = 0.2

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it
# Of what comes to the listener, drop a segment that opens a connection (SYN without ACK) and take
# all else; a filter sees TCP's own header, whose byte 13 holds the flags.
_NO_NEWCOMERS = (
    (0x30, 0, 0, 13),  # load the byte
    (0x54, 0, 0, 0x12),  # keep ACK and SYN
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # take it whole
)


def turn_newcomers_away(listeners: Iterable[Any]) -> None:
    """Let nobody new into the backlog of these sockets, by whichever process they are held.

    Else somebody could come in between the last look at a backlog and the close. Who is turned
    away calls again after a second, as TCP does, and is refused or answered by who listens then.
    Where the kernel knows no such filter, that moment stays.
    """
    if sys.platform != "linux":
        return
    lines = b"".join(struct.pack("HBBI", *line) for line in _NO_NEWCOMERS)
    buffer = ctypes.create_string_buffer(lines)
    program = struct.pack("HP", len(_NO_NEWCOMERS), ctypes.addressof(buffer))
    for listener in listeners:
        if listener.family in {socket.AF_INET, socket.AF_INET6}:
            try:
                listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
            except OSError:
                return


class Door(StreamServer):  # type: ignore[misc] # gevent's servers are not typed
    """One listener of a worker."""

    def __init__(
        self,
        listener: Any,  # noqa: ANN401 - gevent's socket
        *,
        is_closing: Callable[[], bool],
        patience_seconds: float,
        **options: Any,  # noqa: ANN401 - gevent's
    ) -> None:
        super().__init__(listener, **options)
        self._is_closing = is_closing
        self._patience_seconds = patience_seconds

    def close(self) -> None:
        """Go on until nobody stands at the door, no longer than its patience, and close it.

        gevent closes it as well, in its event loop, where the listener has broken.
        """
        if self.started and self._is_closing():
            self._let_in()
        super().close()

    def _let_in(self) -> None:
        begun = time.monotonic()
        while (waited := time.monotonic() - begun) < self._patience_seconds:
            if waited >= _HANDSHAKE_SECONDS and not self._somebody_stands_there():
                return
            gevent.sleep(_LOOK_SECONDS)

    def _somebody_stands_there(self) -> bool:
        poll = monkey.get_original("select", "poll")()
        poll.register(self.socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))
