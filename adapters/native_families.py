"""The native answers of the model families: where text, tokens and reason stand, and the whole.

A document is a chunk of a stream, or the body of InvokeModel; what stands where is one table for
both. https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adapters.native_messages import assemble_anthropic, assemble_nova

Document = Mapping[str, object]
Path = tuple[str | int, ...]
T = TypeVar("T", str, int)

METRICS = "amazon-bedrock-invocationMetrics"  # Bedrock's own, in the last chunk of any model


@dataclass(frozen=True, kw_only=True)
class Family:
    """A document with one of `marks` is the family's; of several paths the first that leads counts.

    `assemble` puts a stream's documents together to what InvokeModel would have answered, or gives
    None where it cannot be sure of that.
    """

    marks: tuple[str, ...]
    text: tuple[Path, ...]
    stop_reason: tuple[Path, ...]
    input_tokens: tuple[Path, ...]
    output_tokens: tuple[Path, ...]
    assemble: Callable[[Sequence[Document]], Document | None]


def family_of(document: Document) -> Family | None:
    """Say whose a document is, or None where nobody knows it."""
    return next((one for one in _FAMILIES if any(mark in document for mark in one.marks)), None)


def text_at(document: Document, paths: tuple[Path, ...]) -> str | None:
    """Find a text."""
    return _find(document, paths, str)


def count_at(document: Document, paths: tuple[Path, ...]) -> int | None:
    """Find a number."""
    return _find(document, paths, int)


def _find(document: Document, paths: tuple[Path, ...], kind: type[T]) -> T | None:
    for path in paths:
        found = _at(document, path)
        if isinstance(found, kind) and not isinstance(found, bool):
            return found
    return None


def _at(value: object, path: Path) -> object:
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def _joined(documents: Sequence[Document], path: Path) -> str:
    return "".join(text_at(document, (path,)) or "" for document in documents)


def _last(documents: Sequence[Document], path: Path) -> object:
    """Give what the last of the documents says at a path: their nulls say nothing."""
    told = (_at(document, path) for document in reversed(documents))
    return next((value for value in told if value is not None), None)


def _assemble_completion(documents: Sequence[Document]) -> Document:
    told = {name: _last(documents, (name,)) for name in ("type", "stop_reason", "stop")}
    return {**told, "completion": _joined(documents, ("completion",))}


def _assemble_titan(documents: Sequence[Document]) -> Document | None:
    if any(document.get("index", 0) != 0 for document in documents):
        return None
    result = {
        "tokenCount": _last(documents, ("totalOutputTextTokenCount",)),
        "outputText": _joined(documents, ("outputText",)),
        "completionReason": _last(documents, ("completionReason",)),
    }
    count = _last(documents, ("inputTextTokenCount",))
    return {"inputTextTokenCount": count, "results": [result]}


def _assemble_meta(documents: Sequence[Document]) -> Document:
    names = ("prompt_token_count", "generation_token_count", "stop_reason")
    told = {name: _last(documents, (name,)) for name in names}
    return {"generation": _joined(documents, ("generation",)), **told}


def _assemble_mistral(documents: Sequence[Document]) -> Document | None:
    if any(_at(document, ("outputs", 1)) is not None for document in documents):
        return None
    output = {
        "text": _joined(documents, ("outputs", 0, "text")),
        "stop_reason": _last(documents, ("outputs", 0, "stop_reason")),
    }
    return {"outputs": [output]}


def _assemble_choices(documents: Sequence[Document]) -> Document | None:
    """Put Mistral's chat together; calls of tools, and the shape with `delta`, stay in chunks."""
    message: Path = ("choices", 0, "message")
    for document in documents:
        is_plain = _at(document, message) is not None and _at(document, ("choices", 1)) is None
        if not is_plain or _at(document, (*message, "tool_calls")):
            return None
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": _joined(documents, (*message, "content"))},
        "stop_reason": _last(documents, ("choices", 0, "stop_reason")),
    }
    return {"choices": [choice]}


def _assemble_cohere(documents: Sequence[Document]) -> Document | None:
    """Give the whole that Command R's last event carries, or put it together."""
    if isinstance(response := _last(documents, ("response",)), Mapping):
        return response
    kinds = {document.get("event_type") for document in documents}
    told = {
        "text": _joined(documents, ("text",)),
        "finish_reason": _last(documents, ("finish_reason",)),
    }
    if kinds == {None}:
        return {"generations": [told]}
    if kinds <= {"stream-start", "text-generation", "stream-end"}:
        return {"generation_id": _last(documents, ("generation_id",)), **told}
    return None


_FAMILIES = (
    Family(  # Nova; its marks are Converse's events
        marks=("messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "output"),
        text=(("contentBlockDelta", "delta", "text"), ("output", "message", "content", 0, "text")),
        stop_reason=(("messageStop", "stopReason"), ("stopReason",)),
        input_tokens=(("metadata", "usage", "inputTokens"), ("usage", "inputTokens")),
        output_tokens=(("metadata", "usage", "outputTokens"), ("usage", "outputTokens")),
        assemble=assemble_nova,
    ),
    Family(  # Amazon Titan; the last mark is the embeddings', too
        marks=("outputText", "inputTextTokenCount"),
        text=(("outputText",), ("results", 0, "outputText")),
        stop_reason=(("completionReason",), ("results", 0, "completionReason")),
        input_tokens=(("inputTextTokenCount",),),
        output_tokens=(("totalOutputTextTokenCount",), ("results", 0, "tokenCount")),
        assemble=_assemble_titan,
    ),
    Family(  # Meta Llama
        marks=("generation",),
        text=(("generation",),),
        stop_reason=(("stop_reason",),),
        input_tokens=(("prompt_token_count",),),
        output_tokens=(("generation_token_count",),),
        assemble=_assemble_meta,
    ),
    Family(  # Mistral, text completion
        marks=("outputs",),
        text=(("outputs", 0, "text"),),
        stop_reason=(("outputs", 0, "stop_reason"),),
        input_tokens=(),
        output_tokens=(),
        assemble=_assemble_mistral,
    ),
    Family(  # Mistral's chat, and the many that speak OpenAI's
        marks=("choices",),
        text=(("choices", 0, "message", "content"), ("choices", 0, "delta", "content")),
        stop_reason=(("choices", 0, "stop_reason"), ("choices", 0, "finish_reason")),
        input_tokens=(("usage", "prompt_tokens"),),
        output_tokens=(("usage", "completion_tokens"),),
        assemble=_assemble_choices,
    ),
    Family(  # Cohere Command and Command R
        marks=("event_type", "is_finished", "generations", "generation_id"),
        text=(("text",), ("generations", 0, "text")),
        stop_reason=(("finish_reason",), ("generations", 0, "finish_reason")),
        input_tokens=(("response", "meta", "billed_units", "input_tokens"),),
        output_tokens=(("response", "meta", "billed_units", "output_tokens"),),
        assemble=_assemble_cohere,
    ),
    Family(  # Anthropic's text completions
        marks=("completion",),
        text=(("completion",),),
        stop_reason=(("stop_reason",),),
        input_tokens=(),
        output_tokens=(),
        assemble=_assemble_completion,
    ),
    Family(  # Anthropic's messages
        marks=("type",),
        text=(("delta", "text"), ("content", 0, "text")),
        stop_reason=(("delta", "stop_reason"), ("stop_reason",)),
        input_tokens=(("usage", "input_tokens"), ("message", "usage", "input_tokens")),
        output_tokens=(("usage", "output_tokens"), ("message", "usage", "output_tokens")),
        assemble=assemble_anthropic,
    ),
)
