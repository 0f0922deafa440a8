"""Native bodies that carry messages: Anthropic's and Amazon Nova's."""

import dataclasses
import hashlib
from collections.abc import Mapping

from deploy.local.bedrock.answer import Answer
from deploy.local.bedrock.converse import check_turns, read_converse, usage
from deploy.local.bedrock.errors import invalid
from deploy.local.bedrock.fields import as_list, as_object, as_text, filled_text
from deploy.local.bedrock.request import Ask, read_limits

_ANTHROPIC_STOP_SEQUENCES = 8191
_NOVA_STOP_SEQUENCES = 4


class AnthropicMessages:
    """Anthropic's Messages API.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
    """

    def read(self, body: Mapping[str, object]) -> Ask:
        """Return what a messages body asks; `anthropic_version` and `max_tokens` are required."""
        for required in ("anthropic_version", "max_tokens", "messages"):
            if required not in body:
                raise invalid(f"{required}: Field required")
        user, earlier, unread = list[str](), list[str](), list[str]()
        roles = list[str]()
        for index, item in enumerate(as_list(body["messages"], "messages")):
            message = as_object(item, f"messages.{index}")
            role = as_text(message.get("role"), f"messages.{index}.role")
            if role not in {"user", "assistant"}:
                raise invalid(f"messages.{index}.role: Input should be 'user' or 'assistant'")
            texts, others = _anthropic_content(message.get("content"), f"messages.{index}.content")
            (user if role == "user" else earlier).extend(texts)
            unread += others
            roles.append(role)
        check_turns(roles)
        system, _ = _anthropic_content(body["system"], "system") if "system" in body else ([], [])
        return Ask(
            user=tuple(user),
            earlier=tuple(earlier),
            system=tuple(system),
            unread=tuple(unread),
            limits=read_limits(
                body,
                "",
                names=("max_tokens", "temperature", "top_p", "stop_sequences"),
                most_stop_sequences=_ANTHROPIC_STOP_SEQUENCES,
            ),
        )

    def whole(self, answer: Answer) -> dict[str, object]:
        """Return a Message."""
        return {
            **_anthropic_message(answer),
            "content": [{"type": "text", "text": answer.text}],
            "stop_reason": answer.stop_reason,
            "stop_sequence": answer.stop_sequence,
            "usage": {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens},
        }

    def opening(self, answer: Answer) -> list[dict[str, object]]:
        """Return message_start and content_block_start."""
        message = {
            **_anthropic_message(answer),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": answer.input_tokens, "output_tokens": 1},
        }
        block = {"type": "text", "text": ""}
        return [
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": block},
        ]

    def delta(self, text: str) -> dict[str, object]:
        """Return a content_block_delta."""
        delta = {"type": "text_delta", "text": text}
        return {"type": "content_block_delta", "index": 0, "delta": delta}

    def closing(self, answer: Answer) -> list[dict[str, object]]:
        """Return content_block_stop, message_delta and message_stop."""
        delta = {"stop_reason": answer.stop_reason, "stop_sequence": answer.stop_sequence}
        output = {"output_tokens": answer.output_tokens}
        return [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": delta, "usage": output},
            {"type": "message_stop"},
        ]


class NovaMessages:
    """Amazon Nova's messages.

    https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html
    """

    def read(self, body: Mapping[str, object]) -> Ask:
        """Return what a body asks; it is Converse's, with Nova's own names for the settings."""
        config = as_object(body.get("inferenceConfig", {}), "inferenceConfig")
        tokens = "max_new_tokens" if "max_new_tokens" in config else "maxTokens"
        limits = read_limits(
            config,
            "inferenceConfig.",
            names=(tokens, "temperature", "topP", "stopSequences"),
            most_stop_sequences=_NOVA_STOP_SEQUENCES,
        )
        return dataclasses.replace(read_converse({**body, "inferenceConfig": {}}), limits=limits)

    def whole(self, answer: Answer) -> dict[str, object]:
        """Return the same members as Converse, without its metrics."""
        message = {"content": [{"text": answer.text}], "role": "assistant"}
        return {
            "output": {"message": message},
            "stopReason": answer.stop_reason,
            "usage": usage(answer),
        }

    def opening(self, answer: Answer) -> list[dict[str, object]]:  # noqa: ARG002 - others tell usage
        """Return messageStart."""
        return [{"messageStart": {"role": "assistant"}}]

    def delta(self, text: str) -> dict[str, object]:
        """Return a contentBlockDelta."""
        return {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}

    def closing(self, answer: Answer) -> list[dict[str, object]]:
        """Return contentBlockStop, messageStop and metadata."""
        return [
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": answer.stop_reason}},
            {"metadata": {"usage": usage(answer), "metrics": {}, "trace": {}}},
        ]


def _anthropic_content(value: object, where: str) -> tuple[list[str], list[str]]:
    """Return the texts of a content (a string or blocks), and the types of blocks not read."""
    if isinstance(value, str):
        return [filled_text(value, where)], []
    blocks = [as_object(item, f"{where}.{at}") for at, item in enumerate(as_list(value, where))]
    if not blocks:
        raise invalid(f"{where}: must have non-empty content")
    texts, unread = list[str](), list[str]()
    for at, block in enumerate(blocks):
        kind = as_text(block.get("type"), f"{where}.{at}.type")
        if kind == "text":
            texts.append(filled_text(block.get("text"), f"{where}.{at}.text"))
        elif kind in {"image", "document"}:
            unread.append(f"{kind} block")
    return texts, unread


def _anthropic_message(answer: Answer) -> dict[str, object]:
    digest = hashlib.blake2b(answer.text.encode(errors="replace"), digest_size=12).hexdigest()
    return {
        "id": f"msg_bdrk_{digest}",
        "type": "message",
        "role": "assistant",
        "model": "local-stand-in",
    }
