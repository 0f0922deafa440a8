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
    EventStream,
    EventStreamHeaderParser,
    EventStreamMessage,
    InvalidHeadersLength,
    InvalidPayloadLength,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PRELUDE = struct.Struct("!III")  # total length, headers' length, CRC-32 of these two
_CRC = struct.Struct("!I")
_CHECKED = 8  # bytes of the prelude that its CRC is of
_MOST_HEADERS = 128 * 1024
_MOST_PAYLOAD = 24 * 1024 * 1024  # botocore's own bounds


def read_events(stream: Iterable[Any], *, quick: str) -> Iterator[Mapping[str, Any]]:
    """Give a stream's events as botocore does; those named `quick` as their JSON says.

    Raises what botocore does: EventStreamError for an exception, ParserError for a broken frame.
    What is not botocore's stream has events as they are.
    """
    if not isinstance(stream, EventStream):
        yield from stream
        return
    # boto3 has no call for either of these; a test holds them to what they are.
    chunks, parse = stream._raw_stream.stream(), stream._parse_event  # type: ignore[attr-defined] # noqa: SLF001 - see above
    for frame in read_frames(chunks):
        if frame.headers.get(":event-type") == quick:
            yield {quick: json.loads(frame.payload)}
        elif event := parse(frame):
            yield event


def read_frames(chunks: Iterable[bytes]) -> Iterator[Any]:
    """Put frames together from bytes as they come. Raises ParserError."""
    buffer = b""
    for chunk in chunks:
        buffer += chunk
        while len(buffer) >= _PRELUDE.size:
            total, headers_size, crc = _PRELUDE.unpack_from(buffer)
            _check(buffer[:_CHECKED], crc)
            headers_end, end = _PRELUDE.size + headers_size, total - _CRC.size
            _bound(headers_size, end - headers_end)
            if len(buffer) < total:
                break
            (crc,) = _CRC.unpack_from(buffer, end)
            _check(buffer[:end], crc)
            headers = _read_headers(buffer[_PRELUDE.size : headers_end])
            yield EventStreamMessage(None, headers, buffer[headers_end:end], crc)  # type: ignore[arg-type] # its stubs' slip
            buffer = buffer[total:]


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
