"""Reading application/vnd.amazon.eventstream as botocore does, in a third of its time a token.

botocore parses each frame's headers anew and walks its whole payload along the service's model. A
stream repeats a handful of headers, and of a token we want one text: see decision 45.
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import json
import struct
from binascii import crc32
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from botocore.eventstream import (
    ChecksumMismatch,
    EventStreamHeaderParser,
    EventStreamMessage,
    InvalidHeadersLength,
    InvalidPayloadLength,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botocore.eventstream import EventStream

_PRELUDE = struct.Struct("!III")  # total length, headers' length, CRC-32 of these two
_CRC = struct.Struct("!I")
_CHECKED = 8  # bytes of the prelude that its CRC is of
_MOST_HEADERS = 128 * 1024
_MOST_PAYLOAD = 24 * 1024 * 1024  # botocore's own bounds


class EventReader:
    """Reads one stream's events as botocore would; those named `quick` as their JSON says.

    Raises what botocore does: EventStreamError for an exception, ParserError for a broken frame.
    """

    def __init__(self, stream: EventStream[Any], *, quick: str) -> None:
        self._frames = FrameReader()
        self._quick = quick
        # boto3 has no call for it; a test holds the name to what it is.
        self._parse = stream._parse_event  # type: ignore[attr-defined] # noqa: SLF001 - see above

    def read(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        """Give the events that end in these bytes."""
        for frame in self._frames.read(data):
            if frame.headers.get(":event-type") == self._quick:
                yield {self._quick: json.loads(frame.payload)}
            elif event := self._parse(frame):
                yield event


class FrameReader:
    """Puts frames together from bytes as they come."""

    def __init__(self) -> None:
        self._buffer = b""

    def read(self, data: bytes) -> Iterator[Any]:
        """Give the frames that end in these bytes. Raises ParserError."""
        self._buffer += data
        while len(self._buffer) >= _PRELUDE.size:
            buffer = self._buffer
            total, headers_size, crc = _PRELUDE.unpack_from(buffer)
            _check(buffer[:_CHECKED], crc)
            headers_end, end = _PRELUDE.size + headers_size, total - _CRC.size
            _bound(headers_size, end - headers_end)
            if len(buffer) < total:
                break
            (crc,) = _CRC.unpack_from(buffer, end)
            _check(buffer[:end], crc)
            headers = _read_headers(buffer[_PRELUDE.size : headers_end])
            self._buffer = buffer[total:]
            yield EventStreamMessage(None, headers, buffer[headers_end:end], crc)  # type: ignore[arg-type] # its stubs' slip


def _bound(headers: int, payload: int) -> None:
    if headers > _MOST_HEADERS:
        raise InvalidHeadersLength(headers)
    if not 0 <= payload <= _MOST_PAYLOAD:
        raise InvalidPayloadLength(payload)


def _check(checked: bytes, expected: int) -> None:
    if (calculated := crc32(checked)) != expected:
        raise ChecksumMismatch(expected, calculated)


@lru_cache(maxsize=64)
def _read_headers(headers: bytes) -> Mapping[str, Any]:
    """Read a frame's headers; who gets them must not change them."""
    read: Mapping[str, Any] = EventStreamHeaderParser().parse(headers)
    return read
