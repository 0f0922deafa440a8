"""Amazon Bedrock: one streamed Converse call an attempt, never repeated from here.

Streaming is the only call that can be broken off; closing it is cancelling.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import base64
import codecs
import operator
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters.bedrock_errors import broken_off, translating_model_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.eventstream import EventStream
    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import (
        ConverseStreamOutputTypeDef,
        InferenceConfigurationTypeDef,
    )

    from jobs.job import InferenceConfig
    from jobs.ports import Invocation
    from jobs.prompt import Prompt

# Bedrock reserves quota for the whole possible answer at the start; unsaid, that is the model's
# maximum. https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html
DEFAULT_MAX_TOKENS = 4_096


@dataclass(frozen=True, kw_only=True)
class BedrockModel:
    """jobs.ports.Model on Bedrock Runtime."""

    client: BedrockRuntimeClient
    default_max_tokens: int = DEFAULT_MAX_TOKENS

    @contextmanager
    def invoke(self, invocation: Invocation) -> Iterator[ConverseAnswering]:
        """Call ConverseStream once; closes the stream at the end, however it ends."""
        with translating_model_errors():
            answer = self.client.converse_stream(
                **converse_parameters(invocation, default_max_tokens=self.default_max_tokens)
            )
        answering = ConverseAnswering(answer["stream"])
        try:
            yield answering
        finally:
            answering.release()


class ConverseAnswering:
    """jobs.ports.Answering over ConverseStream's events; read by one thread."""

    def __init__(self, stream: EventStream[ConverseStreamOutputTypeDef]) -> None:
        self._stream = stream
        self._usage: tuple[int, int] | None = None
        self._stop_reason: str | None = None

    def __iter__(self) -> Iterator[str]:
        """Give the answer's text; a stream that ends without its last word raises ModelError."""
        # JSON may hold half a surrogate pair, which no later write could encode: the decoder puts
        # halves of two events together and replaces those that stay alone.
        decoder = codecs.getincrementaldecoder("utf-16-le")("replace")
        with translating_model_errors():
            for event in self._stream:
                if sent := event.get("contentBlockDelta", {}).get("delta", {}).get("text"):
                    if text := decoder.decode(sent.encode("utf-16-le", "surrogatepass")):
                        yield text
                elif "messageStop" in event:
                    self._stop_reason = event["messageStop"]["stopReason"]
                elif "metadata" in event:
                    usage = event["metadata"]["usage"]
                    self._usage = (usage["inputTokens"], usage["outputTokens"])
        if text := decoder.decode(b"", final=True):
            yield text
        if self._stop_reason is None:
            raise broken_off("the stream ended before the answer did")

    def close(self) -> None:
        """Break the call off, from whichever thread; a reader that waits wakes up at once.

        Only the socket is shut: closing the stream would take it from under its reader.
        """
        with suppress(OSError, AttributeError):
            _socket_under(self._stream).shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give back what the call holds; for the thread that reads, once it reads no more."""
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


def converse_parameters(
    invocation: Invocation, *, default_max_tokens: int = DEFAULT_MAX_TOKENS
) -> Any:  # noqa: ANN401 - Converse's own shape
    """Write ConverseStream's parameters; the metadata shows in Bedrock's invocation logs."""
    prompt = invocation.prompt
    parameters: dict[str, object] = {
        "modelId": invocation.model,
        "messages": _messages(prompt),
        "inferenceConfig": _inference(invocation.inference, default_max_tokens),
        "requestMetadata": {
            "longhaul-job-id": invocation.job,
            "longhaul-attempt": str(invocation.attempt),
            "longhaul-trace-id": invocation.trace.id,
        },
    }
    if prompt.system is not None:
        parameters["system"] = [{"text": prompt.system}]
    return parameters


def _messages(prompt: Prompt) -> object:
    if prompt.text is not None:
        return [{"role": "user", "content": [{"text": prompt.text}]}]
    return _with_bytes(prompt.messages)


def _with_bytes(value: object) -> object:
    """Turn the base64 that JSON has for bytes into bytes, which boto3 encodes by itself."""
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item)
        if key == "bytes" and isinstance(item, str)
        else _with_bytes(item)
        for key, item in value.items()
    }


def _inference(
    inference: InferenceConfig, default_max_tokens: int
) -> InferenceConfigurationTypeDef:
    config: InferenceConfigurationTypeDef = {
        "maxTokens": inference.max_tokens or default_max_tokens
    }
    if inference.temperature is not None:
        config["temperature"] = inference.temperature
    if inference.top_p is not None:
        config["topP"] = inference.top_p
    if inference.stop_sequences:
        config["stopSequences"] = list(inference.stop_sequences)
    return config


def _socket_under(stream: object) -> socket.socket:
    """Find the socket that a blocked reader waits on; closing a file does not wake it.

    boto3 has no call for this (boto/botocore #1287); a test holds these names to what they are.
    """
    under: socket.socket = operator.attrgetter("_raw_stream._connection.sock")(stream)
    return under
