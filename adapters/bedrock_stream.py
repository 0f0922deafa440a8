"""What every streamed answer of Bedrock's has in common: frames to read, text to put together."""

from __future__ import annotations

import codecs
import operator
import socket
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from urllib3.exceptions import HTTPError

from adapters.bedrock_errors import translating_model_errors
from adapters.bodies import socket_under
from adapters.event_frames import EventReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from botocore.eventstream import EventStream

    from adapters.bodies import BodyReader


class StreamedAnswering(ABC):
    """The part of jobs.model_ports.Answering that no shape of answer changes.

    Text is taken, and events are looked at, in the thread that reads all bodies.
    """

    EVENT: ClassVar[str]
    """What events with text are called."""

    def __init__(self, stream: EventStream[Any], bodies: BodyReader) -> None:
        self._stream = stream
        self._bodies = bodies
        self._events = EventReader(stream, quick=self.EVENT)
        self._characters = Characters()
        self._usage: tuple[int, int] | None = None
        self._stop_reason: str | None = None

    def read(self, take: Callable[[str], object]) -> None:
        """Hand over the text as it comes. Raises ModelError, also where there is no last word."""

        def take_bytes(data: bytes) -> None:
            for text in self._texts(data):
                take(text)

        try:
            self._bodies.read(_response_under(self._stream), take_bytes)
        except HTTPError:
            with translating_model_errors():
                raise
        if text := self._characters.end():
            take(text)
        self._end()

    def close(self) -> None:
        """Break the call off, from whichever thread; who waits for its text learns it at once.

        Only the socket is shut: closing the stream would take it from under its reader.
        """
        with suppress(OSError, AttributeError):
            socket_under(_response_under(self._stream)).shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give back what the call holds, once nobody reads any more."""
        with suppress(Exception):
            self._stream.close()

    @property
    def usage(self) -> tuple[int, int] | None:
        """Input and output tokens, once the text has ended."""
        return self._usage

    @property
    def stop_reason(self) -> str | None:
        """Why the text ended, once it has."""
        return self._stop_reason

    @abstractmethod
    def _text_of(self, event: Mapping[str, Any]) -> str | None:
        """Give the text of an event, if it has any, and note what else it says."""

    @abstractmethod
    def _end(self) -> None:
        """Note that there is no more. Raises ModelError where there should have been."""

    def _texts(self, data: bytes) -> Iterator[str]:
        """Read the text in these bytes; what its taker raises is not the model's error."""
        with translating_model_errors():
            for event in self._events.read(data):
                if (piece := self._text_of(event)) and (text := self._characters.put(piece)):
                    yield text


class Characters:
    """Puts text together that any store can write.

    JSON may hold half a surrogate pair, which no later write could encode: halves of two pieces
    are put together, and those that stay alone are replaced.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")

    def put(self, piece: str) -> str:
        """Take a piece in, and give the whole characters that there are."""
        return self._decoder.decode(piece.encode("utf-16-le", "surrogatepass"))

    def end(self) -> str:
        """Give what is left."""
        return self._decoder.decode(b"", final=True)


def mended(text: str) -> str:
    """Replace what no store can write."""
    characters = Characters()
    return characters.put(text) + characters.end()


def _response_under(stream: object) -> Any:  # noqa: ANN401 - urllib3's response
    """Find what an event stream reads from.

    boto3 has no call for this (boto/botocore #1287); a test holds the name to what it is.
    """
    return operator.attrgetter("_raw_stream")(stream)
