"""Bedrock's event streams as boto3 gives them, over frames that come from no socket."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.eventstream import EventStream

from deploy.local.bedrock.eventstream import encode_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Frames:
    """What stands for urllib3's response: a body in these pieces, and perhaps no end."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.closed = 0

    def stream(self) -> Iterator[bytes]:
        """Give the pieces as botocore asks for them."""
        yield from self.pieces

    def close(self) -> None:
        """Count the closing."""
        self.closed += 1


class FrameBodies:
    """adapters.bodies.BodyReader of Frames, in the thread that asks."""

    def read(self, response: Any, take: Callable[[bytes], object]) -> None:  # noqa: ANN401 - Frames
        """Hand over the pieces, then raise the error."""
        for piece in response.pieces:
            take(piece)
        if response.error is not None:
            raise response.error


def event_stream(frames: Frames, operation: str = "ConverseStream") -> EventStream[Any]:
    """Make the stream that boto3 would give for an operation."""
    shape, parser = _reading(operation)
    return EventStream(frames, shape, parser, operation)


def converse_frames(*events: Mapping[str, object]) -> list[bytes]:
    """Write ConverseStream's events: each has one name, and what it says."""
    return [
        encode_event(name, json.dumps(said).encode())
        for event in events
        for name, said in event.items()
    ]


def native_frames(*documents: object) -> list[bytes]:
    """Write chunks with a document in each, bytes as they are."""
    frames = []
    for document in documents:
        sent = document if isinstance(document, bytes) else json.dumps(document).encode()
        payload = {"bytes": base64.b64encode(sent).decode()}
        frames.append(encode_event("chunk", json.dumps(payload).encode()))
    return frames


@cache
def _reading(operation: str) -> tuple[Any, Any]:
    client: Any = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    shape = client.meta.service_model.operation_model(operation).get_event_stream_output()
    return shape, client._response_parser._event_stream_parser  # noqa: SLF001 - botocore hands it on so
