"""Frames read our way: the same events as botocore's, and the same errors."""

from __future__ import annotations

import itertools
import json
from binascii import crc32
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.eventstream import ChecksumMismatch, EventStream, InvalidPayloadLength
from botocore.exceptions import EventStreamError
from hypothesis import given
from hypothesis import strategies as st

from adapters.event_frames import read_events
from deploy.local.bedrock.eventstream import encode_event, encode_exception, garble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DELTA = "contentBlockDelta"


class Raw:
    """A response's body that comes in these chunks."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.chunks = chunks

    def stream(self) -> Iterator[bytes]:
        yield from self.chunks


def a_stream(*chunks: bytes) -> EventStream[Any]:
    client: Any = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    shape = client.meta.service_model.operation_model("ConverseStream").get_event_stream_output()
    parser = client._response_parser._event_stream_parser  # noqa: SLF001 - botocore hands it on so
    return EventStream(Raw(chunks), shape, parser, "ConverseStream")


def a_delta(text: str) -> bytes:
    payload = {"contentBlockIndex": 0, "delta": {"text": text}}
    return encode_event(DELTA, json.dumps(payload).encode())


ANSWER = (
    encode_event("messageStart", b'{"role": "assistant"}'),
    a_delta("Hel"),
    a_delta("l\u00f6 \U0001f600"),
    encode_event("messageStop", b'{"stopReason": "end_turn"}'),
    encode_event("metadata", b'{"usage": {"inputTokens": 1, "outputTokens": 2}}'),
)


def test_the_events_are_botocores() -> None:
    assert list(read_events(a_stream(*ANSWER), quick=DELTA)) == list(a_stream(*ANSWER))


@given(cuts=st.lists(st.integers(min_value=1, max_value=len(b"".join(ANSWER)) - 1)))
def test_however_the_bytes_are_cut_the_events_are_the_same(cuts: list[int]) -> None:
    whole = b"".join(ANSWER)
    borders = [0, *sorted(cuts), len(whole)]
    chunks = [whole[start:end] for start, end in itertools.pairwise(borders)]

    assert list(read_events(a_stream(*chunks), quick=DELTA)) == list(a_stream(whole))


def test_an_exception_in_the_stream_is_raised_after_what_came_before() -> None:
    refusal = encode_exception("throttlingException", b'{"message": "slow down"}')
    came: list[object] = []

    with pytest.raises(EventStreamError, match="slow down"):
        came.extend(read_events(a_stream(a_delta("Hel"), refusal), quick=DELTA))

    assert len(came) == 1
    with pytest.raises(EventStreamError, match="slow down"):
        list(a_stream(refusal))


def test_a_broken_frame_is_told_from_a_whole_one() -> None:
    with pytest.raises(ChecksumMismatch):
        list(read_events(a_stream(garble(a_delta("Hel"))), quick=DELTA))
    with pytest.raises(ChecksumMismatch):
        list(read_events(a_stream(b"HTTP/1.1 502 Bad Gateway"), quick=DELTA))


def test_a_frame_that_cannot_hold_its_own_headers_is_refused() -> None:
    prelude = bytes.fromhex("00000010 000000ff")
    crc = crc32(prelude).to_bytes(4, "big")

    with pytest.raises(InvalidPayloadLength):
        list(read_events(a_stream(prelude + crc), quick=DELTA))


def test_a_stream_that_ends_in_mid_frame_gives_what_was_whole() -> None:
    events = list(read_events(a_stream(a_delta("Hel"), a_delta("lo")[:20]), quick=DELTA))

    assert [event[DELTA]["delta"]["text"] for event in events] == ["Hel"]
