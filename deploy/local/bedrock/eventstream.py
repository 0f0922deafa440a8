"""Encodes frames of application/vnd.amazon.eventstream, which Bedrock streams its answers in.

A frame is: total length (4 bytes), headers length (4), CRC-32 of those eight bytes (4), headers,
payload, CRC-32 of everything before it (4). Integers are big-endian. A header is: length of its
name (1), name, type (1; 7 is a string, the only type Bedrock uses), length of its value (2), value.
Source: https://smithy.io/2.0/aws/amazon-eventstream.html; botocore/eventstream.py is the reader.
"""

import struct
from binascii import crc32
from collections.abc import Mapping
from functools import lru_cache

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING_HEADER = 7
_PRELUDE_BYTES = 12
_CRC_BYTES = 4


def encode_event(event_type: str, payload: bytes) -> bytes:
    """Return the frame of one event whose payload is JSON."""
    return _frame(_json_headers("event", event_type), payload)


def encode_exception(exception_type: str, payload: bytes) -> bytes:
    """Return the frame that ends a stream with an exception, such as throttlingException."""
    return _frame(_json_headers("exception", exception_type), payload)


def encode_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame with the given string headers."""
    return _frame(_encode_headers(tuple(headers.items())), payload)


def garble(frame: bytes) -> bytes:
    """Return the frame with a wrong message CRC: its prelude still reads, its content does not."""
    return frame[:-1] + bytes([frame[-1] ^ 0xFF])


def _frame(headers: bytes, payload: bytes) -> bytes:
    total = _PRELUDE_BYTES + len(headers) + len(payload) + _CRC_BYTES
    lengths = struct.pack("!II", total, len(headers))
    message = b"".join((lengths, struct.pack("!I", crc32(lengths)), headers, payload))
    return message + struct.pack("!I", crc32(message))


# A stream repeats the same few header blocks for every token: they are encoded once.
@lru_cache(maxsize=64)
def _json_headers(message_type: str, name: str) -> bytes:
    return _encode_headers(
        (
            (f":{message_type}-type", name),
            (":content-type", "application/json"),
            (":message-type", message_type),
        )
    )


def _encode_headers(headers: tuple[tuple[str, str], ...]) -> bytes:
    return b"".join(_encode_header(name.encode(), value.encode()) for name, value in headers)


def _encode_header(name: bytes, value: bytes) -> bytes:
    return (
        struct.pack("!B", len(name)) + name + struct.pack("!BH", _STRING_HEADER, len(value)) + value
    )
