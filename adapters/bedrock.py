"""Amazon Bedrock: one streamed call an attempt, Converse's or native, never repeated from here.

Streaming is the only call that can be broken off; closing it is cancelling.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

import base64
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from adapters.bedrock_errors import broken_off, translating_model_errors
from adapters.bedrock_native import invoke_natively
from adapters.bedrock_stream import StreamedAnswering
from adapters.bodies import Bodies
from jobs.prompt import is_tools_own

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import InferenceConfigurationTypeDef

    from adapters.bedrock_native import NativeAnswering, WholeAnswering
    from adapters.bodies import BodyReader
    from adapters.direct_bedrock import DirectBedrock
    from jobs.job import InferenceConfig
    from jobs.model_ports import Invocation
    from jobs.prompt import Prompt

    Answer: TypeAlias = "ConverseAnswering | NativeAnswering | WholeAnswering"

# Bedrock reserves quota for the whole possible answer at the start; unsaid, that is the model's
# maximum. https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html
DEFAULT_MAX_TOKENS = 4_096


@dataclass(frozen=True, kw_only=True)
class BedrockModel:
    """jobs.model_ports.Model on Bedrock Runtime."""

    client: BedrockRuntimeClient | DirectBedrock
    default_max_tokens: int = DEFAULT_MAX_TOKENS
    bodies: BodyReader = field(default_factory=Bodies)

    @contextmanager
    def invoke(self, invocation: Invocation) -> Iterator[Answer]:
        """Call the model once; closes the stream at the end, however it ends."""
        with translating_model_errors():
            answering = self._begin(invocation)
        try:
            yield answering
        finally:
            answering.release()

    def _begin(self, invocation: Invocation) -> Answer:
        if invocation.prompt.body is not None:
            return invoke_natively(self.client, invocation, self.bodies)
        answer = self.client.converse_stream(
            **converse_parameters(invocation, default_max_tokens=self.default_max_tokens)
        )
        return ConverseAnswering(answer["stream"], self.bodies)


class ConverseAnswering(StreamedAnswering):
    """jobs.model_ports.Answering over ConverseStream's events."""

    EVENT = "contentBlockDelta"

    @property
    def raw(self) -> str | None:
        """Converse's shape is ours, and nothing is kept of it."""
        return None

    def _text_of(self, event: Mapping[str, Any]) -> str | None:
        if "messageStop" in event:
            self._stop_reason = event["messageStop"]["stopReason"]
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
            self._usage = (usage["inputTokens"], usage["outputTokens"])
        text: str | None = event.get(self.EVENT, {}).get("delta", {}).get("text")
        return text

    def _end(self) -> None:
        if self._stop_reason is None:
            raise broken_off("the stream ended before the answer did")


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


def _with_bytes(value: object, *, place: str = "") -> object:
    """Turn the base64 that JSON has for bytes into bytes, which boto3 encodes by itself."""
    if isinstance(value, list):
        return [_with_bytes(item, place=place) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _member_with_bytes(place, key, item) for key, item in value.items()}


def _member_with_bytes(place: str, key: str, value: object) -> object:
    if is_tools_own(place, key):
        return value
    if key == "bytes" and isinstance(value, str):
        return base64.b64decode(value)
    return _with_bytes(value, place=key)


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
