"""Frames read our way: the same events as botocore's, and the same errors."""

from __future__ import annotations

import itertools
import json
from binascii import crc32
from typing import TYPE_CHECKING, Any

import pytest
from botocore.eventstream import ChecksumMismatch, InvalidPayloadLength
from botocore.exceptions import EventStreamError
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.event_frames import EventReader
from deploy.local.bedrock.eventstream import encode_event, encode_exception, garble
from tests.bedrock_streams import Frames, event_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DELTA = "contentBlockDelta"


def botocores(*pieces: bytes) -> list[Mapping[str, Any]]:
    return list(event_stream(Frames(*pieces)))


def ours(*pieces: bytes) -> Iterator[Mapping[str, Any]]:
    events = EventReader(event_stream(Frames()), quick=DELTA)
    for piece in pieces:
        yield from events.read(piece)


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
    assert list(ours(*ANSWER)) == botocores(*ANSWER)


@settings(deadline=None)  # the first to come makes boto3's parsers
@given(cuts=st.lists(st.integers(min_value=1, max_value=len(b"".join(ANSWER)) - 1)))
def test_however_the_bytes_are_cut_the_events_are_the_same(cuts: list[int]) -> None:
    whole = b"".join(ANSWER)
    borders = [0, *sorted(cuts), len(whole)]
    chunks = [whole[start:end] for start, end in itertools.pairwise(borders)]

    assert list(ours(*chunks)) == botocores(whole)


def test_an_exception_in_the_stream_is_raised_after_what_came_before() -> None:
    refusal = encode_exception("throttlingException", b'{"message": "slow down"}')
    came: list[object] = []

    with pytest.raises(EventStreamError, match="slow down"):
        came.extend(ours(a_delta("Hel"), refusal))

    assert len(came) == 1
    with pytest.raises(EventStreamError, match="slow down"):
        botocores(refusal)


def test_a_broken_frame_is_told_from_a_whole_one() -> None:
    with pytest.raises(ChecksumMismatch):
        list(ours(garble(a_delta("Hel"))))
    with pytest.raises(ChecksumMismatch):
        list(ours(b"HTTP/1.1 502 Bad Gateway"))


def test_a_frame_that_cannot_hold_its_own_headers_is_refused() -> None:
    prelude = bytes.fromhex("00000010 000000ff")
    crc = crc32(prelude).to_bytes(4, "big")

    with pytest.raises(InvalidPayloadLength):
        list(ours(prelude + crc))


def test_a_stream_that_ends_in_mid_frame_gives_what_was_whole() -> None:
    events = list(ours(a_delta("Hel"), a_delta("lo")[:20]))

    assert [event[DELTA]["delta"]["text"] for event in events] == ["Hel"]
