"""What every answer of Bedrock's has in common: a socket to shut, and text to put together."""

from __future__ import annotations

import codecs
import operator
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Closable(Protocol):
    """What boto3 gives to read an answer from."""

    def close(self) -> object:
        """Give back the connection."""


class BedrockAnswering:
    """The part of jobs.ports.Answering that no shape changes; read by one thread."""

    def __init__(self, stream: Closable) -> None:
        self._under = stream
        self._usage: tuple[int, int] | None = None
        self._stop_reason: str | None = None

    def close(self) -> None:
        """Break the call off, from whichever thread; a reader that waits wakes up at once.

        Only the socket is shut: closing the stream would take it from under its reader.
        """
        with suppress(OSError, AttributeError):
            _socket_under(self._under).shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give back what the call holds; for the thread that reads, once it reads no more."""
        with suppress(Exception):
            self._under.close()

    @property
    def usage(self) -> tuple[int, int] | None:
        """Input and output tokens, once the text has ended."""
        return self._usage

    @property
    def stop_reason(self) -> str | None:
        """Why the text ended, once it has."""
        return self._stop_reason


def whole_characters(pieces: Iterable[str]) -> Iterator[str]:
    """Give text that any store can write, its pieces as they come.

    JSON may hold half a surrogate pair, which no later write could encode: halves of two pieces
    are put together, and those that stay alone are replaced.
    """
    decoder = codecs.getincrementaldecoder("utf-16-le")("replace")
    for piece in pieces:
        if text := decoder.decode(piece.encode("utf-16-le", "surrogatepass")):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text


def _socket_under(stream: object) -> socket.socket:
    """Find the socket that a blocked reader waits on; closing a file does not wake it.

    boto3 has no call for this (boto/botocore #1287); a test holds these names to what they are.
    """
    under: socket.socket = operator.attrgetter("_raw_stream._connection.sock")(stream)
    return under
