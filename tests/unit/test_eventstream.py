import json
from dataclasses import dataclass

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.bedrock.eventstream import encode_event, encode_exception, encode_frame, garble

_header_names = st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1)
_headers = st.dictionaries(_header_names, st.text(st.characters(codec="utf-8")), max_size=5)


@dataclass(frozen=True, kw_only=True)
class Message:
    status: int
    headers: dict[str, str]
    payload: bytes


def decode(stream: bytes) -> list[Message]:
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    told = (message.to_response_dict() for message in buffer)
    return [
        Message(status=part["status_code"], headers=part["headers"], payload=part["body"])
        for part in told
    ]


def test_an_event_is_read_by_botocore() -> None:
    (message,) = decode(encode_event("messageStart", b'{"role":"assistant"}'))

    assert message.headers == {
        ":event-type": "messageStart",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert json.loads(message.payload) == {"role": "assistant"}


def test_an_exception_is_read_by_botocore_as_a_refusal() -> None:
    (message,) = decode(encode_exception("throttlingException", b'{"message":"slow down"}'))

    assert message.status == 400
    assert message.headers[":exception-type"] == "throttlingException"


def test_a_garbled_frame_fails_its_checksum() -> None:
    frame = encode_event("contentBlockDelta", b"{}")

    with pytest.raises(ChecksumMismatch):
        decode(garble(frame))


@given(st.lists(st.tuples(_headers, st.binary(max_size=300)), max_size=4))
def test_every_frame_of_a_stream_is_read_back(frames: list[tuple[dict[str, str], bytes]]) -> None:
    stream = b"".join(encode_frame(headers, payload) for headers, payload in frames)

    messages = decode(stream)

    assert [(message.headers, message.payload) for message in messages] == frames
