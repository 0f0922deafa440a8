"""A Bedrock that gives everybody one answer, and the two ways there: boto3's, and a run's own."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from adapters.aws import connect_bedrock
from adapters.bedrock import BedrockModel
from adapters.direct_bedrock import DirectBedrock, connect_direct_bedrock
from jobs.errors import ModelError
from jobs.job import InferenceConfig, ModelId
from jobs.model_ports import Invocation
from jobs.prompt import Prompt
from tests.bedrock_streams import converse_frames
from tests.builders import JOB_ID, a_trace, pieces_of
from tests.serving import serving
from tests.stack import environ_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
HELLO = b"".join(
    converse_frames(
        {"contentBlockDelta": {"delta": {"text": "Hello"}, "contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
    )
)
SILENCE_SECONDS = 0.3
PATIENCE_SECONDS = 20
WAYS: Mapping[str, Callable[..., Any]] = {
    "boto3": connect_bedrock,
    "direct": connect_direct_bedrock,
}


@dataclass(kw_only=True)
class Bedrock:
    """A Bedrock that gives everybody one answer, and remembers what it was asked.

    It hangs up where the answer has no status, and where its body is `cut_by` some bytes.
    """

    status: int | None = 200
    body: bytes = HELLO
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_by: int = 0
    is_silent: bool = False
    hangs_up_after: bool = False
    hung_up: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)

    @contextmanager
    def asking(
        self, way: str, *, certificate: Path | None = None, **environ: str
    ) -> Iterator[BedrockModel]:
        with serving(self._handler(), certificate=certificate) as address:
            named = {**KEYS, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": address, **environ}
            with environ_of(named):
                client = WAYS[way](
                    connections=2,
                    read_timeout=SILENCE_SECONDS if self.is_silent else PATIENCE_SECONDS,
                )
            assert isinstance(client, DirectBedrock) is (way == "direct")
            yield BedrockModel(client=client)
            client.close()

    def _handler(bedrock: Bedrock) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                names = {name.lower(): value for name, value in self.headers.items()}
                bedrock.asked.append((self.path, names, body))
                bedrock.connections.add(self.client_address)
                if bedrock.is_silent:
                    self.connection.recv(1)  # until the other side has had enough
                    self.close_connection = True
                    return
                if bedrock.status is None:
                    self._hang_up()
                    return
                self.send_response(bedrock.status)
                for name, value in bedrock.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(bedrock.body) + bedrock.cut_by))
                self.end_headers()
                self.wfile.write(bedrock.body)
                if bedrock.cut_by or bedrock.hangs_up_after:
                    self._hang_up()

            def _hang_up(self) -> None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                bedrock.hung_up.set()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def an_invocation(
    prompt: Prompt | None = None,
    model: str = "amazon.nova-lite-v1:0",
    **inference: Any,  # noqa: ANN401 - an InferenceConfig's own
) -> Invocation:
    return Invocation(
        job=JOB_ID,
        attempt=2,
        model=ModelId(model),
        prompt=prompt or Prompt(text="Say hello"),
        inference=InferenceConfig(**inference),
        trace=a_trace(),
    )


def refusal_of(bedrock: Bedrock, way: str, invocation: Invocation | None = None) -> ModelError:
    with (
        bedrock.asking(way) as model,
        pytest.raises(ModelError) as raised,
        model.invoke(invocation or an_invocation()) as answering,
    ):
        pieces_of(answering)
    return raised.value
