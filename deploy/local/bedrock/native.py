"""InvokeModel: which model family a native body belongs to, and how its answer is framed.

Body shapes: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from deploy.local.bedrock.answer import Answer
from deploy.local.bedrock.errors import invalid
from deploy.local.bedrock.eventstream import encode_event
from deploy.local.bedrock.native_chat import AnthropicMessages, NovaMessages
from deploy.local.bedrock.native_text import CohereCommand, LlamaText, MistralText, TitanText
from deploy.local.bedrock.request import Ask
from deploy.local.bedrock.shapes import Timing, to_json


class Family(Protocol):
    """The native body of one model family, in and out. Outgoing values are JSON objects."""

    def read(self, body: Mapping[str, object]) -> Ask:
        """Return what a body asks; raises ValidationException for what the family refuses."""
        ...

    def whole(self, answer: Answer) -> dict[str, object]:
        """Return the answer of InvokeModel."""
        ...

    def opening(self, answer: Answer) -> list[dict[str, object]]:
        """Return the chunks before the first text."""
        ...

    def delta(self, text: str) -> dict[str, object]:
        """Return the chunk of a piece of text."""
        ...

    def closing(self, answer: Answer) -> list[dict[str, object]]:
        """Return the chunks after the last text, at least one."""
        ...


# A body tells its family by the first of these members that it has ...
_FAMILY_OF_MEMBER: tuple[tuple[str, Family], ...] = (
    ("anthropic_version", AnthropicMessages()),
    ("schemaVersion", NovaMessages()),
    ("inferenceConfig", NovaMessages()),
    ("inputText", TitanText()),
    ("textGenerationConfig", TitanText()),
    ("max_gen_len", LlamaText()),
)
# ... else the model id does, by the provider in it (inference profiles put a region before it).
_FAMILY_OF_PROVIDER: tuple[tuple[str, Family], ...] = (
    ("anthropic.", AnthropicMessages()),
    ("amazon.nova", NovaMessages()),
    ("amazon.titan-text", TitanText()),
    ("amazon.titan-tg1", TitanText()),
    ("meta.llama", LlamaText()),
    ("mistral.", MistralText()),
    ("cohere.command-r", CohereCommand(asks_in="message")),
    ("cohere.command", CohereCommand()),
)


def family_of(model: str, body: Mapping[str, object]) -> Family:
    """Return the family of a native body; ValidationException when nobody knows it."""
    for member, family in _FAMILY_OF_MEMBER:
        if member in body:
            return family
    for provider, family in _FAMILY_OF_PROVIDER:
        if provider in model:
            return family
    raise invalid(
        "Malformed input request: the body is of no model family that the stand-in knows "
        "(Anthropic messages, Amazon Nova and Titan text, Meta Llama, Mistral, Cohere command), "
        "please reformat your input and try again."
    )


@dataclass(frozen=True)
class NativeShape:
    """Writes an answer in a family's own shape; a stream carries it in PayloadPart chunks."""

    family: Family

    def whole(self, answer: Answer, timing: Timing) -> bytes:  # noqa: ARG002 - Converse tells it
        """Return the family's body."""
        return to_json(self.family.whole(answer))

    def opening(self, answer: Answer) -> bytes:
        """Return the family's chunks before the first text."""
        return b"".join(map(_chunk, self.family.opening(answer)))

    def delta(self, text: str) -> bytes:
        """Return the family's chunk of a piece of text."""
        return _chunk(self.family.delta(text))

    def closing(self, answer: Answer, timing: Timing) -> bytes:
        """Return the family's last chunks; Bedrock puts its own metrics into the very last."""
        *chunks, last = self.family.closing(answer)
        metrics = {
            "inputTokenCount": answer.input_tokens,
            "outputTokenCount": answer.output_tokens,
            "invocationLatency": timing.total_ms,
            "firstByteLatency": timing.first_token_ms,
        }
        last = {**last, "amazon-bedrock-invocationMetrics": metrics}
        return b"".join(map(_chunk, (*chunks, last)))


def _chunk(document: dict[str, object]) -> bytes:
    encoded = base64.b64encode(to_json(document)).decode()
    return encode_event("chunk", to_json({"bytes": encoded}))
