"""Converse and ConverseStream: the request as Bedrock checks it, the answer as boto3 reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from deploy.local.bedrock.answer import Answer
from deploy.local.bedrock.documents import MOST_DOCUMENTS, read_document
from deploy.local.bedrock.errors import invalid
from deploy.local.bedrock.eventstream import encode_event
from deploy.local.bedrock.fields import as_list, as_object, as_text, filled_text
from deploy.local.bedrock.request import Ask, Limits, read_limits
from deploy.local.bedrock.shapes import Timing, to_json

MOST_STOP_SEQUENCES = 2500
_LIMIT_NAMES = ("maxTokens", "temperature", "topP", "stopSequences")
_ROLES = frozenset({"user", "assistant", "system"})
_UNREAD_BLOCKS = frozenset({"image", "video", "audio"})
_BLOCKS = _UNREAD_BLOCKS | {
    "text",
    "document",
    "toolUse",
    "toolResult",
    "guardContent",
    "cachePoint",
    "reasoningContent",
    "citationsContent",
    "searchResult",
    "toolAddition",
    "toolRemoval",
}


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What the content blocks of one message hold."""

    texts: tuple[str, ...]
    documents: tuple[str, ...]
    unread: tuple[str, ...]


def read_converse(document: Mapping[str, object]) -> Ask:
    """Return what a Converse request asks; raises ValidationException as Bedrock would."""
    user, earlier, system, unread = list[str](), list[str](), list[str](), list[str]()
    for role, content in read_messages(document.get("messages")):
        texts = {"user": user, "assistant": earlier, "system": system}[role]
        texts += content.texts + content.documents
        unread += content.unread
    system += _read_system(document.get("system"))
    return Ask(
        user=tuple(user),
        system=tuple(system),
        earlier=tuple(earlier),
        unread=tuple(unread),
        limits=_read_config(document.get("inferenceConfig")),
    )


def read_messages(value: object) -> list[tuple[str, _Content]]:
    """Return role and content of each message, in an order that Bedrock accepts."""
    messages = [
        as_object(message, f"messages.{index}")
        for index, message in enumerate(as_list(value, "messages"))
    ]
    read = [
        (_role(message, index), _read_content(message.get("content"), index))
        for index, message in enumerate(messages)
    ]
    check_turns([role for role, _ in read])
    return read


def check_turns(roles: list[str]) -> None:
    """Check that user and assistant take turns and that the user begins."""
    turns = [role for role in roles if role != "system"]
    if not turns:
        raise invalid("The messages are empty. A conversation must have a user message.")
    if turns[0] != "user":
        raise invalid(
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message."
        )
    if any(one == other for one, other in pairwise(turns)):
        raise invalid(
            "A conversation must alternate between user and assistant roles. Make sure the "
            "conversation alternates between user and assistant roles and try again."
        )


def _role(message: Mapping[str, object], index: int) -> str:
    role = as_text(message.get("role"), f"messages.{index}.role")
    if role not in _ROLES:
        raise invalid(
            f"1 validation error detected: Value '{role}' at 'messages.{index}.role' failed to "
            "satisfy constraint: Member must satisfy enum value set: [user, assistant, system]"
        )
    return role


def _read_content(value: object, index: int) -> _Content:
    blocks = as_list(value, f"messages.{index}.content")
    if not blocks:
        raise invalid(
            f"The content field in the Message object at messages.{index} is empty. Add a "
            "ContentBlock object to the content field and try again."
        )
    texts, documents, unread = list[str](), list[str](), list[str]()
    for number, item in enumerate(blocks):
        where = f"messages.{index}.content.{number}"
        block = as_object(item, where)
        if len(block) != 1 or not block.keys() <= _BLOCKS:
            raise invalid(f"The ContentBlock object at {where} must set exactly one known member.")
        if "text" in block:
            texts.append(filled_text(block["text"], f"{where}.text"))
        elif "document" in block:
            text, name = read_document(as_object(block["document"], where), f"{where}.document")
            documents.append(text)
            unread += [name] if name else []
        else:
            unread += [f"{kind} block" for kind in block.keys() & _UNREAD_BLOCKS]
    if len(documents) > MOST_DOCUMENTS:
        raise invalid(f"You can include up to {MOST_DOCUMENTS} documents in a request.")
    if documents and not texts:
        raise invalid("A text block is required in a message that holds a document.")
    return _Content(
        texts=tuple(texts), documents=tuple(filter(None, documents)), unread=tuple(unread)
    )


def _read_system(value: object) -> list[str]:
    blocks = [] if value is None else as_list(value, "system")
    return [
        filled_text(block["text"], f"system.{index}.text")
        for index, item in enumerate(blocks)
        if "text" in (block := as_object(item, f"system.{index}"))
    ]


def _read_config(value: object) -> Limits:
    return read_limits(
        {} if value is None else as_object(value, "inferenceConfig"),
        "inferenceConfig.",
        names=_LIMIT_NAMES,
        most_stop_sequences=MOST_STOP_SEQUENCES,
    )


class ConverseShape:
    """Writes an answer as ConverseResponse, or as the events of ConverseStreamOutput."""

    def whole(self, answer: Answer, timing: Timing) -> bytes:
        """Return a ConverseResponse."""
        message = {"role": "assistant", "content": [{"text": answer.text}]}
        return to_json(
            {
                "output": {"message": message},
                "stopReason": answer.stop_reason,
                "usage": usage(answer),
                "metrics": {"latencyMs": timing.total_ms},
            }
        )

    def opening(self, answer: Answer) -> bytes:  # noqa: ARG002 - other shapes tell the usage here
        """Return messageStart. Text blocks have no contentBlockStart."""
        return encode_event("messageStart", to_json({"role": "assistant"}))

    def delta(self, text: str) -> bytes:
        """Return a contentBlockDelta."""
        return encode_event(
            "contentBlockDelta", to_json({"contentBlockIndex": 0, "delta": {"text": text}})
        )

    def closing(self, answer: Answer, timing: Timing) -> bytes:
        """Return contentBlockStop, messageStop and metadata."""
        metadata = {"usage": usage(answer), "metrics": {"latencyMs": timing.total_ms}}
        return b"".join(
            (
                encode_event("contentBlockStop", to_json({"contentBlockIndex": 0})),
                encode_event("messageStop", to_json({"stopReason": answer.stop_reason})),
                encode_event("metadata", to_json(metadata)),
            )
        )


def usage(answer: Answer) -> dict[str, int]:
    """Return the TokenUsage of an answer."""
    return {
        "inputTokens": answer.input_tokens,
        "outputTokens": answer.output_tokens,
        "totalTokens": answer.input_tokens + answer.output_tokens,
    }
